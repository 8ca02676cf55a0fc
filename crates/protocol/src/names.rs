//! Names people choose, parsed once at the edge.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that was refused, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct BadName {
    /// What was being read.
    pub what: &'static str,
    /// What is accepted.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $rule:literal, $pattern:literal, $accept:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads one, or says what is accepted.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                let accept: fn(usize, char) -> bool = $accept;
                let fits = !text.is_empty()
                    && text.len() <= $max
                    && text.chars().enumerate().all(|(at, c)| accept(at, c));
                fits.then(|| Self(text.to_owned())).ok_or(BadName { what: $what, rule: $rule })
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .max_length(Some($max))
                    .pattern(Some($pattern))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

name!(
    /// What an agent is called in its room, such as `builder`.
    ///
    /// The word `user` is not a role: it stands for the people of the room where
    /// a hand-off names its target, see [`crate::api::rooms::Target`].
    Role, "a role", 40,
    "1 to 40 letters, digits, '-' or '_', beginning with a letter",
    "^[A-Za-z][A-Za-z0-9_-]*$",
    |at, c| c.is_ascii_alphabetic() || (at > 0 && (c.is_ascii_digit() || c == '-' || c == '_'))
);

name!(
    /// A model id as its tool spells it; it can never be taken for an option.
    ModelId, "a model", 128,
    "1 to 128 letters, digits or any of . _ : / @ -, beginning with a letter or digit",
    "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
    |at, c| c.is_ascii_alphanumeric() || (at > 0 && "._:/@-".contains(c))
);

name!(
    /// The id an agent program gave one of its conversations; it can never be taken for an option.
    ConversationId, "a conversation", 200,
    "1 to 200 letters, digits or any of . _ : -, beginning with a letter or digit",
    "^[A-Za-z0-9][A-Za-z0-9._:-]*$",
    |at, c| c.is_ascii_alphanumeric() || (at > 0 && "._:-".contains(c))
);

/// An agent program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// `opencode`
    Opencode,
    /// `claude`
    Claude,
    /// Cursor's `agent`
    Cursor,
    /// `pi`
    Pi,
}

impl Tool {
    /// Every tool there is, in the order shown to people.
    pub const ALL: [Tool; 4] = [Tool::Claude, Tool::Opencode, Tool::Cursor, Tool::Pi];

    /// Returns the word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Tool::Opencode => "opencode",
            Tool::Claude => "claude",
            Tool::Cursor => "cursor",
            Tool::Pi => "pi",
        }
    }

    /// Returns whether the tool can ask for permission before it acts.
    pub fn can_ask(self) -> bool {
        !matches!(self, Tool::Pi)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tool {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Tool::ALL
            .into_iter()
            .find(|tool| tool.as_str() == text)
            .ok_or(BadName { what: "a tool", rule: "one of claude, opencode, cursor, pi" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_looks_like_an_option_is_a_name() {
        for bad in ["-x", "--model", "", " a", "a b", "a\n", "$(id)", "é", "a;b"] {
            assert!(Role::parse(bad).is_err(), "{bad:?}");
            assert!(ModelId::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["gpt-5", "anthropic/claude-opus-4.1", "a@b:c"] {
            assert_eq!(ModelId::parse(good).map(|m| m.to_string()), Ok(good.to_owned()));
        }
        assert!(Role::parse(&"a".repeat(41)).is_err());
    }
}
