//! Looking for a text in everything a person may see.

use serde::{Deserialize, Serialize};

use crate::{MessageId, RoomId, RunId, Timestamp, UserId};

/// `GET /api/search`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Found {
    /// Rooms whose name has it, the newest first.
    pub chatrooms: Vec<FoundRoom>,
    /// Messages that have it, the newest first.
    pub messages: Vec<FoundMessage>,
}

/// A room whose name has what was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundRoom {
    /// Its id.
    pub chatroom_id: RoomId,
    /// Its name.
    pub name: String,
    /// Since when it is put away, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
}

/// A message that has what was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundMessage {
    /// Its id.
    pub message_id: MessageId,
    /// Its room.
    pub chatroom_id: RoomId,
    /// The name of that room.
    pub chatroom_name: String,
    /// The role that said it, or `user` for a person, or `system`.
    pub sender: String,
    /// The person behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The run an agent said it from, if it was in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Whether it still waits in the queue.
    pub queued: bool,
    /// When it appeared.
    pub created_at: Timestamp,
    /// The place in its text, on one line, with something before and behind it.
    pub excerpt: String,
}
