//! Commands: typed, durable requests to a machine.

use serde::{Deserialize, Serialize};

use crate::{CommandId, MachineId, Role, RoomId, RunId, Timestamp, UserId};

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandType {
    /// Start the agent of a role as configured.
    StartAgent,
    /// Stop it.
    StopAgent,
    /// Stop it, then start it, as one command.
    RestartAgent,
    /// Answer.
    Ping,
    /// Tell how the machine and its agents are.
    Status,
}

impl CommandType {
    /// Every type there is.
    pub const ALL: [Self; 5] = [Self::StartAgent, Self::StopAgent, Self::RestartAgent, Self::Ping, Self::Status];

    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartAgent => "start-agent",
            Self::StopAgent => "stop-agent",
            Self::RestartAgent => "restart-agent",
            Self::Ping => "ping",
            Self::Status => "status",
        }
    }

    /// Returns whether it is about the agent of a role.
    pub fn wants_agent(self) -> bool {
        matches!(self, Self::StartAgent | Self::StopAgent | Self::RestartAgent)
    }
}

/// Where a command is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandStatus {
    /// Written down, not yet journalled by the machine.
    Pending,
    /// Journalled by the machine.
    Processing,
    /// Done.
    Completed,
    /// Not done; the result says why.
    Failed,
    /// Its deadline passed before it could start.
    Expired,
}

impl CommandStatus {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Returns whether nothing more will happen.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Expired)
    }
}

/// `POST /api/machines/{machineId}/commands` (`machines.sendCommand` of the seed), and nothing more:
/// tool, directory and arguments are never the client's to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendCommand {
    /// What to do.
    #[serde(rename = "type")]
    pub kind: CommandType,
    /// The room, for commands about an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chatroom_id: Option<RoomId>,
    /// The role, for commands about an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// For start and restart: go on with the conversation of the role's last run on this machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
}

/// A command as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandView {
    /// Its id.
    pub command_id: CommandId,
    /// The machine it is for.
    pub machine_id: MachineId,
    /// What it asks for.
    #[serde(rename = "type")]
    pub kind: CommandType,
    /// The room, for commands about an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chatroom_id: Option<RoomId>,
    /// The role, for commands about an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The run it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Where it is in its life.
    pub status: CommandStatus,
    /// The outcome in words, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Who sent it.
    pub sent_by: UserId,
    /// When it was sent.
    pub created_at: Timestamp,
    /// Past this it never starts.
    pub deadline_at: Timestamp,
    /// When the machine journalled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// When it reached its outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed_at: Option<Timestamp>,
}

/// `GET /api/machines/{machineId}/commands`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Commands {
    /// The newest first; at most 100.
    pub commands: Vec<CommandView>,
}

/// `POST /api/machines/{machineId}/commands/{commandId}/ack` (`machines.ackCommand` of the seed)
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AckCommand {
    /// `completed` or `failed`.
    pub status: CommandStatus,
    /// The outcome in words.
    #[serde(default)]
    pub result: Option<String>,
}
