//! Processes of this machine: who they are, what belongs to a run, and how all of it is ended.
//!
//! A process id alone names nobody: the system hands it out again. So a process
//! is always its id *and* its start time, and nothing here signals one whose
//! start time does not match any more. What belongs to a run is found twice: by
//! descent, and by the variable `CHATROOM_RUN` in a process's environment, since
//! agents put each command into a session of its own.
//!
//! Linux reads `/proc`; every other system asks `ps` (see `portable.rs`), which
//! knows start times to the second only and has no subreaper: there the mark
//! alone finds orphans.

#[cfg(target_os = "linux")]
mod linux;
pub mod mark;
pub mod orphans;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", expect(dead_code, reason = "compiled here so that its parser is tested"))]
mod portable;
pub mod table;
pub mod tree;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use portable as system;

/// One process, told apart from a later one of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// The system's number for it.
    pub pid: u32,
    /// When it started, in the system's own count (Linux: clock ticks since boot).
    pub start_time: u64,
}

impl ProcessId {
    /// Returns this process itself.
    pub fn own() -> std::io::Result<Self> {
        let pid = std::process::id();
        Self::of(pid).ok_or_else(|| std::io::Error::other("this process is not in the process table"))
    }

    /// Looks up who has `pid` now.
    pub fn of(pid: u32) -> Option<Self> {
        system::process(pid).map(|process| process.id)
    }

    /// Returns whether exactly this process still runs. One that ended and was not collected yet does not.
    pub fn is_alive(self) -> bool {
        system::process(self.pid).is_some_and(|process| process.id == self && !process.ended)
    }
}
