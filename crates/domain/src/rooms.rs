//! Rooms: a team of roles with one entry point.

use chatroom_protocol::api::rooms::Target;
use chatroom_protocol::{InstanceId, Role, RoomId, Timestamp};

/// How many roles a room may have.
pub const ROLE_LIMIT: usize = 20;
/// How many tasks of a room may be active at once.
pub const TASK_LIMIT: u64 = 100;
/// How many hand-offs one message of a person may cause, so that two agents cannot pass work back and forth for ever.
pub const HANDOFF_LIMIT: u32 = 30;

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Where it belongs.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its roles, in order.
    pub roles: Vec<Role>,
    /// Who gets people's messages.
    pub entry: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Room {
    /// Returns the role, or says which there are.
    pub fn role(&self, role: &Role) -> Result<(), RoomError> {
        if self.roles.contains(role) {
            Ok(())
        } else {
            Err(RoomError::UnknownRole { role: role.clone(), roles: self.roles.clone() })
        }
    }
}

impl Room {
    /// Returns whom a message or a hand-off may go to, or says who there is.
    pub fn target(&self, target: &Target) -> Result<(), RoomError> {
        match target {
            Target::User => Ok(()),
            Target::Role(role) if self.roles.contains(role) => Ok(()),
            Target::Role(role) => Err(RoomError::UnknownTarget { role: role.clone(), roles: self.roles.clone() }),
        }
    }
}

/// What was refused about a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// Unknown, or not the caller's to see: both look the same.
    #[error("no such chatroom; `chatroom room list` shows yours")]
    NotFound,
    /// The room has no such role.
    #[error("no role {role} in this chatroom")]
    UnknownRole {
        /// What was asked for.
        role: Role,
        /// What there is.
        roles: Vec<Role>,
    },
    /// A message or a hand-off goes to nobody.
    #[error("no role {role} in this chatroom; hand to one of its roles, or to user")]
    UnknownTarget {
        /// What was asked for.
        role: Role,
        /// What there is, beside `user`.
        roles: Vec<Role>,
    },
    /// The name does not fit.
    #[error("a room's name must be 1 to 120 characters, none of them a control character")]
    BadName,
    /// The roles do not fit.
    #[error("a room has 1 to 20 different roles, and its entry point is one of them")]
    BadRoles,
    /// The word stands for people.
    #[error("`user` stands for the people of a room and cannot be a role")]
    ReservedRole,
}

/// Checks what a new room is made of; returns its name and entry point.
pub fn check_new(name: &str, roles: &[Role], entry: Option<&Role>) -> Result<(String, Role), RoomError> {
    let name = name.trim();
    if !(1..=120).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(RoomError::BadName);
    }
    if roles.iter().any(|role| matches!(role.as_str().to_ascii_lowercase().as_str(), "user" | "system")) {
        return Err(RoomError::ReservedRole);
    }
    let different: std::collections::BTreeSet<_> =
        roles.iter().map(|role| role.as_str().to_ascii_lowercase()).collect();
    let entry = entry.or(roles.first()).filter(|entry| roles.contains(entry)).ok_or(RoomError::BadRoles)?;
    if roles.len() > ROLE_LIMIT || different.len() != roles.len() {
        return Err(RoomError::BadRoles);
    }
    Ok((name.to_owned(), entry.clone()))
}
