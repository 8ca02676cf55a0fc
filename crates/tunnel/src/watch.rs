//! A byte stream that notes how it ended, and ends itself when it hears nothing.
//!
//! HTTP/2 pings make a living peer speak; this notices when it does not. It
//! counts every byte, and it also watches while *writing* is stuck, where the
//! pings themselves no longer leave.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::stream::BoxedStream;

/// How a byte stream ended, as seen from here.
#[derive(Debug)]
pub(crate) enum Ending {
    Finished,
    Silent,
    Failed(io::Error),
}

/// Reads when a watched stream was heard last, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    heard: Mutex<Instant>,
    ending: OnceLock<Ending>,
}

impl Watch {
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.0.ending.get()
    }

    pub(crate) fn heard(&self) -> Instant {
        *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self) {
        *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn note(&self, ending: Ending) {
        // The first ending is the cause; what follows are its effects.
        let _ = self.0.ending.set(ending);
    }

    fn note_failure(&self, error: &io::Error) {
        self.note(match error.kind() {
            // TLS without a farewell: the peer is gone all the same.
            io::ErrorKind::UnexpectedEof => Ending::Finished,
            kind => Ending::Failed(io::Error::new(kind, error.to_string())),
        });
    }
}

pub(crate) struct Watched {
    stream: BoxedStream,
    watch: Watch,
    patience: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl Watched {
    pub(crate) fn new(stream: BoxedStream, patience: Duration) -> (Self, Watch) {
        let heard = Instant::now();
        let watch = Watch(Arc::new(Seen { heard: Mutex::new(heard), ending: OnceLock::new() }));
        let watched = Self { stream, watch: watch.clone(), patience, alarm: Box::pin(sleep_until(heard + patience)) };
        (watched, watch)
    }

    /// Passes an answer of the stream on, or fails once it has been silent too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Ready(Ok(_)) => return polled,
            Poll::Ready(Err(error)) => {
                self.watch.note_failure(error);
                return polled;
            }
            Poll::Pending => {}
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let due = self.watch.heard() + self.patience;
            if Instant::now() >= due {
                self.watch.note(Ending::Silent);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            if buf.filled().len() > before {
                self.watch.hear();
            } else if buf.remaining() > 0 {
                self.watch.note(Ending::Finished);
            }
        }
        self.judge(cx, polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, polled)
    }
}
