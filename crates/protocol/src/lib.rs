//! Words that cross a wire: ids, names, commands, facts, events, request and
//! response bodies, error codes.
//!
//! Server, daemon and CLI know each other only through this crate. It does no
//! I/O and reads no clock. Every type here is readable one version back: fields
//! are added as optional, enums a reader may meet in the future have an
//! `Unknown` variant.

pub mod api;
pub mod asciicast;
pub mod error;
pub mod ids;
pub mod journal;
pub mod names;
pub mod time;
pub mod transcript;

pub use error::{ErrorCode, Problem};
pub use ids::{
    AttachmentId, CommandId, EventId, InstanceId, MachineId, MessageId, PermissionId, PromptId, RoomId, RunId,
    SessionId, TaskId, UserId,
};
pub use names::{BadName, ConversationId, ModelId, Role, Tool};
pub use time::Timestamp;

/// The version of the conversation between server and daemon.
///
/// It grows by one with each change an older peer cannot ignore. A daemon one
/// behind keeps working; a wider gap is refused with the command that fixes it.
pub const PROTOCOL_VERSION: u32 = 1;
