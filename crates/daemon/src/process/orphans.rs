//! Ended processes that came to their subreaper.

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::ProcessId;
use super::table::snapshot;

/// Collects ended children of this process, except `awaited`, which somebody waits for elsewhere.
pub fn collect(awaited: ProcessId) {
    let own = std::process::id();
    for process in snapshot() {
        if process.parent == own
            && process.ended
            && process.id.pid != awaited.pid
            && let Ok(pid) = i32::try_from(process.id.pid)
        {
            // Gone meanwhile is as good.
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}
