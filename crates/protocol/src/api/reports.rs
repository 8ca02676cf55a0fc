//! Facts a daemon reports. Its journal is the truth about processes; the server keeps a projection.

use serde::{Deserialize, Serialize};

use crate::{CommandId, ConversationId, PermissionId, PromptId, RunId, Timestamp};

use super::agents::RunActivity;
use super::commands::CommandStatus;
use super::machines::ToolFacts;

/// `POST /api/machines/{machineId}/reports`, in the order of the journal.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reports {
    /// The daemon's epoch; an older one than the newest is refused.
    pub epoch: u64,
    /// Which journal the numbers count in. A new journal starts a new count.
    pub journal_id: String,
    /// At most 256.
    pub reports: Vec<Report>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Counts up in the journal; what was applied is never applied again.
    pub seq: u64,
    /// When it happened, by the machine's clock.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// The answer: everything up to here is applied.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The last applied number.
    pub applied_through: u64,
}

/// What happened on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    /// A command is in the journal.
    #[serde(rename_all = "camelCase")]
    CommandReceived {
        /// Which.
        command_id: CommandId,
    },
    /// A command has its outcome.
    #[serde(rename_all = "camelCase")]
    CommandFinished {
        /// Which.
        command_id: CommandId,
        /// `completed`, `failed` or `expired`.
        status: CommandStatus,
        /// In words.
        result: String,
    },
    /// A run's process exists.
    #[serde(rename_all = "camelCase")]
    RunStarted {
        /// Which.
        run_id: RunId,
        /// The supervisor's process id.
        pid: u32,
        /// When that process started, in the machine's own count: tells it from a later process of the same id.
        start_time: u64,
    },
    /// A run says what it does.
    #[serde(rename_all = "camelCase")]
    RunActivity {
        /// Which.
        run_id: RunId,
        /// What.
        activity: RunActivity,
    },
    /// A run has a conversation that a later one could go on with.
    #[serde(rename_all = "camelCase")]
    ConversationBegun {
        /// Which.
        run_id: RunId,
        /// The tool's own id of it.
        conversation: ConversationId,
    },
    /// A prompt was given to the tool.
    #[serde(rename_all = "camelCase")]
    PromptSent {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// The tool gave its first output for a prompt.
    #[serde(rename_all = "camelCase")]
    PromptStarted {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// The turn of a prompt is over.
    #[serde(rename_all = "camelCase")]
    TurnEnded {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
        /// `end`, `interrupted` or `error`.
        outcome: TurnOutcome,
        /// The tool's words, for an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A prompt that waits has another text now.
    #[serde(rename_all = "camelCase")]
    PromptEdited {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
        /// What the agent will be told.
        text: String,
    },
    /// A prompt was taken back before the tool had it.
    #[serde(rename_all = "camelCase")]
    PromptWithdrawn {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// A prompt may have reached the tool, and will not be sent again.
    #[serde(rename_all = "camelCase")]
    PromptUncertain {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// A run asks for a permission.
    #[serde(rename_all = "camelCase")]
    PermissionAsked {
        /// The run.
        run_id: RunId,
        /// Which question.
        permission_id: PermissionId,
        /// One line.
        title: String,
        /// Exactly what would be done, capped.
        input: String,
        /// What else would be permitted until the run is over, where the answer says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        always: Option<String>,
        /// The hash of all that.
        digest: String,
    },
    /// A question is no longer open: answered, or gone with its turn.
    #[serde(rename_all = "camelCase")]
    PermissionClosed {
        /// The run.
        run_id: RunId,
        /// Which question.
        permission_id: PermissionId,
        /// `allowed`, `denied` or `withdrawn`.
        outcome: PermissionOutcome,
    },
    /// A run is over; no process of its tree is left.
    #[serde(rename_all = "camelCase")]
    RunExited {
        /// Which.
        run_id: RunId,
        /// Whether it was asked to.
        requested: bool,
        /// In words: exit code, signal, or why it could not start.
        reason: String,
    },
    /// The tools of the machine were looked for again.
    ToolsDetected {
        /// What was found.
        tools: Vec<ToolFacts>,
    },
    /// A fact this version does not know; counted, not applied.
    #[serde(other)]
    Unknown,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TurnOutcome {
    /// By itself.
    End,
    /// By an interrupt.
    Interrupted,
    /// By an error the tool told.
    Error,
}

/// How a question was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionOutcome {
    /// A person allowed it.
    Allowed,
    /// A person denied it.
    Denied,
    /// Its turn or run ended first.
    Withdrawn,
}
