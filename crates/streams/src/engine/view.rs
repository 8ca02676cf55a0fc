//! Reading: a range of a stream, and waiting for more.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Refusal;
use super::shared::Shared;
use super::stream::{Life, SharedFrame, Stream};
use super::{files, stream};
use crate::protocol::content::Kind;
use crate::protocol::{ContentType, Lifetime, Offset, Start, json};

/// A stream that was looked up.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
}

/// What is known of a stream beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What kind of bytes it has.
    pub content_type: ContentType,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Its end.
    pub tail: Offset,
    /// Whether it is complete.
    pub closed: bool,
}

/// A range of a stream that can be read: to the end of a page, or to the tail.
#[derive(Clone)]
pub struct View {
    reader: Reader,
    from: u64,
    to: u64,
    /// Whether it reaches the tail.
    pub is_up_to_date: bool,
    /// Whether it reaches the end of a complete stream.
    pub is_end: bool,
    /// Whether it ends where a page ends, so that it is the same for ever.
    pub is_whole_page: bool,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, stream: Arc<Stream>) -> Self {
        Self { shared, stream }
    }

    /// Returns what is known of the stream.
    pub fn about(&self) -> About {
        let visible = self.stream.visible();
        About {
            content_type: self.stream.made.content_type.clone(),
            lifetime: self.stream.made.lifetime.clone(),
            tail: self.stream.offset(visible.tail),
            closed: visible.closed,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.stream.kind
    }

    pub(crate) fn id(&self) -> u64 {
        self.stream.id()
    }

    /// Starts the time of the stream anew.
    pub(crate) fn touch(&self) {
        self.stream.touch(self.shared.options.clock.now());
    }

    /// Returns what there is from `start` on: a page at most.
    pub fn view(&self, start: Start) -> Result<View, Refusal> {
        let stream = &self.stream;
        let oldest = stream.oldest();
        let (tail, closed) = {
            let visible = stream.visible();
            match visible.life {
                Life::Living => (visible.tail, visible.closed),
                Life::Deleted => return Err(Refusal::Deleted),
                Life::Expired | Life::Gone => return Err(Refusal::NotFound),
            }
        };
        let from = match start {
            Start::Beginning | Start::At(Offset::BEGINNING) => oldest,
            Start::Now => tail,
            Start::At(offset) => {
                let is_earlier = offset.generation < stream.made.generation;
                if is_earlier || offset.generation == stream.made.generation && offset.position < oldest {
                    return Err(Refusal::Trimmed { oldest: stream.offset(oldest) });
                }
                if offset.generation != stream.made.generation || offset.position > tail {
                    return Err(Refusal::BadOffset);
                }
                offset.position
            }
        };
        let cut = stream.next_cut(from, tail);
        let to = cut.unwrap_or(tail);
        let is_up_to_date = to == tail;
        let is_end = is_up_to_date && closed;
        Ok(View { reader: self.clone(), from, to, is_up_to_date, is_end, is_whole_page: cut.is_some() })
    }

    /// Waits until there is something behind `position`, or nothing more can come.
    pub async fn more(&self, position: u64) {
        loop {
            let changed = self.stream.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let visible = self.stream.visible();
                if visible.tail > position || visible.closed || visible.life != Life::Living {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Returns the event that was last encoded, if it is the one.
    pub(crate) fn shared_frame(&self, is_it: impl Fn(&SharedFrame) -> bool) -> Option<Bytes> {
        let frame = self.stream.frame.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        frame.as_ref().filter(|frame| is_it(frame)).map(|frame| frame.encoded.clone())
    }

    /// Forgets it: it is kept only while somebody follows.
    pub(crate) fn forget_frame(&self) {
        *self.stream.frame.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    /// Keeps an event for the other readers of the same range.
    pub(crate) fn share_frame(&self, frame: stream::SharedFrame) {
        *self.stream.frame.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(frame);
    }
}

impl View {
    /// Returns where it begins.
    pub fn from(&self) -> Offset {
        self.reader.stream.offset(self.from)
    }

    /// Returns where it ends.
    pub fn next(&self) -> Offset {
        self.reader.stream.offset(self.to)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Whether files must be read for it.
    pub(crate) fn is_cold(&self) -> bool {
        !self.is_empty()
            && (self.from < self.reader.stream.own_start() || self.from < self.reader.stream.visible().flushed)
    }

    /// Returns its bytes as a client is sent them: messages of JSON as an array, all else as it is.
    ///
    /// Files may be read for it, so this has no place on a thread that must not wait.
    pub fn load(&self) -> Result<Bytes, Refusal> {
        if self.reader.stream.kind != Kind::Json {
            return self.raw(self.from, 0).map(Bytes::from);
        }
        if self.is_empty() {
            return Ok(Bytes::from_static(b"[]"));
        }
        // Messages end with a comma: so does what lies before one.
        let before = u64::from(self.from > self.reader.stream.oldest());
        let mut bytes = self.raw(self.from - before, 1 - usize::try_from(before).unwrap_or(0))?;
        let (Some(first), Some(last)) = (bytes.first().copied(), bytes.last_mut()) else {
            return Err(Refusal::Unreadable);
        };
        *last = b']';
        if before == 1 && first != b',' {
            return Err(Refusal::BadOffset);
        }
        if let Some(first) = bytes.first_mut() {
            *first = b'[';
        }
        Ok(Bytes::from(bytes))
    }

    /// Returns the stored bytes from `from` on, with so many empty ones before them.
    fn raw(&self, from: u64, before: usize) -> Result<Vec<u8>, Refusal> {
        let size = usize::try_from(self.to - from).map_err(|_| Refusal::Unreadable)?;
        let mut bytes = vec![0; before];
        bytes.reserve_exact(size);
        let read = read(&self.reader.shared, &self.reader.stream, from, self.to, &mut bytes);
        if let Err(error) = read {
            // It may have been deleted meanwhile.
            let oldest = self.reader.stream.oldest();
            let life = self.reader.stream.visible().life;
            return match life {
                Life::Gone | Life::Expired => Err(Refusal::NotFound),
                _ if self.from < oldest => Err(Refusal::Trimmed { oldest: self.reader.stream.offset(oldest) }),
                _ => {
                    tracing::error!(%error, stream.id = self.reader.stream.id(), "a stream cannot be read");
                    Err(Refusal::Unreadable)
                }
            };
        }
        Ok(bytes)
    }
}

/// Appends the bytes of `from..to` to `into`, those of sources included.
fn read(shared: &Shared, stream: &Stream, from: u64, to: u64, into: &mut Vec<u8>) -> io::Result<()> {
    let own = stream.own_start();
    if let Some(source) = stream.source.as_ref().filter(|_| from < own) {
        read(shared, source, from, to.min(own), into)?;
    }
    let from = from.max(own);
    if from >= to {
        return Ok(());
    }
    let mut in_memory = Vec::new();
    let in_files = stream.visible().copy_unwritten(from, to, &mut in_memory);
    if in_files > from {
        let begin = into.len();
        into.resize(begin + usize::try_from(in_files - from).map_err(io::Error::other)?, 0);
        files::read(&*shared.disk, stream.id(), from, &mut into[begin..], shared.options.file_bytes)?;
    }
    into.extend_from_slice(&in_memory);
    Ok(())
}

/// Whether a stream can be parted here: between messages of JSON, anywhere in all else.
pub(crate) fn can_part(reader: &Reader, position: u64) -> Result<bool, Refusal> {
    if reader.stream.kind != Kind::Json || position <= reader.stream.oldest() {
        return Ok(true);
    }
    let mut before = Vec::new();
    let read = read(&reader.shared, &reader.stream, position - 1, position, &mut before);
    read.map(|()| before == b",").map_err(|_| Refusal::Unreadable)
}

/// Finds the position so many messages or bytes behind another.
pub(crate) fn beyond(reader: &Reader, position: u64, count: u64) -> Result<u64, Refusal> {
    let tail = reader.stream.visible().tail;
    if reader.stream.kind != Kind::Json {
        return Some(position.saturating_add(count)).filter(|at| *at <= tail).ok_or(Refusal::ForkOutside);
    }
    let (mut at, mut left) = (position, count);
    while left > 0 {
        let view = reader.view(Start::At(reader.stream.offset(at)))?;
        if view.is_empty() {
            return Err(Refusal::ForkOutside);
        }
        let bytes = view.raw(at, 0)?;
        let mut rest = &bytes[..];
        while left > 0 && !rest.is_empty() {
            let end = json::first_end(rest).map_err(|_| Refusal::BadOffset)?;
            rest = &rest[end..];
            at += end as u64;
            left -= 1;
        }
    }
    Ok(at)
}
