//! What a log record says: one change of one stream, whole or not at all.

use bytes::Bytes;

use super::codec::{Garbled, Put, Take};
use crate::protocol::{Claim, ContentType, Lifetime};

/// What a stream is made with, and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub id: u64,
    pub generation: u64,
    pub path: Box<str>,
    pub content_type: ContentType,
    pub lifetime: Lifetime,
    /// Whether the request named the life time, or it came from the stream that was forked.
    pub lifetime_given: bool,
    pub fork: Option<Fork>,
}

/// What a stream was forked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fork {
    pub source: u64,
    /// Where the source's bytes end and its own begin.
    pub at: u64,
    /// As the request had it.
    pub asked: AskedFork,
}

/// How a request names what to fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedFork {
    pub path: Box<str>,
    pub anchor: Option<u64>,
    pub sub: u64,
}

/// Bytes with the places between them where a page may end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub bytes: Bytes,
    /// Positions in the stream where a page ends.
    pub cuts: Vec<u64>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A stream begins, perhaps with content, perhaps complete.
    Create { made: Made, content: Content, close: bool, at: u64 },
    /// It grows, or closes, or both.
    Append {
        id: u64,
        /// Where the bytes go: the tail until then.
        start: u64,
        content: Content,
        close: bool,
        claim: Option<Claim>,
        seq: Option<Box<str>>,
        at: u64,
    },
    /// It was asked to go.
    Delete { id: u64 },
    /// Its time is over.
    Expire { id: u64 },
    /// It was read.
    Touch { id: u64, at: u64 },
    /// What lies before a position is given up.
    Trim { id: u64, before: u64 },
}

impl Change {
    pub fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Create { made, content, close, at } => {
                to.put_byte(1);
                made.put(to);
                content.put(to);
                to.put_byte(u8::from(*close));
                to.put_number(*at);
            }
            Self::Append { id, start, content, close, claim, seq, at } => {
                to.put_byte(2);
                to.put_number(*id);
                to.put_number(*start);
                content.put(to);
                to.put_byte(u8::from(*close));
                put_maybe(to, claim.as_ref(), put_claim);
                put_maybe(to, seq.as_deref(), Put::put_text);
                to.put_number(*at);
            }
            Self::Delete { id } => {
                to.put_byte(3);
                to.put_number(*id);
            }
            Self::Expire { id } => {
                to.put_byte(4);
                to.put_number(*id);
            }
            Self::Touch { id, at } => {
                to.put_byte(5);
                to.put_number(*id);
                to.put_number(*at);
            }
            Self::Trim { id, before } => {
                to.put_byte(6);
                to.put_number(*id);
                to.put_number(*before);
            }
        }
    }

    pub fn take(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut from = Take(bytes);
        let change = match from.byte()? {
            1 => Self::Create {
                made: Made::take(&mut from)?,
                content: Content::take(&mut from)?,
                close: from.flag()?,
                at: from.number()?,
            },
            2 => Self::Append {
                id: from.number()?,
                start: from.number()?,
                content: Content::take(&mut from)?,
                close: from.flag()?,
                claim: from.maybe(take_claim)?,
                seq: from.maybe(|from| Ok(from.text()?.into()))?,
                at: from.number()?,
            },
            3 => Self::Delete { id: from.number()? },
            4 => Self::Expire { id: from.number()? },
            5 => Self::Touch { id: from.number()?, at: from.number()? },
            6 => Self::Trim { id: from.number()?, before: from.number()? },
            _ => return Err(Garbled),
        };
        if from.0.is_empty() { Ok(change) } else { Err(Garbled) }
    }
}

impl Made {
    pub fn put(&self, to: &mut Vec<u8>) {
        to.put_number(self.id);
        to.put_number(self.generation);
        to.put_text(&self.path);
        to.put_text(self.content_type.as_str());
        match &self.lifetime {
            Lifetime::Unbounded => to.put_byte(0),
            Lifetime::Ttl(seconds) => {
                to.put_byte(1);
                to.put_number(*seconds);
            }
            Lifetime::Until { moment, given } => {
                to.put_byte(2);
                to.put_number(*moment);
                to.put_text(given);
            }
        }
        to.put_byte(u8::from(self.lifetime_given));
        put_maybe(to, self.fork.as_ref(), |to, fork| {
            to.put_number(fork.source);
            to.put_number(fork.at);
            to.put_text(&fork.asked.path);
            put_maybe(to, fork.asked.anchor, Put::put_number);
            to.put_number(fork.asked.sub);
        });
    }

    pub fn take(from: &mut Take<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            id: from.number()?,
            generation: from.number()?,
            path: from.text()?.into(),
            content_type: ContentType::parse(from.text()?).ok_or(Garbled)?,
            lifetime: match from.byte()? {
                0 => Lifetime::Unbounded,
                1 => Lifetime::Ttl(from.number()?),
                2 => Lifetime::Until { moment: from.number()?, given: from.text()?.into() },
                _ => return Err(Garbled),
            },
            lifetime_given: from.flag()?,
            fork: from.maybe(|from| {
                let (source, at) = (from.number()?, from.number()?);
                let path = from.text()?.into();
                let anchor = from.maybe(Take::number)?;
                Ok(Fork { source, at, asked: AskedFork { path, anchor, sub: from.number()? } })
            })?,
        })
    }
}

impl Content {
    fn put(&self, to: &mut Vec<u8>) {
        to.put_bytes(&self.bytes);
        put_numbers(to, &self.cuts);
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Garbled> {
        let bytes = Bytes::copy_from_slice(from.bytes()?);
        Ok(Self { bytes, cuts: from.many(Take::number)? })
    }
}

pub(crate) fn put_numbers(to: &mut Vec<u8>, numbers: &[u64]) {
    to.put_number(numbers.len() as u64);
    for number in numbers {
        to.put_number(*number);
    }
}

pub(crate) fn put_maybe<T>(to: &mut Vec<u8>, what: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    to.put_byte(u8::from(what.is_some()));
    if let Some(what) = what {
        put(to, what);
    }
}

fn put_claim(to: &mut Vec<u8>, claim: &Claim) {
    to.put_text(&claim.id);
    to.put_number(claim.epoch);
    to.put_number(claim.seq);
}

fn take_claim(from: &mut Take<'_>) -> Result<Claim, Garbled> {
    Ok(Claim { id: from.text()?.into(), epoch: from.number()?, seq: from.number()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_comes_back() {
        let made = Made {
            id: 9,
            generation: 3,
            path: "a/b".into(),
            content_type: ContentType::default(),
            lifetime: Lifetime::Until { moment: 5, given: "x".into() },
            lifetime_given: true,
            fork: Some(Fork { source: 3, at: 700, asked: AskedFork { path: "c".into(), anchor: Some(690), sub: 10 } }),
        };
        let content = Content { bytes: Bytes::from_static(b"abc"), cuts: vec![1, 2] };
        let claim = Claim { id: "p".into(), epoch: 1, seq: 300 };
        for change in [
            Change::Create { made, content: content.clone(), close: true, at: 77 },
            Change::Append {
                id: 9,
                start: 700,
                content,
                close: false,
                claim: Some(claim),
                seq: Some("s".into()),
                at: 1,
            },
            Change::Delete { id: 1 },
            Change::Expire { id: 128 },
            Change::Touch { id: 1, at: u64::MAX },
            Change::Trim { id: 1, before: 2 },
        ] {
            let mut bytes = Vec::new();
            change.put(&mut bytes);
            assert_eq!(Change::take(&bytes).as_ref(), Ok(&change));
            bytes.push(0);
            assert_eq!(Change::take(&bytes), Err(Garbled));
        }
    }
}
