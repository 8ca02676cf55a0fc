//! Machines, their credentials and how a second computer joins.

use serde::{Deserialize, Serialize};

use crate::{MachineId, ModelId, Role, RoomId, Timestamp, Tool};

use super::agents::{PermissionMode, RunForm};

/// Whether a tool is there. A probe that failed is neither yes nor no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToolPresence {
    /// Found on PATH and it told its version.
    Installed,
    /// Not on PATH.
    Missing,
    /// Found, but it did not answer as expected.
    ProbeFailed,
}

/// What a machine found out about one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolFacts {
    /// Which tool.
    pub tool: Tool,
    /// Whether it is there.
    pub presence: ToolPresence,
    /// What it says its version is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `PUT /api/machines/{machineId}` (`machines.register` of the seed)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterMachine {
    /// As the machine called itself when its identity was made; 1 to 255 characters.
    pub hostname: String,
    /// `linux`, `darwin` or `win32`, as in the seed.
    pub os: String,
    /// What was found on PATH, with versions where known.
    pub available_tools: Vec<ToolFacts>,
}

/// The mutual credential, shown once: each half proves one side to the other.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineCredential {
    /// `crm_…`: proves the machine to the platform.
    pub machine_token: String,
    /// `crp_…`: proves the platform to the machine.
    pub platform_token: String,
}

impl std::fmt::Debug for MachineCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MachineCredential { .. }")
    }
}

/// `POST /api/machines/{machineId}/credential`: the answer, and that of a first registration elsewhere.
/// Unlocking a locked machine is the same: everything issued before stops working.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedMachine {
    /// The machine.
    pub machine: MachineView,
    /// Its new credential; the one before it stopped working.
    pub credential: MachineCredential,
}

/// A machine as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineView {
    /// The UUID of its `machine.json`.
    pub machine_id: MachineId,
    /// As it called itself when its identity was made.
    pub hostname: String,
    /// What its user calls it; the host name until renamed.
    pub alias: String,
    /// `linux`, `darwin` or `win32`.
    pub os: String,
    /// The installed tools.
    pub available_tools: Vec<Tool>,
    /// Every tool looked for, with presence and version.
    pub tools: Vec<ToolFacts>,
    /// Whether a daemon holds a lease right now.
    pub daemon_connected: bool,
    /// The version of that daemon, or of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_version: Option<String>,
    /// What to do where its daemon was refused, because its version is too far from the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<String>,
    /// How often a daemon of this machine started.
    pub epoch: u64,
    /// When it was first registered.
    pub registered_at: Timestamp,
    /// When its lease was last renewed, or it registered.
    pub last_seen_at: Timestamp,
    /// Since when it is locked: its home was used from two places. Absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<Timestamp>,
}

/// `GET /api/machines` (`ListMachinesResult` of the seed)
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Machines {
    /// The caller's own, by alias.
    pub machines: Vec<MachineView>,
}

/// `PATCH /api/machines/{machineId}`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenameMachine {
    /// 1 to 80 characters.
    pub alias: String,
}

/// `PUT /api/machines/{machineId}/agents/{chatroomId}/{role}` (`machines.updateAgentConfig` of the seed)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateAgentConfig {
    /// Which tool runs this role on this machine.
    pub agent_type: Tool,
    /// Absolute path on the machine.
    pub working_dir: String,
    /// Kept when omitted and the tool stays the same.
    #[serde(default)]
    pub model: Option<ModelId>,
    /// Kept when omitted; `ask` at first.
    #[serde(default)]
    pub mode: Option<PermissionMode>,
    /// Kept when omitted; `managed` at first.
    #[serde(default)]
    pub form: Option<RunForm>,
    /// Write only where nothing is saved yet; the answer shows what is saved.
    #[serde(default)]
    pub only_if_absent: bool,
}

/// An agent configuration as saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentConfigView {
    /// The machine.
    pub machine_id: MachineId,
    /// The room.
    pub chatroom_id: RoomId,
    /// The role.
    pub role: Role,
    /// Which tool runs this role there.
    pub agent_type: Tool,
    /// Absolute path on the machine.
    pub working_dir: String,
    /// The model, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Whether the agent asks before it acts.
    pub mode: PermissionMode,
    /// How the tool is driven.
    pub form: RunForm,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The line that makes a second computer join.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enrolment {
    /// One use, 15 minutes.
    pub code: String,
    /// What to run on the other computer.
    pub line: String,
    /// When the code stops working.
    pub expires_at: Timestamp,
}

/// `POST /api/enrolments/claim`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimEnrolment {
    /// The one-use code.
    pub code: String,
    /// The id the joining home made for itself.
    pub machine_id: MachineId,
    /// What it registers as.
    pub machine: RegisterMachine,
}

/// `GET /api/machines/{machineId}/policy`: what a machine lets the server ask of it. Only verbs on that machine change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachinePolicy {
    /// Where agents may work: these folders and what is in them. `chatroom machine allow DIR` adds one.
    pub allowed_directories: Vec<String>,
    /// Where what projects bring along for agent programs holds in mode `ask` too.
    pub trusted_directories: Vec<String>,
    /// Whether agents may act without asking. `chatroom machine allow --auto` permits it.
    pub allow_auto: bool,
    /// Whether agents may be started in a terminal. `chatroom machine allow --terminal` permits it.
    pub allow_terminal: bool,
}
