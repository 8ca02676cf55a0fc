//! The daemon's HTTP API: what the server asks through the tunnel.

use serde::{Deserialize, Serialize};

use crate::{AttachmentId, CommandId, ConversationId, ModelId, PromptId, Role, RoomId, RunId, TaskId, Tool, UserId};

use super::agents::{PermissionMode, PermissionScope, RunActivity, RunForm};
use super::auth::Decision;
use super::commands::{CommandStatus, CommandType};
use super::machines::ToolFacts;

/// `POST /platform/ping`: the first exchange, and a renewal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// The server's [`crate::PROTOCOL_VERSION`].
    pub protocol_version: u32,
    /// The server's version.
    pub server_version: String,
}

/// What the daemon answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pong {
    /// The daemon's [`crate::PROTOCOL_VERSION`].
    pub protocol_version: u32,
    /// The daemon's version.
    pub daemon_version: String,
    /// Its epoch.
    pub epoch: u64,
    /// What it found on PATH.
    pub tools: Vec<ToolFacts>,
    /// Its live runs.
    pub runs: Vec<LiveRun>,
}

/// `POST /platform/renewal`: the count the daemon shows from now on. It is on disk when the answer is sent.
///
/// `POST /platform/credential` takes a [`super::machines::MachineCredential`] in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// One more than the daemon showed.
    pub renewal: u64,
}

/// `POST /platform/links`: dial once more, for what is big or slow. Beside it, what is small is never delayed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenLink {
    /// To be shown with the dial, in the header `chatroom-ticket`. It works once.
    pub ticket: String,
}

/// A live run as the daemon knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRun {
    /// Which.
    pub run_id: RunId,
    /// The room.
    pub chatroom_id: RoomId,
    /// The role.
    pub role: Role,
    /// The program.
    pub tool: Tool,
    /// What it does.
    pub activity: RunActivity,
}

/// `POST /commands`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushCommand {
    /// Which; a second push of the same is answered from the journal.
    pub command_id: CommandId,
    /// What to do, as text: an unknown type fails with a reason instead of being unreadable.
    #[serde(rename = "type")]
    pub kind: String,
    /// Milliseconds left until it must not start any more.
    pub expires_in_ms: i64,
    /// For start and restart: what to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartRun>,
    /// For stop and restart: what to end. Absent: whatever lives in that slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Who sent it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Steerer>,
}

/// A person who steers a run, as its transcript names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Steerer {
    /// Who.
    pub user_id: UserId,
    /// What others see.
    pub name: String,
}

/// Who a prompt is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PromptFrom {
    /// The platform gives the run a task.
    #[serde(rename_all = "camelCase")]
    Task {
        /// Which.
        task_id: TaskId,
    },
    /// The platform reminds of a task that was not handed on.
    #[serde(rename_all = "camelCase")]
    Reminder {
        /// Which.
        task_id: TaskId,
    },
    /// A person says something more.
    FollowUp {
        /// Who; absent where that is not known any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
    },
    /// Somebody a newer version knows.
    #[serde(other)]
    Unknown,
}

/// The place of an agent: at most one live run each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// The room.
    pub chatroom_id: RoomId,
    /// The role.
    pub role: Role,
}

impl PushCommand {
    /// Returns the type, if this version knows it.
    pub fn command_type(&self) -> Option<CommandType> {
        CommandType::ALL.into_iter().find(|kind| kind.as_str() == self.kind)
    }
}

/// Everything a start needs; the machine needs no state of its own for it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartRun {
    /// The run to make.
    pub run_id: RunId,
    /// Its place.
    pub slot: Slot,
    /// The program.
    pub tool: Tool,
    /// The model, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The conversation it goes on with, in the words of its tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Absolute path on this machine; checked against its policy.
    pub working_dir: String,
    /// Whether it asks.
    pub mode: PermissionMode,
    /// How it is driven.
    pub form: RunForm,
    /// `crr_…`: what the run may say of itself to the server.
    pub run_token: String,
    /// The role prompt: given to the tool as system prompt where it takes one, else before the first prompt.
    pub system_prompt: String,
}

impl std::fmt::Debug for StartRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartRun")
            .field("run_id", &self.run_id)
            .field("slot", &self.slot)
            .field("tool", &self.tool)
            .field("working_dir", &self.working_dir)
            .finish_non_exhaustive()
    }
}

/// The answer to a push: it is in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandReceipt {
    /// Whether it was there before.
    pub duplicate: bool,
    /// Its outcome, if it has one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CommandOutcome>,
}

/// How a command came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandOutcome {
    /// `completed`, `failed` or `expired`.
    pub status: CommandStatus,
    /// In words.
    pub result: String,
}

/// `POST /agents/{runId}/prompts`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushPrompt {
    /// Which; a second push of the same is a no-op.
    pub prompt_id: PromptId,
    /// What to tell the agent.
    pub text: String,
    /// Who it is from; an older server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PromptFrom>,
    /// Files that come with it. The machine fetches them into the folder of the run before the agent is told, and puts
    /// the path of each in place of its id in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PromptFile>,
}

/// A file that comes with a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptFile {
    /// Which; the server has it at `/api/machines/{machineId}/runs/{runId}/attachments/{attachmentId}`.
    pub attachment_id: AttachmentId,
    /// What its sender called it.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
}

/// `POST /agents/{runId}/prompts/{promptId}`: what is to become of a prompt the tool does not have yet.
///
/// Saying it again is a no-op, and it may overtake the push of the prompt itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ChangePrompt {
    /// The agent is told this instead.
    Edit {
        /// What to tell the agent.
        text: String,
        /// Who it is from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PromptFrom>,
    },
    /// The agent is not told it.
    Withdraw,
}

/// The answer: it is in the journal, and given to the tool when the turn before it is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptReceipt {
    /// Whether it was there before.
    pub duplicate: bool,
}

/// `POST /agents/{runId}/permissions/{permissionId}`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecidePermission {
    /// Allow or deny.
    pub decision: Decision,
    /// The digest of what was shown; another one is refused.
    pub digest: String,
    /// For how long an allowance holds.
    #[serde(default)]
    pub scope: PermissionScope,
    /// Who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Steerer>,
}

/// `POST /agents/{runId}/interrupt`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupt {
    /// Who ends the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Steerer>,
}
