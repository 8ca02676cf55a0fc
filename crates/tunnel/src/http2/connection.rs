//! What moves the bytes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::error::{Http2Error, Reason};
use super::frame::{self, HEAD, Head};
use super::outbox::Outbox;
use super::shared::{Requests, Shared};
use super::streams::{Done, Streams};
use crate::settings::{FRAME, Settings};

/// What is read at once, where little is said and where much is.
const LITTLE: usize = 4 * 1024;
const MUCH: usize = 128 * 1024;
/// A peer that does not take this much of what it is owed is not listened to until it does.
const BACKLOG: usize = 256 * 1024;

/// How a connection ended that did not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Nobody wanted anything of it any more.
    Here,
    /// The peer closed it, or said goodbye and has nothing more to answer.
    ByPeer,
}

/// Moves the bytes of a connection, for as long as it is polled. Dropped, it ends what is in flight.
pub(crate) struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    input: BytesMut,
    /// How much is read next.
    much: usize,
    output: Outbox,
    is_flushed: bool,
    /// How it ended, once it only hangs up.
    over: Option<Over>,
}

/// Makes the peer speak.
pub(crate) struct Pings(Arc<Shared>);

impl Pings {
    /// Asks the peer to say anything at all.
    pub(crate) fn ping(&self) {
        self.0.with(Streams::ping);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins a connection over a stream on which the peer serves.
    pub(crate) fn new(stream: S, settings: Settings) -> (Requests, Self) {
        let (requests, shared) = Requests::new(settings);
        let connection = Self {
            stream,
            shared,
            input: BytesMut::new(),
            much: LITTLE,
            output: Outbox::default(),
            is_flushed: true,
            over: None,
        };
        (requests, connection)
    }

    /// Returns what makes the peer speak, without keeping the connection.
    pub(crate) fn pings(&self) -> Pings {
        Pings(self.shared.clone())
    }

    /// Writes until there is nothing to write.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Http2Error>> {
        let is_vectored = self.stream.is_write_vectored();
        loop {
            if self.output.is_empty() {
                self.shared.with(|streams| streams.fill(&mut self.output, is_vectored));
            }
            if self.output.is_empty() {
                break;
            }
            self.is_flushed = false;
            ready!(self.output.poll_write(cx, &mut self.stream)).map_err(|_| Http2Error::Lost)?;
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(|_| Http2Error::Lost)?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, and takes what is whole of it. Returns whether there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Http2Error>> {
        self.input.reserve(self.much);
        let Poll::Ready(read) = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input) else {
            if self.input.is_empty() {
                // At rest, it holds no memory.
                self.input = BytesMut::new();
            }
            return Poll::Pending;
        };
        let read = read.map_err(|_| Http2Error::Lost)?;
        if read == 0 {
            return Poll::Ready(Ok(false));
        }
        if self.input.len() == self.input.capacity() {
            self.much = (self.much * 4).min(MUCH);
        } else if read < self.much / 4 {
            self.much = (self.much / 2).max(LITTLE);
        }
        let input = &mut self.input;
        self.shared.with(|streams| {
            while let Some(head) = Head::parse(input) {
                if head.length > FRAME as usize {
                    return Err(Http2Error::broken(Reason::FRAME_SIZE_ERROR, "a frame longer than agreed"));
                }
                if input.len() < HEAD + head.length {
                    break;
                }
                input.advance(HEAD);
                streams.take(head, input)?;
            }
            Ok(())
        })?;
        Poll::Ready(Ok(true))
    }

    /// Writes and reads by turns until neither goes on.
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<Over, Http2Error>> {
        loop {
            let written = self.poll_write(cx);
            match self.shared.with(|streams| streams.is_done()) {
                // The peer may have hung up by now: what is unsaid is nothing it waits for.
                Some(Done::Goodbye(Reason::NO_ERROR)) => return Poll::Ready(Ok(Over::ByPeer)),
                Some(Done::Goodbye(reason)) => return Poll::Ready(Err(Http2Error::GoAway(reason))),
                Some(Done::Abandoned) if written.is_ready() => return Poll::Ready(Ok(Over::Here)),
                Some(Done::Abandoned) | None => {}
            }
            let is_blocked = match written {
                Poll::Ready(written) => {
                    written?;
                    false
                }
                Poll::Pending => true,
            };
            let is_heard = !is_blocked || self.shared.with(|streams| streams.outbox.len()) < BACKLOG;
            if is_heard && let Poll::Ready(more) = self.poll_read(cx) {
                if more? {
                    continue;
                }
                return Poll::Ready(Ok(Over::ByPeer));
            }
            if self.shared.with(|streams| streams.rest(cx.waker(), is_blocked)) {
                return Poll::Pending;
            }
        }
    }

    /// Tells the peer why it is left, as far as it listens.
    fn say_goodbye(&mut self, reason: Reason, cx: &mut Context<'_>) {
        self.shared.with(|streams| streams.outbox.put(|out| frame::go_away(out, reason)));
        // It is leaving either way.
        let _ = self.poll_write(cx);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = Result<Over, Http2Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let over = match this.over {
            Some(over) => over,
            None => match ready!(this.poll_run(cx)) {
                Ok(over) => {
                    this.say_goodbye(Reason::NO_ERROR, cx);
                    // What a peer that hung up still owes will not come.
                    this.shared.with(|streams| streams.end(Http2Error::Lost));
                    *this.over.insert(over)
                }
                Err(error) => {
                    if let Http2Error::Broken { reason, .. } = error {
                        this.say_goodbye(reason, cx);
                    }
                    this.shared.with(|streams| streams.end(error));
                    return Poll::Ready(Err(error));
                }
            },
        };
        // How the hanging up goes changes nothing.
        let _ = ready!(Pin::new(&mut this.stream).poll_shutdown(cx));
        Poll::Ready(Ok(over))
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.shared.with(|streams| streams.end(Http2Error::Lost));
    }
}
