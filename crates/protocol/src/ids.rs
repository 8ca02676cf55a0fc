//! Ids: a prefix that says what they name, then a ULID.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;
use uuid::Uuid;

use crate::time::Timestamp;

/// Text that is not the id it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {wanted}: expected {prefix}… followed by 26 letters and digits")]
pub struct BadId {
    wanted: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = concat!($prefix, "_");

            /// Makes the id of something created at `at`; `random` tells apart what was created in one millisecond.
            pub fn from_parts(at: Timestamp, random: u128) -> Self {
                Self(Ulid::from_parts(at.0.unsigned_abs(), random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix(Self::PREFIX)
                    .filter(|rest| rest.len() == 26)
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    // Only the canonical spelling: one thing has one id.
                    .filter(|ulid| ulid.to_string() == text[Self::PREFIX.len()..])
                    .map(Self)
                    .ok_or(BadId { wanted: $wanted, prefix: Self::PREFIX })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-9A-HJKMNP-TV-Z]{26}$")))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

id!(
    /// A person.
    UserId, "usr", "a user id"
);
id!(
    /// A sign-in of the web or of a CLI device.
    SessionId, "ses", "a session id"
);
id!(
    /// A tenant: members, rooms, settings.
    InstanceId, "inst", "an instance id"
);
id!(
    /// A team of roles with messages and tasks (`chatroom` in flags).
    RoomId, "room", "a chatroom id"
);
id!(
    /// One message in a room.
    MessageId, "msg", "a message id"
);
id!(
    /// One piece of work for a role.
    TaskId, "task", "a task id"
);
id!(
    /// A typed, durable request to a machine.
    CommandId, "cmd", "a command id"
);
id!(
    /// One process incarnation of an agent.
    RunId, "run", "a run id"
);
id!(
    /// One prompt handed to a managed run; a second delivery of it is a no-op.
    PromptId, "prm", "a prompt id"
);
id!(
    /// One question of a run that a person answers.
    PermissionId, "perm", "a permission id"
);
id!(
    /// A file beside a message.
    AttachmentId, "att", "an attachment id"
);
id!(
    /// Anything else with a row of its own.
    EventId, "evt", "an event id"
);

/// A computer with a daemon: the UUID of `machine.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct MachineId(pub Uuid);

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for MachineId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_refuses_its_neighbours() {
        let id = CommandId::from_parts(Timestamp(1_700_000_000_000), 7);
        assert_eq!(id.to_string().parse::<CommandId>(), Ok(id));
        assert!((20..=40).contains(&id.to_string().len()));
        for bad in [
            "task_01HF7YAT00000000000000007",
            "cmd_",
            "cmd_01hf7yat000000000000000007",
            "cmd_01HF7YAT0000000000000000071",
            "",
            "cmd_éé",
        ] {
            assert!(bad.parse::<CommandId>().is_err(), "{bad}");
        }
    }
}
