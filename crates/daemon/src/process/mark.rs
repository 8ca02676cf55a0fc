//! The mark of a run: a variable every process of it inherits.

use chatroom_protocol::RunId;

use super::system;

/// The variable's name.
pub const VARIABLE: &str = "CHATROOM_RUN";

/// Returns whether `pid` was started with the mark of `run`.
pub fn is_on(pid: u32, run: RunId) -> bool {
    system::environment_has(pid, &format!("{VARIABLE}={run}"))
}
