//! A stream as its readers see it: only what is durable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::change::{Content, Made};
use crate::protocol::Offset;
use crate::protocol::content::Kind;

/// How large the pieces are in which bytes wait in memory. Large blocks teach glibc's allocator to keep as much for later,
/// in each thread's own heap.
const PIECE: usize = 64 << 10;

/// Whether a stream can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It can.
    Living,
    /// It was deleted while it had forks.
    Deleted,
    /// Its time was over while it had forks.
    Expired,
    /// It is gone with its bytes.
    Gone,
}

impl Life {
    pub fn number(self) -> u8 {
        match self {
            Self::Living => 0,
            Self::Deleted => 1,
            Self::Expired => 2,
            Self::Gone => 3,
        }
    }

    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Living, Self::Deleted, Self::Expired].into_iter().find(|life| life.number() == number)
    }
}

/// What never changes about a stream, and what readers see of the rest.
pub(crate) struct Stream {
    pub made: Made,
    pub kind: Kind,
    /// What it was forked from.
    pub source: Option<Arc<Stream>>,
    /// When it was last read or written, milliseconds since 1970.
    pub used: AtomicU64,
    /// Told of every change.
    pub changed: Notify,
    /// The last event that was encoded for live readers.
    pub frame: Mutex<Option<SharedFrame>>,
    visible: Mutex<Visible>,
}

/// An encoded event that every reader of the same range is sent.
#[derive(Clone)]
pub(crate) struct SharedFrame {
    pub from: u64,
    pub to: u64,
    /// Whether there was nothing more.
    pub is_up_to_date: bool,
    /// Whether the stream was complete.
    pub is_end: bool,
    pub cursor: u64,
    pub encoded: Bytes,
}

/// The part that grows.
pub(crate) struct Visible {
    pub life: Life,
    /// Before this, what retention gave up.
    pub oldest: u64,
    pub tail: u64,
    pub closed: bool,
    /// Where pages end, of its own bytes.
    pub cuts: Vec<u64>,
    /// Up to here its bytes are in its files.
    pub flushed: u64,
    /// What is being written to them.
    flushing: Vec<Bytes>,
    /// What is not.
    fresh: Vec<Vec<u8>>,
    /// Whether the flusher knows of it.
    pub is_listed: bool,
}

impl Stream {
    pub fn new(made: Made, source: Option<Arc<Stream>>, used: u64) -> Self {
        let at = made.fork.as_ref().map_or(0, |fork| fork.at);
        Self {
            kind: made.content_type.kind(),
            source,
            used: AtomicU64::new(used),
            changed: Notify::new(),
            frame: Mutex::new(None),
            visible: Mutex::new(Visible {
                life: Life::Living,
                oldest: 0,
                tail: at,
                closed: false,
                cuts: Vec::new(),
                flushed: at,
                flushing: Vec::new(),
                fresh: Vec::new(),
                is_listed: false,
            }),
            made,
        }
    }

    pub fn visible(&self) -> MutexGuard<'_, Visible> {
        self.visible.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn id(&self) -> u64 {
        self.made.id
    }

    pub fn offset(&self, position: u64) -> Offset {
        Offset::new(self.made.generation, position)
    }

    /// Where its own bytes begin.
    pub fn own_start(&self) -> u64 {
        self.made.fork.as_ref().map_or(0, |fork| fork.at)
    }

    /// Starts its time anew.
    pub fn touch(&self, now: u64) {
        self.used.fetch_max(now, Ordering::Relaxed);
    }

    pub fn is_over(&self, now: u64) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        self.made.lifetime.deadline(used).is_some_and(|deadline| now >= deadline)
    }

    /// Returns the first place after `position`, and not after `limit`, where a page ends.
    pub fn next_cut(&self, position: u64, limit: u64) -> Option<u64> {
        let own = self.own_start();
        if let Some(source) = self.source.as_ref().filter(|_| position < own)
            && let Some(cut) = source.next_cut(position, own.min(limit))
        {
            return Some(cut);
        }
        let visible = self.visible();
        let next = visible.cuts.partition_point(|cut| *cut <= position);
        visible.cuts.get(next).copied().filter(|cut| *cut <= limit)
    }

    /// Returns the oldest position that can be read.
    pub fn oldest(&self) -> u64 {
        let inherited = self.source.as_ref().map_or(0, |source| source.oldest());
        self.visible().oldest.max(inherited)
    }

    /// Returns the last place at or before `position` where a page ends; none if a source would have to know.
    pub fn last_cut(&self, position: u64) -> Option<u64> {
        let visible = self.visible();
        let next = visible.cuts.partition_point(|cut| *cut <= position);
        next.checked_sub(1).and_then(|last| visible.cuts.get(last)).copied()
    }
}

impl Visible {
    /// Takes in what has become durable.
    pub fn grow(&mut self, content: &Content, close: bool) {
        let mut rest = &content.bytes[..];
        while !rest.is_empty() {
            let mut piece = self.fresh.pop_if(|last| last.len() < PIECE).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(PIECE - piece.len()));
            if piece.capacity() - piece.len() < now.len() {
                // Half as much again, and not twice: of many streams with a little each, nearly half would be empty.
                piece.reserve_exact(now.len().max(piece.len() / 2).min(PIECE - piece.len()));
            }
            piece.extend_from_slice(now);
            self.fresh.push(piece);
            rest = later;
        }
        self.tail += content.bytes.len() as u64;
        self.cuts.extend_from_slice(&content.cuts);
        self.closed |= close;
    }

    /// Gives up what lies before a position.
    pub fn trim(&mut self, before: u64) {
        self.oldest = before;
        self.cuts.retain(|cut| *cut >= before);
    }

    /// Brings back the state of a checkpoint: everything is in the files.
    pub fn restore(&mut self, life: Life, oldest: u64, tail: u64, closed: bool, cuts: Vec<u64>) {
        (self.life, self.oldest, self.tail, self.closed, self.cuts) = (life, oldest, tail, closed, cuts);
        self.flushed = tail;
    }

    /// Whether there is something to write to the files.
    pub fn is_unwritten(&self) -> bool {
        self.flushed < self.tail
    }

    /// Returns what is to be written next, and where.
    pub fn begin_flush(&mut self) -> (u64, Vec<Bytes>) {
        if self.flushing.is_empty() {
            self.flushing = std::mem::take(&mut self.fresh).into_iter().map(Bytes::from).collect();
        }
        (self.flushed, self.flushing.clone())
    }

    /// What [`Self::begin_flush`] returned is in the files.
    pub fn end_flush(&mut self) {
        self.flushed += self.flushing.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.flushing = Vec::new();
    }

    /// Copies from memory what of `from..to` is there, and returns up to where the files have it.
    pub fn copy_unwritten(&self, from: u64, to: u64, into: &mut Vec<u8>) -> u64 {
        let from_files = to.min(self.flushed).max(from);
        let mut begin = self.flushed;
        let pieces = self.flushing.iter().map(|piece| &piece[..]).chain(self.fresh.iter().map(|piece| &piece[..]));
        for part in pieces {
            let end = begin + part.len() as u64;
            let index = |position: u64| usize::try_from(position.clamp(begin, end) - begin).unwrap_or(part.len());
            into.extend_from_slice(&part[index(from_files)..index(to)]);
            begin = end;
        }
        from_files
    }
}
