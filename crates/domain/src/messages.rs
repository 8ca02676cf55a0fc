//! Messages and the text in them.

use crate::attachments::Attachment;
use chatroom_protocol::api::rooms::{MessageKind, Target};
use chatroom_protocol::{MessageId, Role, RoomId, RunId, TaskId, Timestamp, UserId};

/// How many characters a message may have.
pub const LENGTH_LIMIT: usize = 100_000;

/// How many messages may wait in a room for the work before them.
pub const QUEUE_LIMIT: u64 = 200;

/// Lines that end a heredoc of ours. A body that holds one was cut or would be, so it is refused.
pub const TERMINATORS: [&str; 4] =
    ["CHATROOM_HANDOFF_END", "CHATROOM_PROGRESS_END", "CHATROOM_MESSAGE_END", "CHATROOM_TASK_END"];

/// Who said a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// A person.
    User,
    /// An agent, by its role.
    Role(Role),
    /// The platform.
    System,
}

impl Sender {
    /// Returns the word that is stored and shown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Role(role) => role.as_str(),
            Self::System => "system",
        }
    }
}

/// One message in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it was said.
    pub room: RoomId,
    /// What it is.
    pub kind: MessageKind,
    /// Who said it.
    pub sender: Sender,
    /// The person behind it.
    pub user: Option<UserId>,
    /// Whom it is for.
    pub target: Option<Target>,
    /// Its text.
    pub content: String,
    /// Its order in the room's history, or in its queue.
    pub position: i64,
    /// Whether it still waits in the queue.
    pub queued: bool,
    /// The task it became or is about.
    pub task: Option<TaskId>,
    /// When it appeared.
    pub created_at: Timestamp,
    /// The run an agent said it from, if it was in one.
    pub run: Option<RunId>,
    /// Files beside it.
    pub attachments: Vec<Attachment>,
}

/// What was refused about a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nothing was said.
    #[error("the message is empty")]
    Empty,
    /// Too much was said.
    #[error("the message has more than {LENGTH_LIMIT} characters")]
    TooLong,
    /// Too many wait already.
    #[error("{QUEUE_LIMIT} messages wait in this room already; let the agents finish some, or take some back")]
    QueueFull,
    /// It became a task, or is part of the history.
    #[error("this message waits no more: it is in the room already, and cannot be changed")]
    Delivered,
    /// It holds one of our own terminators.
    #[error("the message holds the line {0}, which ends a message: it was cut or joined by mistake")]
    Terminator(&'static str),
    /// It holds a NUL character.
    #[error("the message holds a NUL character")]
    Nul,
}

/// Reads the text of a message: a leading `---MESSAGE---` or `---RESULT---` line is dropped.
pub fn parse_content(text: &str) -> Result<String, MessageError> {
    let text = ["---MESSAGE---", "---RESULT---"]
        .iter()
        .find_map(|head| {
            let rest = text.trim_start().strip_prefix(head)?;
            rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).or(rest.is_empty().then_some(""))
        })
        .unwrap_or(text);
    if text.trim().is_empty() {
        return Err(MessageError::Empty);
    }
    if text.chars().count() > LENGTH_LIMIT {
        return Err(MessageError::TooLong);
    }
    if text.contains('\0') {
        return Err(MessageError::Nul);
    }
    if let Some(found) = TERMINATORS.into_iter().find(|end| text.lines().any(|line| line.trim() == *end)) {
        return Err(MessageError::Terminator(found));
    }
    Ok(text.trim_end().to_owned())
}

/// How many characters stand before and behind what was found.
const AROUND: usize = 80;

/// Returns the first place in `text` that has `wanted`, in either case of ASCII letters: on one line, with something
/// before and behind it. Where it is not, the beginning.
pub fn excerpt(text: &str, wanted: &str) -> String {
    // Folding ASCII keeps every character where it is.
    let at = text.to_ascii_lowercase().find(&wanted.to_ascii_lowercase()).unwrap_or(0);
    let begin = text[..at].char_indices().rev().nth(AROUND - 1).map_or(0, |(begin, _)| begin);
    let behind = (at + wanted.len()).min(text.len());
    let behind = text.get(behind..).map_or(text.len(), |_| behind);
    let end = text[behind..].char_indices().nth(AROUND).map_or(text.len(), |(end, _)| behind + end);
    let line = text[begin..end].split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, after) = (if begin > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{line}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_were_cut_are_refused() {
        for (text, expected) in [
            ("hello\n", Ok("hello")),
            ("---MESSAGE---\nhello", Ok("hello")),
            ("---RESULT---\r\n$HOME `x`", Ok("$HOME `x`")),
            ("---RESULT---more", Ok("---RESULT---more")),
            ("EOF\nstill here", Ok("EOF\nstill here")),
            ("", Err(MessageError::Empty)),
            ("---RESULT---\n \n", Err(MessageError::Empty)),
            ("a\n CHATROOM_HANDOFF_END \nb", Err(MessageError::Terminator("CHATROOM_HANDOFF_END"))),
            ("a\0b", Err(MessageError::Nul)),
        ] {
            assert_eq!(parse_content(text), expected.map(str::to_owned), "{text:?}");
        }
        assert_eq!(parse_content(&"é".repeat(LENGTH_LIMIT)).map(|t| t.len()), Ok(2 * LENGTH_LIMIT));
        assert_eq!(parse_content(&"a".repeat(LENGTH_LIMIT + 1)), Err(MessageError::TooLong));
    }

    #[test]
    fn an_excerpt_shows_where_a_text_is() {
        let long = format!("{} Needle\n in {}", "é".repeat(200), "ü".repeat(200));
        for (text, wanted, expected) in [
            ("find the Needle here", "needle", "find the Needle here".to_owned()),
            ("a\n  b\tc", "B", "a b c".to_owned()),
            ("größe", "SS", "größe".to_owned()),
            ("", "x", String::new()),
            (&long, "NEEDLE", format!("…{} Needle in {}…", "é".repeat(79), "ü".repeat(75))),
        ] {
            assert_eq!(excerpt(text, wanted), expected);
        }
    }
}
