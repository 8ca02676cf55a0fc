//! One request and its answer over an HTTP/2 connection.
//!
//! h2 itself, without hyper's client around it: that one passes a request through a queue and two tasks, and the
//! queue alone is 8 kB of every tunnel. Here the caller's own task says the request and hears the answer. Only a body
//! that is not there at once gets a task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use futures_util::FutureExt as _;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response, header};
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor as _;
use tokio::sync::oneshot;

use crate::tether::Tether;

/// Why there is no answer.
pub(crate) enum Failed {
    /// The connection is over; the request never left.
    Unsent,
    /// The connection has no numbers left for streams.
    Exhausted,
    /// The request was on its way.
    Sent(h2::Error),
}

/// Sends a request and returns the answer once its headers are there. What is not sent by then goes on in `tasks`.
pub(crate) async fn exchange(
    sender: SendRequest<Bytes>,
    tasks: &Tether,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let mut sender = sender.ready().await.map_err(|error| unready(&error))?;
    let (mut head, body) = request.into_parts();
    let ended = body.is_end_stream();
    if let Some(length) = body.size_hint().exact().filter(|_| !ended) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    let (answer, stream) = sender.send_request(Request::from_parts(head, ()), ended).map_err(Failed::Sent)?;
    // Not kept while the answer is waited for: the connection lives as long as its links.
    drop(sender);
    let sending = if ended { None } else { send(tasks, body, stream) };
    let (head, stream) = answer.await.map_err(Failed::Sent)?.into_parts();
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(Response::from_parts(head, Body::new(Answer { stream, left: length, sending })))
}

/// h2 knows three reasons: a goodbye, a broken connection, and that every number has been used.
fn unready(error: &h2::Error) -> Failed {
    if error.reason().is_none() && !error.is_io() { Failed::Exhausted } else { Failed::Unsent }
}

/// Sends a body, at once if it is all there. Otherwise a task goes on with it, until what is returned is dropped
/// without a word.
fn send(tasks: &Tether, body: Body, stream: SendStream<Bytes>) -> Option<oneshot::Sender<()>> {
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
async fn pour(mut body: Body, mut stream: SendStream<Bytes>) {
    if let Err(error) = poured(&mut body, &mut stream).await {
        tracing::debug!(%error, "the body of a request was not sent whole");
    }
}

async fn poured(body: &mut Body, stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    loop {
        let frame = poll_fn(|cx| match stream.poll_reset(cx)? {
            Poll::Ready(reason) => Poll::Ready(Err(reason.into())),
            Poll::Pending => Pin::new(&mut *body).poll_frame(cx).map(Ok::<_, h2::Error>),
        });
        match frame.await? {
            None => return stream.send_data(Bytes::new(), true),
            Some(Err(error)) => {
                tracing::debug!(%error, "the body of a request broke off");
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    let last = body.is_end_stream();
                    if !bytes.is_empty() {
                        room(stream).await?;
                    }
                    stream.send_data(bytes, last)?;
                    if last {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return stream.send_trailers(trailers);
                    }
                }
            },
        }
    }
}

/// Waits until the peer takes something. A little is asked for: h2 asks for the rest once it has it.
async fn room(stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        let more = poll_fn(|cx| match stream.poll_reset(cx)? {
            Poll::Ready(reason) => Poll::Ready(Some(Err(reason.into()))),
            Poll::Pending => stream.poll_capacity(cx),
        });
        match more.await {
            Some(more) => drop(more?),
            None => return Err(Reason::STREAM_CLOSED.into()),
        }
    }
    Ok(())
}

/// The body of an answer, as it comes.
struct Answer {
    stream: RecvStream,
    /// How much is still to come, where its headers say so.
    left: Option<u64>,
    /// Dropped with this, it ends a request that is still being sent.
    sending: Option<oneshot::Sender<()>>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Read to its end: what is still being sent may go on, for some answer first and listen then.
        if self.stream.is_end_stream()
            && let Some(sending) = self.sending.take()
        {
            // It may be done.
            let _ = sending.send(());
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        match ready!(this.stream.poll_data(cx)) {
            Some(Ok(bytes)) => {
                this.stream.flow_control().release_capacity(bytes.len())?;
                this.left = this.left.map(|left| left.saturating_sub(bytes.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            // The peer has said all it wanted to, and does not want to hear more.
            Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => {}
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => {
                if let Some(trailers) = ready!(this.stream.poll_trailers(cx)).transpose() {
                    return Poll::Ready(Some(trailers.map(Frame::trailers)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None if self.stream.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}
