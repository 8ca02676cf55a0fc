//! Everything a supervisor is told about its run. It travels over the socket only, and is never on disk.

use std::fmt;
use std::path::PathBuf;

use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::{ConversationId, ModelId, RunId, Tool};
use serde::{Deserialize, Serialize};

/// A run, ready to be executed: every path resolved and every policy checked by the daemon.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// Which run.
    pub run_id: RunId,
    /// The agent program.
    pub tool: Tool,
    /// Where it is: an absolute path.
    pub program: PathBuf,
    /// The model, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The conversation it goes on with, in the words of its tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Where it works: absolute and canonical.
    pub working_dir: PathBuf,
    /// Whether it asks.
    pub mode: PermissionMode,
    /// Whether the tool leaves alone what the project brings along for it, which nobody trusts.
    #[serde(default)]
    pub without_project_settings: bool,
    /// How it is driven.
    pub form: RunForm,
    /// The role prompt; may be empty.
    pub system_prompt: String,
    /// The tool's whole environment, with the mark `CHATROOM_RUN`, and PATH beginning with the folder of `chatroom`.
    pub env: Vec<(String, String)>,
    /// `crr_…`: kept out of everything that is written.
    pub run_token: String,
    /// What else is kept out of everything that is written.
    #[serde(default)]
    pub other_secrets: Vec<String>,
    /// The run's own folder, mode 0700.
    pub run_dir: PathBuf,
}

impl RunSpec {
    /// Returns everything that must not be written.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.run_token).chain(&self.other_secrets).map(String::as_str)
    }
}

impl fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSpec")
            .field("run_id", &self.run_id)
            .field("tool", &self.tool)
            .field("program", &self.program)
            .field("model", &self.model)
            .field("working_dir", &self.working_dir)
            .field("mode", &self.mode)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}
