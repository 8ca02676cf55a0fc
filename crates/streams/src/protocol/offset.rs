//! Places in a stream.

use std::fmt;
use std::str::FromStr;

/// Both numbers of an offset have so many digits, so that offsets sort as text.
const DIGITS: usize = 16;
/// The largest number that has as many.
const LARGEST: u64 = 9_999_999_999_999_999;

/// A place in a stream, as clients keep it: opaque to them, in stream order as bytes.
///
/// The generation tells the lives of a path apart: a stream that was deleted and made again refuses offsets
/// of the one before. Forks share the offsets of what they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    pub(crate) generation: u64,
    pub(crate) position: u64,
}

impl Offset {
    /// The offset that stands for the beginning of every stream.
    pub const BEGINNING: Self = Self { generation: 0, position: 0 };

    pub(crate) fn new(generation: u64, position: u64) -> Self {
        Self { generation, position }
    }

    /// Returns the place so many bytes behind it.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self { position: self.position + bytes, ..self }
    }

    /// Returns how many bytes of the stream come before it.
    pub fn position(self) -> u64 {
        self.position
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:0DIGITS$}_{:0DIGITS$}", self.generation, self.position)
    }
}

/// The text is no offset of this engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no offset; use -1, now, or one that an answer named")]
pub struct NotAnOffset;

impl FromStr for Offset {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        let number = |text: &str| {
            let fits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| fits && *number <= LARGEST);
            number.ok_or(NotAnOffset)
        };
        let (generation, position) = text.split_once('_').ok_or(NotAnOffset)?;
        Ok(Self { generation: number(generation)?, position: number(position)? })
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest byte there is: `-1`.
    Beginning,
    /// At the tail, whatever that is: `now`.
    Now,
    /// At a place.
    At(Offset),
}

impl FromStr for Start {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        match text {
            "-1" => Ok(Self::Beginning),
            "now" => Ok(Self::Now),
            text => text.parse().map(Self::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_sort_as_text_and_come_back() {
        let mut last = String::new();
        for (generation, position) in [(0, 0), (1, 0), (1, 9), (1, 10), (1, LARGEST), (2, 3)] {
            let offset = Offset::new(generation, position);
            let text = offset.to_string();
            assert!(text > last, "{text} after {last}");
            assert_eq!(text.parse(), Ok(offset));
            last = text;
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "1", "0_0", "now ", "-2", "0000000000000001_000000000000000x", "+000000000000001_0000000000000000"]
        {
            assert_eq!(text.parse::<Start>(), Err(NotAnOffset), "{text:?}");
        }
    }
}
