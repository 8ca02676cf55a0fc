//! One exchange, as those see it who asked for it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, response};

use super::error::{Http2Error, Reason};
use super::shared::Shared;
use super::streams::Streams;

/// The body of a request on its way. Dropped before its end, it ends the stream.
pub(crate) struct Sending {
    shared: Arc<Shared>,
    id: u32,
}

/// The answer. Dropped before its end, it ends the stream, unless a body is still being sent.
pub(crate) struct Receiving {
    shared: Arc<Shared>,
    id: u32,
}

impl Sending {
    pub(super) fn new(shared: Arc<Shared>, id: u32) -> Self {
        Self { shared, id }
    }

    /// Has the head of the request sent, whatever becomes of the body.
    pub(crate) fn begin(&self) {
        self.shared.with(Streams::begin);
    }

    /// Waits until the peer takes some more.
    pub(crate) async fn room(&self) -> Result<(), Http2Error> {
        poll_fn(|cx| match self.shared.with(|streams| streams.has_room(self.id, cx.waker())) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// Waits until the peer wants no more of it.
    pub(crate) fn poll_refused(&self, cx: &mut Context<'_>) -> Poll<Http2Error> {
        self.shared.with(|streams| streams.refusal(self.id, cx.waker())).map_or(Poll::Pending, Poll::Ready)
    }

    pub(crate) fn send(&self, bytes: Bytes, is_last: bool) {
        self.shared.with(|streams| streams.send(self.id, bytes, is_last));
    }

    pub(crate) fn send_trailers(&self, trailers: HeaderMap) {
        self.shared.with(|streams| streams.send_trailers(self.id, trailers));
    }

    pub(crate) fn reset(&self, reason: Reason) {
        self.shared.with(|streams| streams.reset(self.id, reason));
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.shared.with(|streams| streams.stop_sending(self.id));
    }
}

impl Receiving {
    pub(super) fn new(shared: Arc<Shared>, id: u32) -> Self {
        Self { shared, id }
    }

    /// Waits for the head of the answer.
    pub(crate) async fn answer(&self) -> Result<response::Parts, Http2Error> {
        let head = poll_fn(|cx| {
            self.shared.with(|streams| streams.answer(self.id, cx.waker())).map_or(Poll::Pending, Poll::Ready)
        });
        Ok(*head.await?)
    }

    /// Waits for the next piece of its body; there is none after the last.
    pub(crate) fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Http2Error>> {
        self.shared.with(|streams| streams.read(self.id, cx.waker())).map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes what came after the body.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        self.shared.with(|streams| streams.take_trailers(self.id))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.shared.with(|streams| streams.is_at_end(self.id))
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.shared.with(|streams| streams.stop_reading(self.id));
    }
}
