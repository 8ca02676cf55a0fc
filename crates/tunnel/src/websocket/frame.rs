//! The heads of WebSocket frames (RFC 6455, 5.2), read byte by byte.

use std::io;

/// The longest head: two bytes, eight of length, four of mask.
pub(super) const HEAD: usize = 14;
/// The most a control frame carries.
pub(super) const CONTROL: usize = 125;

/// Stands for a length of two bytes, which follow.
const MEDIUM: u8 = 0x7E;
/// Stands for a length of eight bytes, which follow.
const LONG: u8 = 0x7F;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    fn read(code: u8) -> io::Result<Self> {
        [Self::Continuation, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|kind| kind.code() == code)
            .ok_or_else(|| bad("a kind of frame that carries no tunnel"))
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) is_last: bool,
    pub(super) length: u64,
    pub(super) mask: Option<[u8; 4]>,
}

impl Head {
    /// Returns the head of a whole message.
    pub(super) fn whole(kind: Kind, length: usize, mask: Option<[u8; 4]>) -> Self {
        Self { kind, is_last: true, length: length as u64, mask }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(self.kind.code() | if self.is_last { 0x80 } else { 0 });
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short @ ..MEDIUM), _) => out.push(masked | short),
            (_, Ok(medium)) => {
                out.push(masked | MEDIUM);
                out.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                out.push(masked | LONG);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend(self.mask.into_iter().flatten());
    }

    /// Reads a head from the bytes there are. `None` asks for one more.
    pub(super) fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(bad("a frame of an extension nobody agreed to"));
        }
        let kind = Kind::read(first & 0x0F)?;
        let is_last = first & 0x80 != 0;
        let short = second & 0x7F;
        if kind.is_control() && (!is_last || usize::from(short) > CONTROL) {
            return Err(bad("a control frame that is too long"));
        }
        let width = match short {
            MEDIUM => 2,
            LONG => 8,
            _ => 0,
        };
        let Some((length, rest)) = rest.split_at_checked(width) else {
            return Ok(None);
        };
        let length = match width {
            0 => u64::from(short),
            _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        if length >> 63 != 0 {
            return Err(bad("a frame longer than any"));
        }
        let mask = if second & 0x80 == 0 {
            None
        } else {
            match rest.first_chunk() {
                Some(mask) => Some(*mask),
                None => return Ok(None),
            }
        };
        Ok(Some(Self { kind, is_last, length, mask }))
    }
}

/// Covers or uncovers bytes which stand at `offset` in their frame.
pub(super) fn apply(mask: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let mut key = mask;
    key.rotate_left(usize::try_from(offset % 4).unwrap_or_default());
    // Sixteen at once: byte by byte, an unoptimised build would spend its time here.
    let wide = u128::from(u32::from_ne_bytes(key)) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
    let (chunks, rest) = bytes.as_chunks_mut();
    for chunk in chunks {
        *chunk = (u128::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

pub(super) fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the WebSocket of the tunnel broke the protocol: {why}"))
}
