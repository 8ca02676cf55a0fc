//! The event feed: one ordered log per instance for live views, audit and jobs.

use serde::{Deserialize, Serialize};

use crate::{InstanceId, MachineId, Role, RoomId, Timestamp, UserId};

/// One change of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Counts up by one per instance, without gaps; read on with `after`.
    pub position: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, such as `task.completed`. Readers ignore kinds they do not know.
    pub kind: String,
    /// Who did it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// What others see of them; told where the feed is read backwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The room it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chatroom_id: Option<RoomId>,
    /// The role it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The machine it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// The id of what changed: a task, a command, a message, a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The new state or the outcome, in one word or sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// `GET /api/events`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Events {
    /// Whose feed this is.
    pub instance_id: InstanceId,
    /// In order of position; where the feed is read backwards, the newest first.
    pub events: Vec<EventView>,
    /// Where to read on: `after=` this, or `before=` this. Read backwards, 0 says that nothing older is kept.
    pub next: i64,
}
