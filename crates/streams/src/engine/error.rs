//! Why something was not done.

use std::io;

use crate::protocol::Offset;

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was being read or written.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// A part of a store is not there.
    #[error("{0} is missing; bring back the whole folder, as from a backup, or name an empty one")]
    Missing(&'static str),
    /// A file that a stream needs is not there, or shorter than it was.
    #[error("{name} should have {expected} bytes and has {found}; bring back the whole folder, as from a backup")]
    Short {
        /// The file.
        name: String,
        /// How large it was.
        expected: u64,
        /// How large it is.
        found: u64,
    },
    /// Something in the middle is not as it was written.
    #[error("{name} is damaged at byte {at}, and what follows is not; bring it back from a backup")]
    Damaged {
        /// The file.
        name: String,
        /// Where.
        at: u64,
    },
    /// Another program, or a newer version of this one, made it.
    #[error("{0} is not a store of this program, or of a newer version of it")]
    Foreign(String),
}

impl OpenError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    pub(crate) fn damaged(name: &str, at: u64) -> Self {
        Self::Damaged { name: name.to_owned(), at }
    }
}

/// The engine has stopped: a write or a sync failed, and nobody knows what is on the disk.
///
/// What is durable is found out by opening it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store stopped after a failed write; start it again")]
pub struct Stopped;

/// Why a request was refused. A refused request has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such stream.
    #[error("there is no stream at this path")]
    NotFound,
    /// It was deleted and its bytes are kept for its forks alone.
    #[error("this stream was deleted; only its forks remain")]
    Deleted,
    /// The path cannot be one of a stream.
    #[error("a path has 1 to {0} bytes, no empty part, no . or .. and no control characters")]
    BadPath(usize),
    /// The stream is there, but made otherwise.
    #[error("a stream with another content type, life time, state or origin is at this path")]
    MadeOtherwise,
    /// The path belongs to a deleted stream that has forks.
    #[error("a deleted stream with living forks is at this path; delete them first")]
    PathHeld,
    /// What was to be forked is not there.
    #[error("there is no stream at Stream-Forked-From")]
    SourceNotFound,
    /// What was to be forked is deleted.
    #[error("the stream at Stream-Forked-From was deleted")]
    SourceDeleted,
    /// The place to fork at is not in the source.
    #[error("the fork would begin where its source has no bytes")]
    ForkOutside,
    /// The content type is not that of the stream.
    #[error("this is not the content type of the stream")]
    WrongType,
    /// The stream is complete.
    #[error("the stream is closed")]
    Closed {
        /// Its end.
        tail: Offset,
    },
    /// The sequence number is not larger than the last.
    #[error("Stream-Seq must be larger than the last one, compared as bytes")]
    SeqNotLarger,
    /// A later life of the producer has written.
    #[error("a newer epoch of this producer has written; go on with one above {epoch}")]
    StaleEpoch {
        /// The newest.
        epoch: u64,
    },
    /// A new life of a producer begins with 0.
    #[error("a new epoch begins with Producer-Seq 0")]
    EpochBeginsAtZero,
    /// Appends of the producer are missing.
    #[error("appends of this producer are missing: number {expected} is next, not {received}")]
    ProducerGap {
        /// What comes next.
        expected: u64,
        /// What came.
        received: u64,
    },
    /// The body is not JSON.
    #[error(transparent)]
    NotJson(#[from] crate::protocol::json::NotJson),
    /// There is nothing to append.
    #[error("there is nothing to append: the body is empty")]
    Empty,
    /// The offset is of no use here.
    #[error("this offset is not one of this stream")]
    BadOffset,
    /// What lay there is gone.
    #[error("what lay at this offset is gone; read on from {oldest}")]
    Trimmed {
        /// The oldest that is there.
        oldest: Offset,
    },
    /// The body is too large.
    #[error("a body has {0} bytes at most")]
    TooLarge(usize),
    /// There are too many streams.
    #[error("there are {0} streams already, which is as many as there may be; delete some")]
    TooManyStreams(usize),
    /// There are too many producers.
    #[error("the stream has had {0} producers already, which is as many as are remembered; use a new stream")]
    TooManyProducers(usize),
    /// Too much waits to be written.
    #[error("too much waits to be written; try again soon")]
    Busy,
    /// There is no room on the disk.
    #[error("there is no room on the disk; nothing was written")]
    NoRoom,
    /// A read failed.
    #[error("the bytes cannot be read; try again")]
    Unreadable,
    /// The engine has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
