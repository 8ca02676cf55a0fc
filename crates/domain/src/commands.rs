//! The life of a command: `pending → processing → completed | failed | expired`.

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::commands::{CommandStatus, CommandType};
use chatroom_protocol::{CommandId, MachineId, Role, RoomId, RunId, Timestamp, UserId};

use crate::agents::Desired;

/// A typed, durable request to a machine with a deadline and one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its id.
    pub id: CommandId,
    /// The machine it is for.
    pub machine: MachineId,
    /// What it asks for.
    pub kind: CommandType,
    /// The agent it is about.
    pub slot: Option<(RoomId, Role)>,
    /// The run it starts.
    pub run: Option<RunId>,
    /// Where it is in its life.
    pub status: CommandStatus,
    /// The outcome in words.
    pub result: Option<String>,
    /// Who sent it.
    pub sent_by: UserId,
    /// When it was sent.
    pub created_at: Timestamp,
    /// Past this it never starts.
    pub deadline_at: Timestamp,
    /// When the machine journalled it.
    pub received_at: Option<Timestamp>,
    /// When it reached its outcome.
    pub processed_at: Option<Timestamp>,
}

impl Command {
    /// Takes in what was heard at `now`; returns whether it changed anything.
    pub fn hear(&mut self, event: CommandEvent, now: Timestamp) -> bool {
        let Some((status, result)) = after(self.status, event) else {
            return false;
        };
        self.status = status;
        self.result = result;
        if status == CommandStatus::Processing {
            self.received_at = Some(now);
        }
        if status.is_terminal() {
            self.processed_at = Some(now);
        }
        true
    }

    /// Returns whether its time is over: not taken before its deadline, or taken and never answered.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        match self.status {
            CommandStatus::Pending => self.deadline_at <= now,
            CommandStatus::Processing => {
                self.received_at.is_some_and(|received| received <= now.plus_millis(-PROCESSING_LIMIT_MS))
            }
            CommandStatus::Completed | CommandStatus::Failed | CommandStatus::Expired => false,
        }
    }
}

/// What becomes of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartPlan {
    /// There is what it asks for; this is its outcome.
    Joins(String),
    /// A run is made for it.
    Begins {
        /// Whether what lives there is ended first.
        replaces: bool,
    },
}

/// Returns what becomes of a start or restart, given the live run of its role. A start while one is under way joins it.
pub fn plan_start(kind: CommandType, desired: Desired, live: Option<(RunId, RunActivity)>) -> StartPlan {
    match live {
        Some((run, activity)) if kind == CommandType::StartAgent && desired == Desired::Running => {
            StartPlan::Joins(match activity {
                RunActivity::Starting => format!("already starting {run}"),
                _ => format!("already running {run}"),
            })
        }
        _ => StartPlan::Begins { replaces: live.is_some() || kind == CommandType::RestartAgent },
    }
}

/// What is heard about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEvent {
    /// It is in the machine's journal.
    Received,
    /// The machine did it.
    Succeeded(String),
    /// The machine did not.
    Refused(String),
    /// The machine says it came too late.
    TooLate(String),
    /// Its deadline passed on the server.
    DeadlinePassed,
}

/// How long a command received in time may take before it counts as failed.
pub const PROCESSING_LIMIT_MS: i64 = 120_000;

/// How many commands may wait for one machine.
pub const WAITING_LIMIT: u64 = 200;

/// Returns how long after its creation a command may still start.
pub fn deadline_ms(kind: CommandType) -> i64 {
    match kind {
        CommandType::StartAgent | CommandType::StopAgent | CommandType::RestartAgent => 120_000,
        CommandType::Ping | CommandType::Status => 60_000,
    }
}

/// Returns the status and the result after `event`, or `None` where it changes nothing.
///
/// A late report about a finished command changes nothing: daemons resend what
/// they are not sure was heard. A report may also overtake the one before it, so
/// an outcome is taken from `pending` as well.
pub fn after(status: CommandStatus, event: CommandEvent) -> Option<(CommandStatus, Option<String>)> {
    use CommandStatus::{Completed, Expired, Failed, Pending, Processing};
    match (status, event) {
        (Completed | Failed | Expired, _) | (Processing, CommandEvent::Received) => None,
        (Pending, CommandEvent::Received) => Some((Processing, None)),
        (Pending | Processing, CommandEvent::Succeeded(result)) => Some((Completed, Some(result))),
        (Pending | Processing, CommandEvent::Refused(why)) => Some((Failed, Some(why))),
        (Pending | Processing, CommandEvent::TooLate(why)) => Some((Expired, Some(why))),
        (Pending, CommandEvent::DeadlinePassed) => {
            Some((Expired, Some("the machine did not take it before its deadline".into())))
        }
        (Processing, CommandEvent::DeadlinePassed) => {
            Some((Failed, Some("the machine took it and did not say how it came out; its journal knows".into())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_reaches_one_outcome_and_stays_there() {
        use CommandEvent::{DeadlinePassed, Received, Refused, Succeeded, TooLate};
        use CommandStatus::{Completed, Expired, Failed, Pending, Processing};
        let events = [Received, Succeeded("ok".into()), Refused("no".into()), TooLate("late".into()), DeadlinePassed];
        for (from, to) in [
            (Pending, [Some(Processing), Some(Completed), Some(Failed), Some(Expired), Some(Expired)]),
            (Processing, [None, Some(Completed), Some(Failed), Some(Expired), Some(Failed)]),
            (Completed, [None; 5]),
            (Failed, [None; 5]),
            (Expired, [None; 5]),
        ] {
            for (event, expected) in events.iter().zip(to) {
                assert_eq!(after(from, event.clone()).map(|(status, _)| status), expected, "{from:?} {event:?}");
            }
        }
    }
}
