//! Agents: the slot of a role, its run, and how people steer it.

use serde::{Deserialize, Serialize};

use crate::{MachineId, ModelId, PermissionId, PromptId, Role, RoomId, RunId, Timestamp, Tool};

use super::auth::Decision;
use super::daemon::PromptFrom;
use super::machines::AgentConfigView;

/// Whether an agent asks before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionMode {
    /// A pending request is the status "Needs you".
    Ask,
    /// It acts without asking; the machine's own policy must permit that.
    Auto,
}

impl PermissionMode {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Auto => "auto",
        }
    }
}

/// How a tool is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunForm {
    /// Through its machine-readable protocol.
    Managed,
    /// As a person would start it, in a terminal that people can join.
    Terminal,
}

impl RunForm {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Terminal => "terminal",
        }
    }
}

/// What an agent is doing, in the words used everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStatus {
    /// Its machine has no daemon connected.
    Offline,
    /// Nobody asked it to run.
    Stopped,
    /// Command sent, process not confirmed.
    Starting,
    /// Ready, no task.
    Waiting,
    /// In a turn.
    Working,
    /// Asks for a permission or for input.
    NeedsYou,
    /// Ended its turn without handing off.
    AwaitingHandoff,
    /// Signal sent.
    Stopping,
    /// Crashed too often, or could not be started.
    GaveUp,
    /// A status this version does not know.
    #[serde(other)]
    Unknown,
}

impl AgentStatus {
    /// Returns the word people see.
    pub fn label(self) -> &'static str {
        match self {
            Self::Offline => "Offline",
            Self::Stopped => "Stopped",
            Self::Starting => "Starting",
            Self::Waiting => "Waiting",
            Self::Working => "Working",
            Self::NeedsYou => "Needs you",
            Self::AwaitingHandoff => "Awaiting handoff",
            Self::Stopping => "Stopping",
            Self::GaveUp => "Gave up",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a live run last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunActivity {
    /// The process is being started, or has not said it is ready.
    Starting,
    /// Ready for a prompt.
    Idle,
    /// In a turn.
    Working,
    /// In a turn that stands still until a permission is answered.
    WaitingPermission,
    /// It was told to stop.
    Stopping,
    /// It is over.
    Exited,
}

impl RunActivity {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::WaitingPermission => "waiting-permission",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
        }
    }
}

/// For how long an allowance holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionScope {
    /// For what was asked.
    #[default]
    Once,
    /// For what the question calls `always`, until the run is over.
    Run,
}

/// What an agent asks a person to permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionView {
    /// Its id.
    pub permission_id: PermissionId,
    /// One line, such as the tool and its command.
    pub title: String,
    /// Exactly what would be done, as the agent program said it (JSON or text, capped).
    pub input: String,
    /// What else would be permitted until the run is over, where the answer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<String>,
    /// A hash of title, input and `always`; an answer must name it, so that nobody permits what they did not see.
    pub digest: String,
    /// When it was asked.
    pub asked_at: Timestamp,
}

/// A role of a room as an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// The role.
    pub role: Role,
    /// What it is doing.
    pub status: AgentStatus,
    /// Why, where that is not plain: the machine that is away, the last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when its machine is away, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_since: Option<Timestamp>,
    /// When it is started again, where it stopped by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<Timestamp>,
    /// The machine it runs on, or last ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// Its live run, or its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunView>,
    /// How often it stopped by itself within ten minutes since a person started it.
    #[serde(default)]
    pub crashes: u64,
    /// What it waits to be permitted.
    pub permissions: Vec<PermissionView>,
    /// Whether its user lets the other members of the room act through it.
    pub shared: bool,
    /// Whether what is saved for it differs from what its live run was started with: the next run takes it.
    #[serde(default)]
    pub restart_needed: bool,
    /// The configurations the caller may see: one per machine of theirs.
    pub configs: Vec<AgentConfigView>,
}

/// `GET /api/chatrooms/{chatroomId}/agents` (`getAgentConfigs` of the seed)
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agents {
    /// One per role, in the room's order.
    pub agents: Vec<AgentView>,
}

/// One process incarnation of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Its id.
    pub run_id: RunId,
    /// The room.
    pub chatroom_id: RoomId,
    /// The role.
    pub role: Role,
    /// Where it runs.
    pub machine_id: MachineId,
    /// What it runs.
    pub tool: Tool,
    /// The model, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Where it works.
    pub working_dir: String,
    /// Whether it asks.
    pub mode: PermissionMode,
    /// How it is driven.
    pub form: RunForm,
    /// What it last said of itself.
    pub activity: RunActivity,
    /// The process, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exited_at: Option<Timestamp>,
    /// How it ended, in words for the user of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// Whether it ended though nobody asked it to.
    #[serde(default)]
    pub crashed: bool,
}

/// `GET /api/chatrooms/{chatroomId}/agents/{role}/runs`, the newest first, and `GET /api/machines/{machineId}/runs`, the
/// oldest first
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Runs {
    /// In the order the route says.
    pub runs: Vec<RunView>,
    /// Where to read on, if there are more: `after=` this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RunId>,
}

/// `PUT /api/chatrooms/{chatroomId}/agents/{role}/share`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareAgent {
    /// Whether other members' messages reach it without its user.
    pub shared: bool,
}

/// `POST /api/chatrooms/{chatroomId}/agents/{role}/permissions/{permissionId}`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerPermission {
    /// Allow or deny.
    pub decision: Decision,
    /// The digest of what was shown.
    pub digest: String,
    /// For how long an allowance holds: once, or `run` for what the question calls `always`.
    #[serde(default)]
    pub scope: PermissionScope,
}

/// Where a prompt is on its way to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptStage {
    /// The agent does not have it yet; a follow-up can still be changed.
    Waiting,
    /// It was given to the agent, whose turn about it is not over.
    Given,
}

/// What an agent is told, or is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptView {
    /// Its id.
    pub prompt_id: PromptId,
    /// Who it is from.
    pub from: PromptFrom,
    /// Its text.
    pub text: String,
    /// Whether the agent has it.
    pub stage: PromptStage,
    /// When it was written down.
    pub created_at: Timestamp,
}

/// `GET /api/chatrooms/{chatroomId}/agents/{role}/prompts`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Prompts {
    /// In the order in which the agent gets them.
    pub prompts: Vec<PromptView>,
}

/// `POST /api/chatrooms/{chatroomId}/agents/{role}/follow-up`, and
/// `PUT /api/chatrooms/{chatroomId}/agents/{role}/prompts/{promptId}`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FollowUp {
    /// What to tell the agent; 1 to 100,000 characters.
    pub text: String,
}
