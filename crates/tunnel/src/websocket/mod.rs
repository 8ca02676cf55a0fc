//! A byte stream inside the messages of a WebSocket.
//!
//! The framing is our own. A tunnel wants bytes and not messages: a payload is
//! handed on as it arrives and no message is ever collected, so a frame of any
//! length costs one read buffer. A library made for messages would hold each
//! whole, and bring a handshake that hyper has done already.
//!
//! One task polls both directions, as hyper does: what reading must answer (a
//! ping, a goodbye) is sent by whichever of them comes next.

mod frame;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frame::{CONTROL, HEAD, Head, Kind, apply, bad};

/// How much is read at once. An idle tunnel holds it, so it is small.
const READ: usize = 8 * 1024;
/// How much one frame of ours carries.
const WRITE: usize = 16 * 1024;

/// Which end of the connection this is: the end that asked for it masks what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Asked,
    Granted,
}

/// A byte stream over the messages of a WebSocket.
pub(crate) struct WebSocket<S> {
    stream: S,
    role: Role,
    input: Input,
    output: Output,
}

struct Input {
    buffer: Box<[u8; READ]>,
    /// What of the buffer is not taken yet.
    unread: std::ops::Range<usize>,
    head: Vec<u8>,
    frame: Option<Frame>,
    /// Whether a message has begun and not ended.
    is_inside: bool,
    is_over: bool,
}

/// The frame whose payload is being read.
struct Frame {
    head: Head,
    taken: u64,
    control: Vec<u8>,
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// The answer to the newest ping.
    pong: Option<Vec<u8>>,
    goodbye: Goodbye,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Goodbye {
    #[default]
    Unsaid,
    Due,
    Said,
}

impl<S> WebSocket<S> {
    pub(crate) fn new(stream: S, role: Role) -> Self {
        let input = Input {
            buffer: Box::new([0; READ]),
            unread: 0..0,
            head: Vec::with_capacity(HEAD),
            frame: None,
            is_inside: false,
            is_over: false,
        };
        Self { stream, role, input, output: Output::default() }
    }
}

impl Input {
    /// Takes payload that is here already, up to the room there is. Returns how many bytes came.
    fn take(&mut self, out: &mut ReadBuf<'_>) -> usize {
        let Some(frame) = self.frame.as_mut().filter(|frame| !frame.head.kind.is_control()) else {
            return 0;
        };
        let left = usize::try_from(frame.head.length - frame.taken).unwrap_or(usize::MAX);
        let count = left.min(self.unread.len()).min(out.remaining());
        let bytes = &mut self.buffer[self.unread.start..][..count];
        frame.uncover(bytes);
        out.put_slice(bytes);
        self.unread.start += count;
        count
    }

    /// Moves on by the bytes that are here, as far as the next payload. Returns what needs an answer.
    fn advance(&mut self, role: Role) -> io::Result<Option<(Kind, Vec<u8>)>> {
        if let Some(frame) = &mut self.frame {
            if frame.head.kind.is_control() {
                let left = usize::try_from(frame.head.length - frame.taken).unwrap_or(CONTROL);
                let count = left.min(self.unread.len());
                let bytes = &mut self.buffer[self.unread.start..][..count];
                frame.uncover(bytes);
                frame.control.extend_from_slice(bytes);
                self.unread.start += count;
            }
            if frame.taken < frame.head.length {
                return Ok(None);
            }
            let done = self.frame.take();
            return Ok(done.filter(|frame| frame.head.kind.is_control()).map(|frame| (frame.head.kind, frame.control)));
        }
        while let Some(&byte) = self.buffer[self.unread.clone()].first() {
            self.unread.start += 1;
            self.head.push(byte);
            if let Some(head) = Head::read(&self.head)? {
                self.head.clear();
                self.begin(head, role)?;
                break;
            }
        }
        Ok(None)
    }

    fn begin(&mut self, head: Head, role: Role) -> io::Result<()> {
        if head.mask.is_some() != (role == Role::Granted) {
            return Err(bad("a frame with the mask of the wrong end"));
        }
        match head.kind {
            Kind::Binary if self.is_inside => return Err(bad("a message inside another")),
            Kind::Continuation if !self.is_inside => return Err(bad("the rest of no message")),
            Kind::Binary | Kind::Continuation => self.is_inside = !head.is_last,
            Kind::Close | Kind::Ping | Kind::Pong => {}
        }
        self.frame = Some(Frame { head, taken: 0, control: Vec::new() });
        Ok(())
    }

    /// Returns whether the bytes that are here say nothing more.
    fn is_dry(&self) -> bool {
        let is_done = self.frame.as_ref().is_some_and(|frame| frame.taken == frame.head.length);
        self.unread.is_empty() && !is_done
    }
}

impl Frame {
    fn uncover(&mut self, bytes: &mut [u8]) {
        if let Some(mask) = self.head.mask {
            apply(mask, self.taken, bytes);
        }
        self.taken += bytes.len() as u64;
    }
}

impl Output {
    fn write(&mut self, role: Role, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let mask = match role {
            Role::Granted => None,
            Role::Asked => {
                let mut mask = [0; 4];
                getrandom::fill(&mut mask).map_err(io::Error::other)?;
                Some(mask)
            }
        };
        Head::whole(kind, payload.len(), mask).write(&mut self.bytes);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply(mask, 0, &mut self.bytes[start..]);
        }
        Ok(())
    }

    /// Puts what must be said next behind what is said already.
    fn refill(&mut self, role: Role) -> io::Result<()> {
        if self.goodbye != Goodbye::Said
            && let Some(payload) = self.pong.take()
        {
            self.write(role, Kind::Pong, &payload)?;
        }
        if self.goodbye == Goodbye::Due {
            self.write(role, Kind::Close, &1000_u16.to_be_bytes())?;
            self.goodbye = Goodbye::Said;
        }
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> WebSocket<S> {
    /// Sends all there is to send.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let output = &mut self.output;
            if output.sent == output.bytes.len() {
                output.bytes.clear();
                output.sent = 0;
                output.refill(self.role)?;
                if output.bytes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &output.bytes[output.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.sent += sent;
        }
    }

    /// Sends as much as goes at once; the rest goes with the next call.
    fn send_some(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.input.take(out) > 0 || this.input.is_over {
                return Poll::Ready(Ok(()));
            }
            match this.input.advance(this.role)? {
                Some((Kind::Ping, payload)) => {
                    this.output.pong = Some(payload);
                    this.send_some(cx)?;
                }
                Some((Kind::Close, _)) => {
                    this.input.is_over = true;
                    if this.output.goodbye == Goodbye::Unsaid {
                        this.output.goodbye = Goodbye::Due;
                        // They are leaving: whether they hear it does not matter.
                        let _ = this.send_some(cx);
                    }
                }
                Some(_) | None => {}
            }
            if !this.input.is_dry() || this.input.is_over {
                continue;
            }
            if !this.output.bytes.is_empty() {
                this.send_some(cx)?;
            }
            let mut read = ReadBuf::new(&mut this.input.buffer[..]);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            this.input.unread = 0..count;
            this.input.is_over = count == 0;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_send(cx))?;
        if this.output.goodbye != Goodbye::Unsaid {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(WRITE);
        if count > 0 {
            this.output.write(this.role, Kind::Binary, &bytes[..count])?;
            this.send_some(cx)?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.goodbye == Goodbye::Unsaid {
            self.output.goodbye = Goodbye::Due;
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
