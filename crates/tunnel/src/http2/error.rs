//! Why a stream or a connection failed.

use std::fmt;

/// An error code of HTTP/2 (RFC 9113, 7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub(crate) u32);

impl Reason {
    /// Nothing went wrong.
    pub const NO_ERROR: Self = Self(0x0);
    /// A rule that has no code of its own was broken.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// The end that says so is at fault itself.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// More was sent than the window had room for.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// Something came for a stream that had ended.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame had a size it cannot have.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was refused before anything was done about it.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// Nobody wants the stream any more.
    pub const CANCEL: Self = Self(0x8);
    /// Headers could not be unpacked.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The other end takes up too much.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);

    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an exchange, or the connection under it, ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Http2Error {
    /// The peer ended the stream.
    #[error("the peer reset the stream ({0})")]
    Reset(Reason),
    /// The peer said goodbye. Streams that end so were never acted on.
    #[error("the peer said goodbye ({0})")]
    GoAway(Reason),
    /// The peer broke a rule of the protocol, and was told so.
    #[error("the peer broke HTTP/2: {what} ({reason})")]
    Broken {
        /// What the peer was told.
        reason: Reason,
        /// The rule.
        what: &'static str,
    },
    /// The connection is gone, for a reason its driver tells.
    #[error("the connection is gone")]
    Lost,
}

impl Http2Error {
    pub(super) fn broken(reason: Reason, what: &'static str) -> Self {
        Self::Broken { reason, what }
    }

    pub(super) fn protocol(what: &'static str) -> Self {
        Self::broken(Reason::PROTOCOL_ERROR, what)
    }
}
