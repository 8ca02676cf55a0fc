//! The process table at one moment.

use super::{ProcessId, system};

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Who it is.
    pub id: ProcessId,
    /// Its parent's process id.
    pub parent: u32,
    /// Whether it has ended and only waits to be collected by its parent.
    pub ended: bool,
}

/// Reads the whole table. A process that comes or goes meanwhile may be missing.
pub fn snapshot() -> Vec<Process> {
    system::processes()
}
