//! What happens in a run, in the words its supervisor writes down.

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::reports::{PermissionOutcome, TurnOutcome};
use chatroom_protocol::{PermissionId, PromptId, Timestamp};
use serde::{Deserialize, Serialize};

/// Something with its place in the log of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sequenced<T> {
    /// Counts up from 1.
    pub seq: u64,
    /// When it was written, by the machine's clock.
    pub at: Timestamp,
    /// What.
    pub event: T,
}

/// One thing that happened in a run. Texts are capped, and never hold the run's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RunEvent {
    /// The tool's process exists.
    ToolStarted {
        /// Its process id.
        pid: u32,
        /// When it started, see [`crate::process::ProcessId`].
        start_time: u64,
    },
    /// The run does something else than before.
    Activity {
        /// What.
        activity: RunActivity,
    },
    /// A prompt is about to be given to the tool; written before its first byte is.
    PromptSent {
        /// Which.
        prompt_id: PromptId,
    },
    /// The tool gave its first output for a prompt.
    PromptStarted {
        /// Which.
        prompt_id: PromptId,
    },
    /// The turn of a prompt is over.
    TurnEnded {
        /// Which.
        prompt_id: PromptId,
        /// How.
        outcome: TurnOutcome,
        /// The tool's words, for an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The tool asks before it acts, and stands still until it is answered.
    PermissionAsked {
        /// Which question.
        permission_id: PermissionId,
        /// One line.
        title: String,
        /// Exactly what would be done, capped at 16 KiB.
        input: String,
        /// The hash of title and input as they stand here.
        digest: String,
    },
    /// A question is no longer open.
    PermissionClosed {
        /// Which.
        permission_id: PermissionId,
        /// Why.
        outcome: PermissionOutcome,
    },
    /// The agent said something; one per block, whole.
    Message {
        /// What.
        text: String,
    },
    /// The agent thought something; one per block, whole.
    Thought {
        /// What.
        text: String,
    },
    /// The agent uses one of its tools.
    ToolCall {
        /// The tool's own id of the call.
        id: String,
        /// The name of the agent's tool, such as `Bash`.
        name: String,
        /// Its input, as JSON or text.
        input: String,
    },
    /// A call came back.
    ToolResult {
        /// The tool's own id of the call.
        id: String,
        /// What came back, capped.
        output: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// What the last model calls used, as far as the tool says.
    Usage {
        /// Tokens read, from cache or not.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
    },
    /// The tool's own id of its conversation, with which it could be resumed.
    Session {
        /// The id.
        id: String,
    },
    /// Something a person might want to know.
    Notice {
        /// What.
        text: String,
    },
    /// The tool is over and no process of the run is left.
    Exited {
        /// Its exit code, if it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// In words.
        reason: String,
        /// Whether it was asked to end.
        requested: bool,
    },
    /// An event of a newer version.
    #[serde(other)]
    Unknown,
}

impl RunEvent {
    /// Returns whether losing it would make the daemon act wrongly: such an event is on disk before anything else happens.
    pub fn is_durable(&self) -> bool {
        matches!(
            self,
            Self::ToolStarted { .. }
                | Self::PromptSent { .. }
                | Self::PromptStarted { .. }
                | Self::TurnEnded { .. }
                | Self::PermissionAsked { .. }
                | Self::PermissionClosed { .. }
                | Self::Exited { .. }
        )
    }

    /// Returns whether it only tells the story; these are left out once the log of a run is full.
    pub fn is_story(&self) -> bool {
        matches!(
            self,
            Self::Message { .. }
                | Self::Thought { .. }
                | Self::ToolCall { .. }
                | Self::ToolResult { .. }
                | Self::Usage { .. }
                | Self::Notice { .. }
        )
    }
}
