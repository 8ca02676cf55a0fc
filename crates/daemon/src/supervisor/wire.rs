//! The conversation between a daemon and a supervisor: JSON lines on a unix socket.
//!
//! The supervisor speaks first ([`Hello`]). Then the daemon asks, each question
//! with a number of its own; answers and events come back in any order.

use chatroom_protocol::api::agents::PermissionScope;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{PromptFrom, Steerer};
use chatroom_protocol::api::terminal::JoinTerminal;
use chatroom_protocol::{PermissionId, PromptId};
use serde::{Deserialize, Serialize};

use super::event::{RunEvent, Sequenced};
use super::spec::RunSpec;
use crate::process::ProcessId;

/// The longest line either side reads: a prompt of 100,000 characters fits many times.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// The supervisor's first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The supervisor itself.
    pub supervisor: ProcessId,
    /// The number of the last event so far.
    pub last_seq: u64,
}

/// What the daemon wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Ask {
    /// Send every event after this one, then live. The newest attachment wins.
    Attach {
        /// The last event the daemon has.
        after_seq: u64,
    },
    /// Execute the tool: the daemon has this supervisor in its journal.
    Go {
        /// The run.
        spec: Box<RunSpec>,
    },
    /// Give this to the tool.
    Prompt {
        /// Which prompt.
        prompt_id: PromptId,
        /// Its text.
        text: String,
        /// Who it is from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PromptFrom>,
    },
    /// End the turn, keep the run.
    Interrupt {
        /// Who wants it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
    },
    /// Answer a question of the tool.
    Decide {
        /// Which question.
        permission_id: PermissionId,
        /// The answer.
        decision: Decision,
        /// For how long an allowance holds.
        #[serde(default)]
        scope: PermissionScope,
        /// Who answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
    },
    /// Look at the run's terminal. Once it is answered, this connection carries frames and nothing else.
    View {
        /// How the viewer joins.
        join: JoinTerminal,
    },
    /// End the run.
    Stop {
        /// Who wants it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
    },
    /// Something a newer daemon wants.
    #[serde(other)]
    Unknown,
}

/// A numbered [`Ask`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// Repeated in the answer.
    pub id: u64,
    /// What is wanted.
    pub body: Ask,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It was done.
    Done,
    /// There was nothing to do: done before, or nothing there to do it to.
    Nothing,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refused", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Refused {
    /// The tool is not ready for a prompt: starting, or in a turn.
    #[error("the agent is busy; send the prompt when its turn is over")]
    Busy,
    /// That question is not open.
    #[error("this permission is no longer open")]
    PermissionClosed,
    /// The run is over, or ending.
    #[error("the run is over")]
    Over,
    /// The run has no terminal.
    #[error("this run has no terminal; it is driven through its program's protocol")]
    NoTerminal,
    /// That is done in the run's terminal.
    #[error("this run is in a terminal; do that there")]
    InTerminal,
    /// As many viewers as a run may have are there.
    #[error("too many look at this terminal already (at most {most}); detach one of them")]
    TooManyViewers {
        /// How many there may be.
        most: usize,
    },
    /// The tool has not been started.
    #[error("the run has not been started")]
    NotStarted,
    /// The tool cannot be started like this; the supervisor leaves.
    #[error("{reason}")]
    CannotStart {
        /// Why, and what to do.
        reason: String,
    },
    /// The supervisor is older than the daemon and does not know this.
    #[error("this run's supervisor is of an older version and cannot do that; restart the agent")]
    #[serde(other)]
    Unknown,
}

/// A line of the supervisor after its first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// Something happened.
    Event {
        /// What.
        event: Sequenced<RunEvent>,
    },
    /// It was done.
    Answer {
        /// The question's number.
        id: u64,
        /// What was done.
        done: Done,
    },
    /// It was not done.
    Refusal {
        /// The question's number.
        id: u64,
        /// Why.
        why: Refused,
    },
    /// A line of a newer supervisor.
    #[serde(other)]
    Unknown,
}
