//! What is asked of the committer, and its answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::change::AskedFork;
use super::error::{Refusal, Stopped};
use super::threads::Turn;
use crate::protocol::{Claim, ContentType, Lifetime, Offset, Start};

/// A stream to make.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// That of the source, or `application/octet-stream`, if omitted.
    pub content_type: Option<ContentType>,
    /// That of the source, or unbounded, if omitted.
    pub lifetime: Option<Lifetime>,
    /// Its first content; may be empty.
    pub body: Bytes,
    /// Whether it is complete with that.
    pub close: bool,
    /// What it continues.
    pub fork: Option<ForkFrom>,
}

/// What a new stream continues.
#[derive(Debug, Clone)]
pub struct ForkFrom {
    /// The path of the source.
    pub path: String,
    /// Where; at its tail if omitted.
    pub at: Option<Start>,
    /// How many messages (of JSON) or bytes (of all else) behind that.
    pub beyond: u64,
}

/// Something to append.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Must be that of the stream. Not looked at if there is no body.
    pub content_type: Option<ContentType>,
    /// May be empty only if it closes.
    pub body: Bytes,
    /// Whether the stream is complete with that.
    pub close: bool,
    /// Which append of which producer it is.
    pub claim: Option<Claim>,
    /// Must be larger than the last one of the stream, compared as bytes.
    pub seq: Option<Box<str>>,
}

/// A stream is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Whether it was not there before.
    pub is_new: bool,
    /// What kind of bytes it has.
    pub content_type: ContentType,
    /// Its end.
    pub tail: Offset,
    /// Whether it is complete.
    pub closed: bool,
}

/// Something is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Whether it was not there before.
    pub is_new: bool,
    /// The end of the stream.
    pub tail: Offset,
    /// Whether the stream is complete.
    pub closed: bool,
    /// The producer's epoch and the highest number accepted in it.
    pub producer: Option<(u64, u64)>,
}

/// An answer that comes once what was asked for is durable. Dropping it takes nothing back.
pub struct Pending<T> {
    state: State<T>,
    /// Whoever waits for it may have to see to it himself.
    turn: Option<Turn>,
}

enum State<T> {
    Asked(oneshot::Receiver<Result<T, Refusal>>),
    Refused(Option<Refusal>),
}

impl<T> Pending<T> {
    pub(crate) fn asked(answer: oneshot::Receiver<Result<T, Refusal>>, turn: Option<Turn>) -> Self {
        Self { state: State::Asked(answer), turn }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { state: State::Refused(Some(refusal)), turn: None }
    }

    /// Returns the answer if it has come.
    pub fn now(&mut self) -> Option<Result<T, Refusal>> {
        drop(self.turn.take());
        match &mut self.state {
            State::Refused(refusal) => Some(Err(refusal.take().unwrap_or(Refusal::Stopped(Stopped)))),
            State::Asked(answer) => match answer.try_recv() {
                Ok(answer) => Some(answer),
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(oneshot::error::TryRecvError::Closed) => Some(Err(Stopped.into())),
            },
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(turn) = self.turn.take()
            && let Some(later) = turn.take()
        {
            // Behind all that is ready on this thread by now: what they ask for is written together.
            self.turn = Some(later);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &mut self.state {
            State::Refused(refusal) => Poll::Ready(Err(refusal.take().unwrap_or(Refusal::Stopped(Stopped)))),
            State::Asked(answer) => {
                Pin::new(answer).poll(context).map(|answer| answer.unwrap_or(Err(Refusal::Stopped(Stopped))))
            }
        }
    }
}

impl<T> Unpin for Pending<T> {}

/// Content that was checked and is ready to be stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prepared {
    pub bytes: Bytes,
    /// Where its messages end; nothing if it has none.
    pub ends: Vec<usize>,
}

/// A source that was looked up.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub id: u64,
    pub at: Option<u64>,
    pub asked: AskedFork,
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// What the committer is asked.
pub(crate) enum Command {
    /// In boxes is what would make every append larger, of which there are more: the queue keeps its room.
    Create {
        path: Box<str>,
        create: Box<Create>,
        prepared: Prepared,
        source: Option<Box<Source>>,
        answer: Answer<Created>,
    },
    Append {
        path: Box<str>,
        append: Append,
        prepared: Prepared,
        answer: Answer<Appended>,
    },
    Delete {
        path: Box<str>,
        answer: Answer<()>,
    },
}

impl Command {
    /// About how much memory it holds.
    pub fn size(&self) -> u64 {
        match self {
            Self::Create { prepared, .. } | Self::Append { prepared, .. } => prepared.bytes.len() as u64 + 256,
            Self::Delete { .. } => 256,
        }
    }
}
