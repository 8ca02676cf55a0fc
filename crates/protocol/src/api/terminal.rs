//! A run's terminal: what its viewers and the run say to each other.
//!
//! A viewer speaks with the server in the messages of a WebSocket: a binary one
//! holds bytes of the terminal, a text one holds JSON, [`ViewerSays`] one way and
//! [`TerminalSays`] the other. Between server and run the same travels as
//! [`Frame`]s in a stream of bytes.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The most one frame may hold.
pub const MAX_FRAME: usize = 64 * 1024;

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalSize {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl TerminalSize {
    /// Returns the nearest size a run takes: what it shows is kept, and a size costs memory.
    #[must_use]
    pub fn within_limits(self) -> Self {
        Self { columns: self.columns.clamp(2, 500), rows: self.rows.clamp(1, 250) }
    }
}

impl Default for TerminalSize {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

/// Whether a viewer wants to type. One viewer of a run types at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Typing {
    /// If nobody else does.
    #[default]
    Free,
    /// In the place of whoever does.
    Take,
    /// Not at all.
    Never,
}

impl Typing {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Take => "take",
            Self::Never => "never",
        }
    }
}

/// How a viewer joins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinTerminal {
    /// Whether it wants to type.
    #[serde(default)]
    pub typing: Typing,
    /// Its size, which the run takes while this viewer types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<TerminalSize>,
    /// Go on after this many bytes, seen before; if they are no longer kept, the screen is drawn anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The number it had before its connection was lost, whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
}

impl JoinTerminal {
    /// Returns it as the query of an address.
    pub fn query(&self) -> String {
        let mut query = format!("typing={}", self.typing.as_str());
        let size = [("columns", self.size.map(|size| size.columns)), ("rows", self.size.map(|size| size.rows))];
        let size = size.map(|(name, value)| (name, value.map(u64::from)));
        for (name, value) in size.into_iter().chain([("from", self.from), ("replaces", self.replaces)]) {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={value}");
            }
        }
        query
    }
}

/// What a viewer says beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ViewerSays {
    /// Its size is another now.
    Resize {
        /// The new one.
        size: TerminalSize,
    },
    /// It types from now on.
    Take,
    /// Something of a newer version.
    #[serde(other)]
    Unknown,
}

/// What a run's terminal says beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum TerminalSays {
    /// The first word.
    Joined {
        /// The number of this viewer.
        viewer: u64,
        /// Whether this viewer types.
        typing: bool,
        /// The terminal's size.
        size: TerminalSize,
        /// How many bytes came before those that follow now; a drawn screen counts for none.
        at: u64,
        /// How many bytes follow first that draw the screen as it is now.
        drawn: u64,
    },
    /// Somebody else types, or the size is another.
    Changed {
        /// Whether this viewer types.
        typing: bool,
        /// Whether anybody does.
        typed: bool,
        /// The terminal's size.
        size: TerminalSize,
    },
    /// This viewer read too slowly and missed something. It may join again.
    TooSlow,
    /// The program is over; nothing comes any more.
    Exited,
    /// The connection to the run ended, not the run. Join again.
    Lost {
        /// Why.
        reason: String,
    },
    /// Something of a newer version.
    #[serde(other)]
    Unknown,
}

/// A piece of what server and run say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of the terminal.
    Bytes(Vec<u8>),
    /// JSON.
    Text(String),
}

/// The stream holds something that is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a terminal's stream holds something that is no frame")]
pub struct BadFrame;

const BYTES: u8 = 0;
const TEXT: u8 = 1;
const HEAD: usize = 5;

impl Frame {
    /// Makes a frame of a word.
    pub fn says(word: &impl Serialize) -> Self {
        // Words of ours are plain data, which JSON can always say.
        Self::Text(serde_json::to_string(word).unwrap_or_default())
    }

    /// Returns it as it travels. What is longer than [`MAX_FRAME`] must be cut before.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match self {
            Self::Bytes(bytes) => (BYTES, bytes.as_slice()),
            Self::Text(text) => (TEXT, text.as_bytes()),
        };
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(HEAD + payload.len());
        frame.push(kind);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }
}

/// Reads frames from bytes that come in pieces. Never holds much more than one.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
}

impl Frames {
    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// Returns the next whole frame; `None` if there is none yet.
    pub fn take(&mut self) -> Result<Option<Frame>, BadFrame> {
        let Some((head, rest)) = self.held.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| BadFrame)?;
        if length > MAX_FRAME {
            return Err(BadFrame);
        }
        let Some(payload) = rest.get(..length).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.held.drain(..HEAD + length);
        match kind {
            BYTES => Ok(Some(Frame::Bytes(payload))),
            TEXT => String::from_utf8(payload).map(Frame::Text).map(Some).map_err(|_| BadFrame),
            _ => Err(BadFrame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let size = TerminalSize::default();
        let sent = [
            Frame::Bytes(b"\x1b[2J".to_vec()),
            Frame::says(&ViewerSays::Resize { size }),
            Frame::Bytes(Vec::new()),
            Frame::Bytes(vec![b'x'; MAX_FRAME]),
            Frame::says(&TerminalSays::Exited),
        ];
        let stream: Vec<u8> = sent.iter().flat_map(Frame::encode).collect();
        for step in [1, 4, 5, 6, 1000, stream.len()] {
            let mut frames = Frames::default();
            let mut came = Vec::new();
            for piece in stream.chunks(step) {
                frames.push(piece);
                while let Some(frame) = frames.take().expect("a frame") {
                    came.push(frame);
                }
            }
            assert_eq!(came, sent, "{step}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bad in [&[2, 0, 0, 0, 0][..], &[0, 0xff, 0, 0, 0], &[1, 0, 0, 0, 1, 0xff]] {
            let mut frames = Frames::default();
            frames.push(bad);
            assert_eq!(frames.take(), Err(BadFrame), "{bad:?}");
        }
    }

    #[test]
    fn words_of_a_newer_version_are_unknown() {
        assert_eq!(serde_json::from_str::<ViewerSays>(r#"{"type":"wave"}"#).expect("reads"), ViewerSays::Unknown);
        assert_eq!(serde_json::from_str::<TerminalSays>(r#"{"type":"bell"}"#).expect("reads"), TerminalSays::Unknown);
    }
}
