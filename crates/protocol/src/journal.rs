//! What a daemon wrote into its journal, as others may read it: the messages of a machine's journal stream.
//!
//! Each record of the journal is one entry here, in its order, with the number it has there. What people and tools said
//! is left out: the texts of prompts, what a question was about, a tool's words about a failed turn.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::api::agents::RunActivity;
use crate::api::commands::CommandStatus;
use crate::api::daemon::{PromptFrom, Slot};
use crate::api::machines::ToolFacts;
use crate::api::reports::{PermissionOutcome, TurnOutcome};
use crate::{CommandId, ConversationId, PermissionId, PromptId, RunId, Timestamp, Tool};

/// In the answer to a machine's `HEAD`: the [`Place`] of the last entry the server has, if it has any.
pub const LAST: &str = "chatroom-journal-last";

/// One record of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Counts up from 1 in its journal.
    pub seq: u64,
    /// Which journal: a machine whose journal was lost begins another, and counts anew.
    pub journal: String,
    /// When it was written, by the machine's clock; absent where an older version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What.
    pub event: JournalEvent,
}

impl JournalEntry {
    /// Returns its place among all entries of a machine.
    pub fn place(&self) -> Place {
        Place { journal: self.journal.clone(), seq: self.seq }
    }
}

/// The place of an entry. As text, places sort as the entries do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which journal.
    pub journal: String,
    /// Its number there.
    pub seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:020}", self.journal, self.seq)
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (journal, seq) = text.split_once('.').ok_or(NotAPlace)?;
        Ok(Self { journal: journal.to_owned(), seq: seq.parse().map_err(|_| NotAPlace)? })
    }
}

/// The text is no place in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in a journal")]
pub struct NotAPlace;

/// What was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum JournalEvent {
    /// A command arrived; written before anything is done about it.
    CommandReceived {
        /// Which.
        command_id: CommandId,
        /// Its type.
        kind: String,
        /// Past this it must not start.
        deadline_at: Timestamp,
        /// The agent it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<Slot>,
        /// The run it starts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_id: Option<RunId>,
    },
    /// A command has its outcome.
    CommandFinished {
        /// Which.
        command_id: CommandId,
        /// `completed`, `failed` or `expired`.
        status: CommandStatus,
        /// In words.
        result: String,
    },
    /// A supervisor waits to be told to start its tool.
    RunSpawned {
        /// The run.
        run_id: RunId,
        /// Its place.
        slot: Slot,
        /// The program.
        tool: Tool,
        /// The supervisor's process id.
        pid: u32,
        /// When that process started, in the machine's own count.
        start_time: u64,
    },
    /// The tool was started.
    RunStarted {
        /// The run.
        run_id: RunId,
    },
    /// Everything up to this event of a run is reported.
    RunEventSeen {
        /// The run.
        run_id: RunId,
        /// The event's number in its transcript.
        event: u64,
    },
    /// No process of the run is left.
    RunEnded {
        /// The run.
        run_id: RunId,
    },
    /// A prompt is to be given to a run when its turn is over.
    PromptAccepted {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
        /// Who it is from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PromptFrom>,
    },
    /// Something the server is told.
    Reported {
        /// The number of the report.
        report: u64,
        /// What.
        fact: JournalFact,
    },
    /// The server has every report up to here.
    ReportsApplied {
        /// The number of the last.
        through: u64,
    },
    /// Something a newer version wrote.
    #[serde(other)]
    Unknown,
}

/// A fact as the server is told it, without what people and tools said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum JournalFact {
    /// A command is in the journal.
    CommandReceived {
        /// Which.
        command_id: CommandId,
    },
    /// A command has its outcome.
    CommandFinished {
        /// Which.
        command_id: CommandId,
        /// `completed`, `failed` or `expired`.
        status: CommandStatus,
    },
    /// A run's process exists.
    RunStarted {
        /// Which.
        run_id: RunId,
        /// The supervisor's process id.
        pid: u32,
    },
    /// A run says what it does.
    RunActivity {
        /// Which.
        run_id: RunId,
        /// What.
        activity: RunActivity,
    },
    /// A run has a conversation that a later one could go on with.
    ConversationBegun {
        /// Which.
        run_id: RunId,
        /// The tool's own id of it.
        conversation: ConversationId,
    },
    /// A prompt was given to the tool.
    PromptSent {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// The tool gave its first output for a prompt.
    PromptStarted {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// The turn of a prompt is over.
    TurnEnded {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
        /// `end`, `interrupted` or `error`.
        outcome: TurnOutcome,
    },
    /// A prompt that waits has another text now.
    PromptEdited {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// A prompt was taken back before the tool had it.
    PromptWithdrawn {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// A prompt may have reached the tool, and will not be sent again.
    PromptUncertain {
        /// The run.
        run_id: RunId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// A run asks for a permission.
    PermissionAsked {
        /// The run.
        run_id: RunId,
        /// Which question.
        permission_id: PermissionId,
    },
    /// A question is no longer open.
    PermissionClosed {
        /// The run.
        run_id: RunId,
        /// Which question.
        permission_id: PermissionId,
        /// `allowed`, `denied` or `withdrawn`.
        outcome: PermissionOutcome,
    },
    /// A run is over.
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
    /// A fact a newer version knows.
    #[serde(other)]
    Unknown,
}
