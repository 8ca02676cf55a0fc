//! Rooms: a team of roles with one entry point.

use chatroom_protocol::api::rooms::Target;
use chatroom_protocol::{InstanceId, Role, RoomId, Timestamp, UserId};

use crate::agents::{Agent, Desired};

/// How many roles a room may have.
pub const ROLE_LIMIT: usize = 20;
/// How many tasks of a room may be active at once.
pub const TASK_LIMIT: u64 = 100;
/// How many hand-offs one message of a person may cause, so that two agents cannot pass work back and forth for ever.
pub const HANDOFF_LIMIT: u32 = 30;

/// How many bytes the standing instructions of a room may have: every agent of it is given them.
pub const INSTRUCTIONS_LIMIT: usize = 8 * 1024;

/// What the people of a room tell every agent of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions {
    /// What is said; empty once it was taken back.
    pub text: String,
    /// Who said it, or took it back.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

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
    /// What its people tell every agent of it.
    pub instructions: Option<Instructions>,
    /// Since when it is put away, if it is.
    pub archived_at: Option<Timestamp>,
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

    /// Returns whom a message or a hand-off may go to, or says who there is.
    pub fn target(&self, target: &Target) -> Result<(), RoomError> {
        match target {
            Target::User => Ok(()),
            Target::Role(role) if self.roles.contains(role) => Ok(()),
            Target::Role(role) => Err(RoomError::UnknownTarget { role: role.clone(), roles: self.roles.clone() }),
        }
    }

    /// Refuses what would be work in a room that is put away.
    pub fn is_open(&self) -> Result<(), RoomError> {
        if self.archived_at.is_some() { Err(RoomError::Archived(self.id)) } else { Ok(()) }
    }

    /// Refuses to put a room away while any of `agents` is wanted to run: it would go on unseen.
    pub fn may_be_archived(&self, agents: &[Agent]) -> Result<(), RoomError> {
        let wanted: Vec<_> =
            agents.iter().filter(|agent| agent.desired == Desired::Running).map(|agent| agent.role.as_str()).collect();
        if wanted.is_empty() { Ok(()) } else { Err(RoomError::AgentsWanted(wanted.join(", "))) }
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
    /// The standing instructions do not fit.
    #[error("standing instructions have at most {INSTRUCTIONS_LIMIT} bytes, none of them NUL")]
    BadInstructions,
    /// It is put away.
    #[error("this room is archived; `chatroom room unarchive --chatroom-id={0}` brings it back")]
    Archived(RoomId),
    /// Agents are wanted to run in it.
    #[error("a room is archived once nobody wants its agents to run; stop these first: {0}")]
    AgentsWanted(String),
    /// The word stands for people.
    #[error("`user` stands for the people of a room and cannot be a role")]
    ReservedRole,
}

/// Checks what a new room is made of; returns its name and entry point.
pub fn check_new(name: &str, roles: &[Role], entry: Option<&Role>) -> Result<(String, Role), RoomError> {
    let name = parse_name(name)?;
    if roles.iter().any(|role| matches!(role.as_str().to_ascii_lowercase().as_str(), "user" | "system")) {
        return Err(RoomError::ReservedRole);
    }
    let different: std::collections::BTreeSet<_> =
        roles.iter().map(|role| role.as_str().to_ascii_lowercase()).collect();
    let entry = entry.or(roles.first()).filter(|entry| roles.contains(entry)).ok_or(RoomError::BadRoles)?;
    if roles.len() > ROLE_LIMIT || different.len() != roles.len() {
        return Err(RoomError::BadRoles);
    }
    Ok((name, entry.clone()))
}

/// Reads the name of a room.
pub fn parse_name(name: &str) -> Result<String, RoomError> {
    let name = name.trim();
    if !(1..=120).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(RoomError::BadName);
    }
    Ok(name.to_owned())
}

/// Reads standing instructions; nothing but space is none.
pub fn parse_instructions(text: &str) -> Result<String, RoomError> {
    let text = text.trim();
    if text.len() > INSTRUCTIONS_LIMIT || text.contains('\0') {
        return Err(RoomError::BadInstructions);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_counted_in_bytes() {
        for (text, expected) in [
            (" be kind\n", Ok("be kind".to_owned())),
            (" \n", Ok(String::new())),
            (&"é".repeat(INSTRUCTIONS_LIMIT / 2), Ok("é".repeat(INSTRUCTIONS_LIMIT / 2))),
            (&"é".repeat(INSTRUCTIONS_LIMIT / 2 + 1), Err(RoomError::BadInstructions)),
            ("a\0b", Err(RoomError::BadInstructions)),
        ] {
            assert_eq!(parse_instructions(text), expected, "{} bytes", text.len());
        }
    }
}
