//! What frames look like (RFC 9113, 4.1 and 6).

use bytes::BufMut;

use super::error::Reason;

/// What a client says before anything else (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The bytes before each frame.
pub(super) const HEAD: usize = 9;
/// The highest number of a stream, and the most a window may hold.
pub(super) const MAX: u32 = (1 << 31) - 1;
/// The most a frame may carry while nothing else is agreed.
pub(super) const SMALLEST_MOST: usize = 1 << 14;
/// The window of a connection and of each stream while nothing else is said.
pub(super) const WINDOW: u32 = (1 << 16) - 1;

pub(super) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

pub(super) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(crate) const ENABLE_PUSH: u16 = 0x2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// Reads a head, if all of it is there.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s @ ..] = bytes.first_chunk::<HEAD>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(Self { length, kind, flags, stream: u32::from_be_bytes(s) & MAX })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn put(self, out: &mut impl BufMut) {
        out.put_uint(self.length as u64, 3);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u32(self.stream);
    }
}

pub(super) fn settings(out: &mut impl BufMut, settings: &[(u16, u32)]) {
    Head { length: settings.len() * 6, kind: kind::SETTINGS, flags: 0, stream: 0 }.put(out);
    for &(name, value) in settings {
        out.put_u16(name);
        out.put_u32(value);
    }
}

pub(super) fn settings_ack(out: &mut impl BufMut) {
    Head { length: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }.put(out);
}

pub(super) fn ping(out: &mut impl BufMut, flags: u8, opaque: [u8; 8]) {
    Head { length: 8, kind: kind::PING, flags, stream: 0 }.put(out);
    out.put_slice(&opaque);
}

pub(super) fn window_update(out: &mut impl BufMut, stream: u32, by: u32) {
    Head { length: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream }.put(out);
    out.put_u32(by);
}

pub(super) fn reset(out: &mut impl BufMut, stream: u32, reason: Reason) {
    Head { length: 4, kind: kind::RST_STREAM, flags: 0, stream }.put(out);
    out.put_u32(reason.0);
}

/// Says goodbye. A client takes no streams, so the last one it took is always none.
pub(super) fn go_away(out: &mut impl BufMut, reason: Reason) {
    Head { length: 8, kind: kind::GOAWAY, flags: 0, stream: 0 }.put(out);
    out.put_u32(0);
    out.put_u32(reason.0);
}

/// Writes packed headers down, in as many frames as they need.
pub(super) fn headers(out: &mut impl BufMut, stream: u32, end: bool, mut block: &[u8], most: usize) {
    let mut kind = kind::HEADERS;
    let mut flags = if end { flag::END_STREAM } else { 0 };
    loop {
        let (piece, rest) = block.split_at(block.len().min(most));
        if rest.is_empty() {
            flags |= flag::END_HEADERS;
        }
        Head { length: piece.len(), kind, flags, stream }.put(out);
        out.put_slice(piece);
        if rest.is_empty() {
            return;
        }
        (kind, flags, block) = (kind::CONTINUATION, 0, rest);
    }
}
