//! Tasks: one piece of work for a role, held by one at a time.

use std::fmt;
use std::str::FromStr;

use chatroom_protocol::api::tasks::TaskState;
use chatroom_protocol::{MachineId, MessageId, Role, RoomId, RunId, TaskId, Timestamp, UserId};

/// How long a claim may stand without a start before it goes back, in milliseconds.
pub const CLAIM_LIMIT_MS: i64 = 60_000;

/// Who has a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A managed run.
    Run(RunId),
    /// A wait in a shell, by its connection id, and the person whose shell it is.
    Wait(UserId, String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "{run}"),
            Self::Wait(user, connection) => write!(f, "{user}/{connection}"),
        }
    }
}

impl FromStr for Holder {
    type Err = chatroom_protocol::ids::BadId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((user, connection)) => Ok(Self::Wait(user.parse()?, connection.to_owned())),
            None => text.parse().map(Self::Run),
        }
    }
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its room.
    pub room: RoomId,
    /// Whose it is to do.
    pub role: Role,
    /// Where it is in its life.
    pub state: TaskState,
    /// The message it came from.
    pub message: MessageId,
    /// Its order in the room.
    pub position: i64,
    /// The person behind what it says: who wrote it, or whose agent did.
    pub author: UserId,
    /// Another person whose words it carries on, where a hand-off passed them along.
    pub carries: Option<UserId>,
    /// The agent's user who let another member's words through.
    pub approved_by: Option<UserId>,
    /// Who has it, or had it last.
    pub holder: Option<Holder>,
    /// Since when.
    pub held_since: Option<Timestamp>,
    /// How many hand-offs led here from a person's message.
    pub hops: u32,
    /// The message that handed it on.
    pub handoff: Option<MessageId>,
    /// The task that hand-off made.
    pub next: Option<TaskId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The one waiter of a role: a `wait-for-task` in somebody's shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// The room.
    pub room: RoomId,
    /// The role.
    pub role: Role,
    /// The id the wait gave itself: tells it from an older one.
    pub connection: String,
    /// Whose shell it is.
    pub user: UserId,
    /// On which machine.
    pub machine: MachineId,
    /// Since when.
    pub joined_at: Timestamp,
    /// When it last asked.
    pub seen_at: Timestamp,
    /// When it said it was leaving.
    pub ended_at: Option<Timestamp>,
}

impl Waiter {
    /// How long after its last question a waiter counts as there, in milliseconds: a question is held for 25 s.
    pub const PRESENT_MS: i64 = 40_000;

    /// Returns whether somebody is waiting at `now`.
    pub fn present(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now.millis_since(self.seen_at) < Self::PRESENT_MS
    }
}

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// Claimed by a wait, or accepted by a run as a prompt.
    Claimed,
    /// First output of the run, or a task verb of the holder.
    Started,
    /// The holder went away, did not start in time, or the delivery failed.
    Released,
    /// Handed on or completed.
    Finished,
    /// A person ends it.
    Forced,
}

impl TaskEvent {
    /// Every event.
    pub const ALL: [Self; 5] = [Self::Claimed, Self::Started, Self::Released, Self::Finished, Self::Forced];
}

/// How the one who acts stands to the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Has it, or had it last and nobody has claimed it since.
    Holder,
    /// Anybody else, the platform and people included.
    Other,
}

/// Why a task did not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// No such task in this room.
    #[error("no such task in this chatroom")]
    NotFound,
    /// The role has no active task.
    #[error("role {0} has no active task; run `chatroom wait-for-task` to get one")]
    NoActiveTask(Role),
    /// The role has more than one.
    #[error("role {0} has several active tasks; name the one with --task-id")]
    SeveralTasks(Role),
    /// The move is not allowed.
    #[error("the task is {}, which does not allow this; {}", state.as_str(), advice(*state))]
    State {
        /// The present state.
        state: TaskState,
        /// The states it may go to.
        allowed: Vec<TaskState>,
    },
    /// Somebody else has it.
    #[error("the task is held by somebody else, or was never claimed; run `chatroom wait-for-task` to get one")]
    NotTheHolder,
    /// Too many are active.
    #[error("the chatroom has 100 active tasks; complete some first")]
    TooMany,
    /// Too many hand-offs.
    #[error("this message has caused {0} hand-offs, the limit; hand off to user")]
    HandoffLimit(u32),
    /// It waits for the agent's user.
    #[error("the task waits for the agent's user to let it through")]
    HeldForOwner,
}

fn advice(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending => "run `chatroom wait-for-task` to claim it",
        TaskState::Acknowledged => "run `chatroom task-started`, or hand it off",
        TaskState::InProgress => "hand it off or complete it",
        TaskState::Completed => "it is done; run `chatroom wait-for-task` for the next one",
    }
}

/// Returns the states a task may go to from `state`.
pub fn allowed(state: TaskState) -> Vec<TaskState> {
    use TaskState::{Acknowledged, Completed, InProgress, Pending};
    match state {
        Pending => vec![Acknowledged, InProgress, Completed],
        Acknowledged => vec![Pending, InProgress, Completed],
        InProgress => vec![Pending, Completed],
        Completed => vec![],
    }
}

/// Returns the state after `event`, which may be the same one.
pub fn after(state: TaskState, event: TaskEvent, by: Standing) -> Result<TaskState, TaskError> {
    use Standing::{Holder, Other};
    use TaskEvent::{Claimed, Finished, Forced, Released, Started};
    use TaskState::{Acknowledged, Completed, InProgress, Pending};
    match (state, event, by) {
        (Pending | Acknowledged, Claimed, Holder) | (Pending, Claimed, Other) => Ok(Acknowledged),
        (Pending | Acknowledged | InProgress, Started, Holder) => Ok(InProgress),
        (Pending | Acknowledged | InProgress, Released, _) => Ok(Pending),
        (Pending | Acknowledged | InProgress | Completed, Finished, Holder)
        | (Pending | Acknowledged | InProgress | Completed, Forced, _) => Ok(Completed),
        (Completed | InProgress, Claimed, _) | (Completed, Started | Released, _) => {
            Err(TaskError::State { state, allowed: allowed(state) })
        }
        (Acknowledged, Claimed, Other) | (_, Started | Finished, Other) => Err(TaskError::NotTheHolder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_meets_every_event() {
        use Standing::{Holder, Other};
        use TaskState::{Acknowledged, Completed, InProgress, Pending};
        // Columns: claimed, started, released, finished, forced. `!` refused by state, `-` not the holder.
        for (state, by, row) in [
            (Pending, Holder, "A I P C C"),
            (Pending, Other, "A - P - C"),
            (Acknowledged, Holder, "A I P C C"),
            (Acknowledged, Other, "- - P - C"),
            (InProgress, Holder, "! I P C C"),
            (InProgress, Other, "! - P - C"),
            (Completed, Holder, "! ! ! C C"),
            (Completed, Other, "! ! ! - C"),
        ] {
            let got: Vec<_> = TaskEvent::ALL
                .into_iter()
                .map(|event| match after(state, event, by) {
                    Ok(Pending) => "P",
                    Ok(Acknowledged) => "A",
                    Ok(InProgress) => "I",
                    Ok(Completed) => "C",
                    Err(TaskError::State { .. }) => "!",
                    Err(_) => "-",
                })
                .collect();
            assert_eq!(got.join(" "), row, "{state:?} {by:?}");
        }
    }

    #[test]
    fn a_holder_reads_back() {
        let run = RunId::from_parts(Timestamp(1), 1);
        let user = UserId::from_parts(Timestamp(1), 2);
        for holder in [Holder::Run(run), Holder::Wait(user, "abc".into())] {
            assert_eq!(holder.to_string().parse(), Ok(holder));
        }
    }
}
