//! Who calls, and what another member may do to an agent on somebody's own machine.

use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::{MachineId, Role, RoomId, RunId, SessionId, UserId};

use crate::tasks::Task;

/// Who makes a request, as proven by its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person, in a browser or a CLI.
    Person {
        /// The person.
        user: UserId,
        /// Their sign-in.
        session: SessionId,
    },
    /// A machine's daemon.
    Machine {
        /// The machine.
        machine: MachineId,
        /// Its user.
        user: UserId,
    },
    /// An agent, from inside its run.
    Run {
        /// The run.
        run: RunId,
        /// Its room.
        room: RoomId,
        /// Its role.
        role: Role,
        /// The user of the machine it runs on.
        user: UserId,
        /// How it is driven.
        form: RunForm,
    },
}

impl Caller {
    /// Returns the person on whose authority the request is made.
    pub fn user(&self) -> UserId {
        match self {
            Self::Person { user, .. } | Self::Machine { user, .. } | Self::Run { user, .. } => *user,
        }
    }

    /// Returns the run the request comes from, if it comes from inside one.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Run { run, .. } => Some(*run),
            Self::Person { .. } | Self::Machine { .. } => None,
        }
    }
}

/// Returns whether a task may reach an agent on a machine of `owner`.
///
/// On an own machine only its user acts through an agent. What another member
/// wrote, or another member's agent handed on, waits for that user, unless the
/// agent is shared with the room. A hand-off does not launder words: what an
/// agent passes on still carries who asked for it.
pub fn may_reach(task: &Task, owner: UserId, shared: bool) -> bool {
    let own_words = task.author == owner && task.carries.is_none_or(|other| other == owner);
    shared || own_words || task.approved_by == Some(owner)
}

/// Returns whether the standing instructions `by` wrote reach an agent of `owner`.
///
/// They are words like any others: another member's reach an agent that is shared with the room, and no other.
pub fn may_instruct(by: UserId, owner: UserId, shared: bool) -> bool {
    shared || by == owner
}
