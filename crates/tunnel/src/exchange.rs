//! One request and its answer over a connection.
//!
//! The caller's own task says the request and hears the answer. Only a body that is not there at once gets a task of
//! its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use futures_util::FutureExt as _;
use http::{Request, Response, header};
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor as _;
use tokio::sync::oneshot;

use crate::http2::{Http2Error, Reason, Receiving, Requests, Sending, Unopened};
use crate::tether::Tether;

/// Why there is no answer.
pub(crate) enum Failed {
    /// The connection is over; the request never left.
    Unsent,
    /// The connection has no numbers left for streams.
    Exhausted,
    /// The request was on its way.
    Sent(Http2Error),
}

/// Sends a request and returns the answer once its headers are there. What is not sent by then goes on in `tasks`.
pub(crate) async fn exchange(
    requests: Requests,
    tasks: &Tether,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let (mut head, body) = request.into_parts();
    let ended = body.is_end_stream();
    if let Some(length) = body.size_hint().exact().filter(|_| !ended) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    let (sending, stream) = requests.open(&head, ended).await.map_err(|unopened| match unopened {
        Unopened::Closed => Failed::Unsent,
        Unopened::Exhausted => Failed::Exhausted,
    })?;
    let sending = sending.and_then(|sending| send(tasks, body, sending));
    let head = stream.answer().await.map_err(Failed::Sent)?;
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(Response::from_parts(head, Body::new(Answer { stream, left: length, sending })))
}

/// Sends a body, at once if it is all there. Otherwise a task goes on with it, until what is returned is dropped
/// without a word.
fn send(tasks: &Tether, body: Body, stream: Sending) -> Option<oneshot::Sender<()>> {
    let mut sent = Box::pin(pour(body, stream));
    if sent.as_mut().now_or_never().is_some() {
        return None;
    }
    let (wanted, unwanted) = oneshot::channel();
    tasks.execute(async move {
        tokio::select! {
            () = &mut sent => {}
            // Nobody waits for the answer: what is left is dropped, and that resets the stream.
            Err(_) = unwanted => {}
        }
    });
    Some(wanted)
}

/// Pours a body into a stream, as fast as the peer takes it, until one of them ends.
async fn pour(mut body: Body, stream: Sending) {
    if let Err(error) = poured(&mut body, &stream).await {
        tracing::debug!(%error, "the body of a request was not sent whole");
    }
}

async fn poured(body: &mut Body, stream: &Sending) -> Result<(), Http2Error> {
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(Ok(frame));
            }
            // It comes later: the head need not wait for it.
            stream.begin();
            stream.poll_refused(cx).map(Err)
        });
        match frame.await? {
            None => {
                stream.send(Bytes::new(), true);
                return Ok(());
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the body of a request broke off");
                stream.reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    let is_last = body.is_end_stream();
                    if !bytes.is_empty() {
                        stream.room().await?;
                    }
                    stream.send(bytes, is_last);
                    if is_last {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        stream.send_trailers(trailers);
                        return Ok(());
                    }
                }
            },
        }
    }
}

/// The body of an answer, as it comes.
struct Answer {
    stream: Receiving,
    /// How much is still to come, where its headers say so.
    left: Option<u64>,
    /// Dropped with this, it ends a request that is still being sent.
    sending: Option<oneshot::Sender<()>>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Read to its end: what is still being sent may go on, for some answer first and listen then.
        if let Some(sending) = self.sending.take_if(|_| self.stream.is_at_end()) {
            // It may be done.
            let _ = sending.send(());
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Http2Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Http2Error>>> {
        let this = &mut *self;
        Poll::Ready(match ready!(this.stream.poll_data(cx)) {
            Ok(Some(bytes)) => {
                this.left = this.left.map(|left| left.saturating_sub(bytes.len() as u64));
                Some(Ok(Frame::data(bytes)))
            }
            Ok(None) => this.stream.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None if self.stream.is_at_end() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}
