//! All processes of a run, and their end.

use std::collections::HashSet;
use std::time::Duration;

use chatroom_protocol::RunId;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::table::{Process, snapshot};
use super::{ProcessId, mark};

/// How often a process that was asked to end is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long killing goes on before what is left is reported. Only a process stuck in the kernel takes longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where a tree begins.
#[derive(Debug, Clone, Copy)]
pub enum Root {
    /// At this process, which belongs to the tree.
    At(ProcessId),
    /// Below this process, which stays: a supervisor ends its run, not itself.
    Below(ProcessId),
    /// Nowhere: only the mark tells.
    Nowhere,
}

/// Finds every live process of `run`: what descends from `root`, and whatever carries the mark with its own descendants.
///
/// The calling process is never among them.
pub fn find(root: Root, run: RunId) -> Vec<ProcessId> {
    let table: Vec<Process> = snapshot();
    let own = std::process::id();
    let mut members: HashSet<u32> = table
        .iter()
        .filter(|process| process.id.pid != own && mark::is_on(process.id.pid, run))
        .map(|process| process.id.pid)
        .collect();
    let (above, spared) = match root {
        Root::At(id) => (Some(id), None),
        Root::Below(id) => (Some(id), Some(id.pid)),
        Root::Nowhere => (None, None),
    };
    if let Some(id) = above.filter(|id| table.iter().any(|process| process.id == *id)) {
        members.insert(id.pid);
    }
    // Parents may come after their children in the table, so go on until nothing is added.
    loop {
        let before = members.len();
        for process in &table {
            if process.id.pid != own && members.contains(&process.parent) {
                members.insert(process.id.pid);
            }
        }
        if members.len() == before {
            break;
        }
    }
    table
        .into_iter()
        .filter(|process| !process.ended && members.contains(&process.id.pid))
        .filter(|process| process.id.pid != own && Some(process.id.pid) != spared)
        .map(|process| process.id)
        .collect()
}

/// Asks `first` to end and gives it `grace`, then kills everything of `run`. Returns what could not be ended: normally nothing.
///
/// Everything seen before `first` ends counts as part of the tree, also when it
/// is an orphan without the mark afterwards. `collect` is called between passes:
/// the parent of ended processes collects them there.
pub async fn end(
    root: Root,
    first: Option<ProcessId>,
    run: RunId,
    grace: Duration,
    mut collect: impl FnMut(),
) -> Vec<ProcessId> {
    let mut known: HashSet<ProcessId> = find(root, run).into_iter().collect();
    if let Some(first) = first.filter(|first| first.is_alive()) {
        signal(first, Signal::SIGTERM);
        let until = Instant::now() + grace;
        while first.is_alive() && Instant::now() < until {
            known.extend(find(root, run));
            sleep(LOOK.min(until.saturating_duration_since(Instant::now()))).await;
            collect();
        }
    }
    let until = Instant::now() + PATIENCE;
    loop {
        known.extend(find(root, run));
        known.retain(|process| process.is_alive());
        if known.is_empty() || Instant::now() >= until {
            return known.into_iter().collect();
        }
        // Standing still, none of them can start another while the others die.
        for process in &known {
            signal(*process, Signal::SIGSTOP);
        }
        known.extend(find(root, run));
        for process in &known {
            signal(*process, Signal::SIGKILL);
        }
        sleep(Duration::from_millis(20)).await;
        collect();
    }
}

/// Sends `signal` to exactly this process; one that is gone is left alone.
pub fn signal(process: ProcessId, signal: Signal) -> bool {
    let Ok(pid) = i32::try_from(process.pid) else {
        return false;
    };
    // 0 and 1 name a group and the system itself.
    pid > 1 && process.is_alive() && !matches!(kill(Pid::from_raw(pid), signal), Err(Errno::ESRCH | Errno::EPERM))
}
