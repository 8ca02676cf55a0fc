//! Machines whose daemon was refused for its version, and what to do about it.
//!
//! Kept in memory: a daemon that was refused asks again every minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chatroom_protocol::MachineId;

/// What each refused machine was told.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<HashMap<MachineId, String>>);

impl Gaps {
    /// Returns what a machine was told, if its last daemon was refused.
    pub fn of(&self, machine: MachineId) -> Option<String> {
        self.lock().get(&machine).cloned()
    }

    /// Notes how the versions of a machine and this server get on: what it was told, or nothing.
    pub(super) fn note(&self, machine: MachineId, told: Option<String>) {
        match told {
            Some(told) => self.lock().insert(machine, told),
            None => self.lock().remove(&machine),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MachineId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
