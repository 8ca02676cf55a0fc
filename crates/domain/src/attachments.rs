//! Files beside messages: images and text, told apart by their bytes and never by what somebody says they are.

use std::str::FromStr;

use chatroom_protocol::{AttachmentId, MessageId, RoomId, Timestamp, UserId};

/// How many a message may have.
pub const PER_MESSAGE: usize = 8;
/// How many bytes an image may have.
pub const IMAGE_LIMIT: usize = 5 * 1024 * 1024;
/// How many bytes a text may have.
pub const TEXT_LIMIT: usize = 1024 * 1024;
/// How many of one person may wait for their message.
pub const UNCLAIMED_LIMIT: u64 = 64;
/// How long one waits for its message, in milliseconds.
pub const UNCLAIMED_MS: i64 = 24 * 3600 * 1000;
/// How many bytes a name may have.
const NAME_LIMIT: usize = 120;

/// A file beside a message, or one that waits for its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// Where it was sent.
    pub room: RoomId,
    /// Who sent it.
    pub user: UserId,
    /// The message it is beside.
    pub message: Option<MessageId>,
    /// What its sender called it.
    pub name: FileName,
    /// What it is.
    pub media: Media,
    /// How many bytes it has.
    pub size: u64,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// What was refused about an attachment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentError {
    /// It is something else.
    #[error("only png, jpeg, gif and webp images and UTF-8 text can be attached")]
    Unknown,
    /// It is too large.
    #[error("an attached {0} has at most {1} MiB")]
    TooLarge(&'static str, usize),
    /// The name does not fit.
    #[error("the name of an attachment must be 1 to {NAME_LIMIT} bytes, without a slash or a control character")]
    BadName,
    /// A message has too many.
    #[error("a message has at most {PER_MESSAGE} attachments, each once")]
    TooMany,
    /// Too many wait for their message.
    #[error("{UNCLAIMED_LIMIT} attachments of yours wait for a message already; send one with them first")]
    TooManyWaiting,
    /// There is none that this message could have.
    #[error("no such attachment of yours waits in this room; one belongs to one message, and waits a day for it")]
    NotWaiting,
}

/// The name of a file: one part of a path, nothing that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FromStr for FileName {
    type Err = AttachmentError;

    fn from_str(text: &str) -> Result<Self, AttachmentError> {
        let text = text.trim();
        let bad = |c: char| c.is_control() || matches!(c, '/' | '\\');
        if !(1..=NAME_LIMIT).contains(&text.len()) || text.contains(bad) || matches!(text, "." | "..") {
            return Err(AttachmentError::BadName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl FileName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name with nothing in it that a shell, a terminal or a header takes for its own.
    pub fn plain(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        let name: String = self.0.chars().map(plain).collect();
        let name = name.trim_start_matches(['-', '.']);
        if name.is_empty() { "file".to_owned() } else { name.to_owned() }
    }
}

/// What an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `image/png`
    Png,
    /// `image/jpeg`
    Jpeg,
    /// `image/gif`
    Gif,
    /// `image/webp`
    Webp,
    /// `text/plain`, in UTF-8
    Text,
}

impl Media {
    const ALL: [Self; 5] = [Self::Png, Self::Jpeg, Self::Gif, Self::Webp, Self::Text];

    /// Says what bytes are, and refuses what is too large or none of these.
    pub fn of(bytes: &[u8]) -> Result<Self, AttachmentError> {
        let image = match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        };
        match image {
            Some(_) if bytes.len() > IMAGE_LIMIT => Err(AttachmentError::TooLarge("image", IMAGE_LIMIT >> 20)),
            Some(image) => Ok(image),
            None if bytes.is_empty() || bytes.contains(&0) || std::str::from_utf8(bytes).is_err() => {
                Err(AttachmentError::Unknown)
            }
            None if bytes.len() > TEXT_LIMIT => Err(AttachmentError::TooLarge("text", TEXT_LIMIT >> 20)),
            None => Ok(Self::Text),
        }
    }

    /// Returns its media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Text => "text/plain",
        }
    }
}

impl FromStr for Media {
    type Err = AttachmentError;

    fn from_str(text: &str) -> Result<Self, AttachmentError> {
        Self::ALL.into_iter().find(|media| media.as_str() == text).ok_or(AttachmentError::Unknown)
    }
}

/// Checks the attachments a message names.
pub fn check_named(ids: &[AttachmentId]) -> Result<(), AttachmentError> {
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    if ids.len() > PER_MESSAGE || different.len() != ids.len() { Err(AttachmentError::TooMany) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_say_what_they_are() {
        let png = b"\x89PNG\r\n\x1a\nrest".to_vec();
        let large = [png.clone(), vec![7; IMAGE_LIMIT]].concat();
        for (bytes, expected) in [
            (png, Ok(Media::Png)),
            (b"\xff\xd8\xff\xe0".to_vec(), Ok(Media::Jpeg)),
            (b"GIF89a".to_vec(), Ok(Media::Gif)),
            (b"GIF88a".to_vec(), Ok(Media::Text)),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ".to_vec(), Ok(Media::Webp)),
            ("größe\n".as_bytes().to_vec(), Ok(Media::Text)),
            (b"<svg onload=alert(1)>".to_vec(), Ok(Media::Text)),
            (Vec::new(), Err(AttachmentError::Unknown)),
            (b"a\0b".to_vec(), Err(AttachmentError::Unknown)),
            (b"\x7fELF\xff".to_vec(), Err(AttachmentError::Unknown)),
            (vec![b'a'; TEXT_LIMIT], Ok(Media::Text)),
            (vec![b'a'; TEXT_LIMIT + 1], Err(AttachmentError::TooLarge("text", 1))),
            (large, Err(AttachmentError::TooLarge("image", 5))),
        ] {
            assert_eq!(Media::of(&bytes), expected, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_name_leads_nowhere() {
        for bad in ["", " ", ".", "..", "a/b", "a\\b", "a\nb", "a\0", &"é".repeat(61)] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
        for (name, plain) in [
            ("shot 1.png", "shot-1.png"),
            ("-rf", "rf"),
            (".env", "env"),
            ("größe", "gr--e"),
            ("$(id)", "id-"),
            ("ü", "file"),
        ] {
            assert_eq!(name.parse::<FileName>().map(|name| name.plain()).as_deref(), Ok(plain), "{name}");
        }
    }
}
