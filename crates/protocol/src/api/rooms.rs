//! Rooms and messages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attachments::AttachmentView;
use crate::{AttachmentId, BadName, InstanceId, MessageId, Role, RoomId, RunId, TaskId, Timestamp, UserId};

/// `POST /api/chatrooms`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateRoom {
    /// 1 to 120 characters.
    pub name: String,
    /// 1 to 20 different roles.
    pub roles: Vec<Role>,
    /// Who gets people's messages; the first role if omitted.
    #[serde(default)]
    pub entry: Option<Role>,
    /// Where the room belongs; the caller's own instance if omitted.
    #[serde(default)]
    pub instance_id: Option<InstanceId>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// Its id.
    pub chatroom_id: RoomId,
    /// Where it belongs.
    pub instance_id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its roles, in the order given.
    pub roles: Vec<Role>,
    /// Who gets people's messages.
    pub entry: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// What its people tell every agent of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Who wrote that: it reaches their own agents, and those shared with the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions_by: Option<UserId>,
    /// Since when it is put away, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
}

/// `PATCH /api/chatrooms/{chatroomId}`; what is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateRoom {
    /// 1 to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What every agent of the room is told, at most 8 KiB; empty takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Puts the room away, or brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// A room in the list of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomEntry {
    /// Its id.
    pub chatroom_id: RoomId,
    /// Where it belongs.
    pub instance_id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its roles, in the order given.
    pub roles: Vec<Role>,
    /// Who gets people's messages.
    pub entry: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is put away, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// When something was last said in it, or queued.
    pub last_activity_at: Timestamp,
    /// How many messages of others came after what the caller has read; at most 1,000 are counted.
    pub unread: u64,
    /// What waits for the caller.
    pub needs_you: NeedsYou,
    /// How many agents are in a turn.
    pub working: u64,
}

/// How much of a room waits for one person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeedsYou {
    /// Agents on their machines that ask for permission.
    pub asks: u64,
    /// Agents on their machines that crashed too often.
    pub gave_up: u64,
    /// Hand-offs to people that they have not read.
    pub handoffs: u64,
    /// Tasks with the words of others that wait to be let through to their agents.
    pub approvals: u64,
}

impl NeedsYou {
    /// Returns how much it is in all.
    pub fn total(&self) -> u64 {
        self.asks + self.gave_up + self.handoffs + self.approvals
    }
}

/// `GET /api/chatrooms`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rooms {
    /// Those the caller is a member of, the newest first.
    pub chatrooms: Vec<RoomEntry>,
    /// Where to read on, if there are more: `after=` this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RoomId>,
}

/// `PUT /api/chatrooms/{chatroomId}/read`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkRead {
    /// The last message the caller has read.
    pub message_id: MessageId,
}

/// Whom a message or hand-off goes to: a role, or the people of the room (`user`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The people of the room.
    User,
    /// A role.
    Role(Role),
}

impl Target {
    /// The word that stands for the people of the room.
    pub const USER: &'static str = "user";
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str(Self::USER),
            Self::Role(role) => role.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text == Self::USER { Ok(Self::User) } else { Role::parse(text).map(Self::Role) }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Target {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        Role::schema()
    }
}

impl utoipa::ToSchema for Target {}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Said by a person or an agent.
    Message,
    /// A result passed on.
    Handoff,
    /// A note on work under way.
    Progress,
    /// Said by the platform.
    Notice,
}

/// One message in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// Its id.
    pub message_id: MessageId,
    /// What it is.
    pub kind: MessageKind,
    /// The role that said it, or `user` for a person, or `system`.
    pub sender: String,
    /// The person behind it: who wrote it, or whose agent did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Its text.
    pub content: String,
    /// Whether it still waits in the queue.
    pub queued: bool,
    /// The task it became, or the task it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// When it appeared in the history; for a queued one, when it was sent.
    pub created_at: Timestamp,
    /// The run an agent said it from, if it was in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Files beside it, in the order of its sender.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentView>,
}

/// `GET /api/chatrooms/{chatroomId}/messages`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Messages {
    /// In the order of the room's history.
    pub messages: Vec<MessageView>,
    /// What waits to become a task, in order.
    pub queue: Vec<MessageView>,
}

/// `POST /api/chatrooms/{chatroomId}/messages`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendMessage {
    /// 1 to 100,000 characters.
    pub content: String,
    /// The entry role if omitted. Inside a run a message is a note to the room and makes no task.
    #[serde(default)]
    pub target_role: Option<Target>,
    /// Files beside it, which the caller sent to this room before: at most 8, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentId>,
}

/// `PUT /api/chatrooms/{chatroomId}/messages/{messageId}`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditMessage {
    /// What to say instead; 1 to 100,000 characters.
    pub content: String,
    /// Whom it is for instead; as before if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_role: Option<Role>,
}

/// `GET /api/chatrooms/{chatroomId}/export?format=json`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Export {
    /// The room.
    pub chatroom: RoomView,
    /// Everything that was said, in order.
    pub messages: Vec<MessageView>,
    /// What waits to become a task, in order.
    pub queue: Vec<MessageView>,
}
