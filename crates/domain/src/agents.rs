//! Agents: what people want of a role, what is known of its run, and the one word for both.

use chatroom_protocol::api::agents::{AgentStatus, PermissionMode, RunActivity, RunForm};
use chatroom_protocol::{
    CommandId, ConversationId, MachineId, ModelId, PermissionId, PromptId, Role, RoomId, RunId, Timestamp, Tool, UserId,
};

/// How long a run token works after its last renewal, in milliseconds.
pub const RUN_TOKEN_MS: i64 = 10 * 60 * 1000;

/// How long a crash counts, in milliseconds.
pub const CRASH_WINDOW_MS: i64 = 10 * 60 * 1000;

/// How many times an agent is started again within [`CRASH_WINDOW_MS`].
pub const RESTARTS: u64 = 10;

/// The longest wait before a restart, in milliseconds.
const LONGEST_WAIT_MS: i64 = 60 * 1000;

/// Returns how long to wait before an agent is started again after its latest crash, in milliseconds, given how many
/// crashes of it count, that one included. `None`: it is given up.
///
/// At once, then after 30 s, then after a minute each, so that a program that cannot start burns neither machine nor
/// tokens while one bad moment costs nothing.
pub fn wait_before_restart(crashes: u64) -> Option<i64> {
    let before = i64::try_from(crashes.saturating_sub(1)).unwrap_or(i64::MAX);
    (crashes <= RESTARTS).then(|| before.saturating_mul(30_000).min(LONGEST_WAIT_MS))
}

/// What people want of an agent. A new agent is stopped, and an explicit stop always wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Desired {
    /// To run.
    Running,
    /// Not to run.
    #[default]
    Stopped,
}

impl Desired {
    /// Returns the word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// The slot of a role: what is wanted there, and which run it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The room.
    pub room: RoomId,
    /// The role.
    pub role: Role,
    /// What people want.
    pub desired: Desired,
    /// The machine it runs on, or last ran on.
    pub machine: Option<MachineId>,
    /// Its live run, or its last.
    pub run: Option<RunId>,
    /// Whether its user lets other members act through it.
    pub shared: bool,
    /// Why it was given up, if it was.
    pub gave_up: Option<String>,
    /// Since when its crashes count: a person's start begins anew.
    pub counted_from: Timestamp,
    /// When it is started again, after a crash.
    pub restart_at: Option<Timestamp>,
}

/// What is known of a run that was found living on its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub run: RunId,
    /// Whether it counts as live here too.
    pub known: bool,
    /// Whether a command about its place has no outcome yet.
    pub under_way: bool,
    /// Whether another run of its place was started since: then this was seen before it ended.
    pub replaced: bool,
}

impl Agent {
    /// Returns the slot of a role that nobody ever touched.
    pub fn untouched(room: RoomId, role: Role) -> Self {
        Self {
            room,
            role,
            desired: Desired::Stopped,
            machine: None,
            run: None,
            shared: false,
            gave_up: None,
            counted_from: Timestamp(0),
            restart_at: None,
        }
    }

    /// Returns whether what was found is to be ended: nobody wants it there, and nothing under way will see to it.
    pub fn is_unwanted(&self, found: Found) -> bool {
        let wanted = found.known && self.desired == Desired::Running && self.run == Some(found.run);
        !wanted && !found.under_way && !found.replaced
    }
}

/// One process incarnation of an agent, as reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The room.
    pub room: RoomId,
    /// The role.
    pub role: Role,
    /// Where it runs.
    pub machine: MachineId,
    /// The machine's user.
    pub user: UserId,
    /// The command that made it.
    pub command: CommandId,
    /// What it runs: a snapshot of the configuration.
    pub tool: Tool,
    /// The model.
    pub model: Option<ModelId>,
    /// Where it works.
    pub working_dir: String,
    /// Whether it asks.
    pub mode: PermissionMode,
    /// How it is driven.
    pub form: RunForm,
    /// What it last said of itself.
    pub activity: RunActivity,
    /// Its process.
    pub pid: Option<u32>,
    /// When that process started, in the machine's own count.
    pub start_time: Option<u64>,
    /// The tool's own id of its conversation, once it is known.
    pub conversation: Option<ConversationId>,
    /// Whether its last turn ended while it held a task.
    pub awaiting_handoff: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub exited_at: Option<Timestamp>,
    /// How it ended.
    pub exit: Option<String>,
    /// Whether it ended though nobody asked it to.
    pub crashed: bool,
    /// What went wrong in its last turn, for the machine's user.
    pub trouble: Option<String>,
}

impl Run {
    /// Returns whether the run is not over.
    pub fn live(&self) -> bool {
        self.activity != RunActivity::Exited
    }
}

/// What a prompt is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptPurpose {
    /// Delivers a task.
    Task(chatroom_protocol::TaskId),
    /// Reminds of a hand-off that was forgotten.
    Reminder(chatroom_protocol::TaskId),
    /// A person's words to a live run.
    FollowUp {
        /// Who says them; prompts of older versions do not tell.
        by: Option<UserId>,
    },
}

/// Where a prompt is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PromptState {
    /// Written down; it may or may not have reached the machine.
    Pending,
    /// In the machine's journal.
    Accepted,
    /// Given to the tool.
    Sent,
    /// Its turn is over, or will never come.
    Done,
}

impl PromptState {
    /// Returns the word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Done => "done",
        }
    }
}

/// Text on its way to a run: the receipt that keeps it from being given twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its id.
    pub id: PromptId,
    /// The run.
    pub run: RunId,
    /// What it is for.
    pub purpose: PromptPurpose,
    /// What the agent is told.
    pub text: String,
    /// Where it is.
    pub state: PromptState,
    /// When it was written down.
    pub created_at: Timestamp,
}

/// A question of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Its id.
    pub id: PermissionId,
    /// The run that asks.
    pub run: RunId,
    /// One line.
    pub title: String,
    /// Exactly what would be done.
    pub input: String,
    /// What else would be permitted until the run is over, where the answer says so.
    pub always: Option<String>,
    /// The hash of all that.
    pub digest: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// How it was closed, if it was.
    pub outcome: Option<String>,
}

/// A wait in a shell, for a role without a managed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outside {
    /// Nobody.
    Nobody,
    /// Somebody waits.
    Waiting,
    /// Somebody holds a task.
    Working,
}

/// Everything a status depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Known {
    /// What people want.
    pub desired: Desired,
    /// Whether the machine holds a lease.
    pub online: bool,
    /// What the run last said; `None` before the first.
    pub activity: Option<RunActivity>,
    /// Whether the run's last turn ended while it held a task.
    pub awaiting_handoff: bool,
    /// Whether it was given up.
    pub gave_up: bool,
    /// Who works the role from a shell.
    pub outside: Outside,
}

/// Returns the one word for what an agent is doing.
///
/// Running needs an online machine; a wish to stop wins over any late report.
pub fn status(known: Known) -> AgentStatus {
    let live = known.activity.filter(|activity| *activity != RunActivity::Exited);
    match (known.desired, live) {
        (Desired::Stopped, None) => match known.outside {
            Outside::Nobody => AgentStatus::Stopped,
            Outside::Waiting => AgentStatus::Waiting,
            Outside::Working => AgentStatus::Working,
        },
        (Desired::Running, None) if known.gave_up => AgentStatus::GaveUp,
        _ if !known.online => AgentStatus::Offline,
        (Desired::Stopped, Some(_)) => AgentStatus::Stopping,
        (Desired::Running, None) => AgentStatus::Starting,
        (Desired::Running, Some(activity)) => match activity {
            RunActivity::Starting | RunActivity::Exited => AgentStatus::Starting,
            RunActivity::Idle if known.awaiting_handoff => AgentStatus::AwaitingHandoff,
            RunActivity::Idle => AgentStatus::Waiting,
            RunActivity::Working => AgentStatus::Working,
            RunActivity::WaitingPermission => AgentStatus::NeedsYou,
            RunActivity::Stopping => AgentStatus::Stopping,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_slow_down_and_end() {
        let waits: Vec<_> = (1..=12).map(|crashes| wait_before_restart(crashes).map(|wait| wait / 1000)).collect();
        let minute = Some(60);
        assert_eq!(waits[..3], [Some(0), Some(30), minute]);
        assert_eq!(waits[3..10], [minute; 7]);
        assert_eq!(waits[10..], [None, None]);
        let all: i64 = (1..=RESTARTS).filter_map(wait_before_restart).sum();
        assert!(all < CRASH_WINDOW_MS, "a program that never starts is given up");
    }

    /// Every input, judged by rules that are stated apart from the function.
    #[test]
    fn every_input_has_its_word() {
        use RunActivity::{Exited, Idle, Starting, Stopping, WaitingPermission, Working};
        let activities =
            [None, Some(Starting), Some(Idle), Some(Working), Some(WaitingPermission), Some(Stopping), Some(Exited)];
        let mut seen = std::collections::HashSet::new();
        for desired in [Desired::Running, Desired::Stopped] {
            for online in [false, true] {
                for activity in activities {
                    for awaiting_handoff in [false, true] {
                        for gave_up in [false, true] {
                            for outside in [Outside::Nobody, Outside::Waiting, Outside::Working] {
                                let known = Known { desired, online, activity, awaiting_handoff, gave_up, outside };
                                let word = status(known);
                                seen.insert(word);
                                let live = !matches!(activity, None | Some(Exited));
                                if live && !online {
                                    assert_eq!(word, AgentStatus::Offline, "{known:?}");
                                }
                                if live && online && desired == Desired::Stopped {
                                    assert_eq!(word, AgentStatus::Stopping, "{known:?}");
                                }
                                if matches!(word, AgentStatus::NeedsYou | AgentStatus::AwaitingHandoff) {
                                    assert!(live && online && desired == Desired::Running, "{known:?}");
                                }
                                if word == AgentStatus::GaveUp {
                                    assert!(gave_up && !live && desired == Desired::Running, "{known:?}");
                                }
                                if word == AgentStatus::Starting {
                                    assert!(online && desired == Desired::Running, "{known:?}");
                                }
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), 9, "every word of the product is reachable");
    }
}
