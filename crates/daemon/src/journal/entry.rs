//! What is written to the journal.

use chatroom_protocol::api::daemon::{CommandOutcome, PromptFrom, Slot};
use chatroom_protocol::api::reports::{Fact, Report};
use chatroom_protocol::{CommandId, PromptId, RunId, Timestamp, Tool};
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::process::ProcessId;

/// One record. No secret is in any of them: a run's token is handed to its supervisor and written nowhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Entry {
    /// All that counted when the file was begun; always its first record.
    Begun {
        /// What the entries of the file before amounted to.
        state: Box<State>,
    },
    /// A command arrived.
    CommandReceived {
        /// Which.
        command_id: CommandId,
        /// Its type as it was sent.
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
        /// How it came out.
        outcome: CommandOutcome,
    },
    /// A supervisor waits to be told to start its tool.
    RunSpawned {
        /// The run.
        run_id: RunId,
        /// Its place.
        slot: Slot,
        /// The program.
        tool: Tool,
        /// The supervisor.
        supervisor: ProcessId,
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
        /// The event's number.
        seq: u64,
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
        /// What to tell the agent.
        text: String,
        /// Who it is from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PromptFrom>,
    },
    /// Something the server is to know. It gets its number when it is written.
    Fact {
        /// What.
        fact: Fact,
    },
    /// The same with its number.
    Report {
        /// What, when, and its number.
        report: Report,
    },
    /// The server has everything up to here.
    Applied {
        /// The number.
        through: u64,
    },
}

impl Entry {
    /// Returns what it is about in one word: its type, or for a report the fact's.
    pub fn kind(&self) -> String {
        let body = match self {
            Self::Fact { fact } | Self::Report { report: Report { fact, .. } } => serde_json::to_value(fact),
            entry => serde_json::to_value(entry),
        };
        body.ok().and_then(|body| Some(body.get("type")?.as_str()?.to_owned())).unwrap_or_default()
    }

    /// Returns whether it is something asked for, not something that happened.
    pub(super) fn can_be_refused(&self) -> bool {
        matches!(
            self,
            Self::CommandReceived { .. } | Self::PromptAccepted { .. } | Self::RunSpawned { .. } | Self::Applied { .. }
        )
    }
}
