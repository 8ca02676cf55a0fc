//! The server's end: an HTTP/2 client over a connection somebody dialled.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::settings::{FRAME, HEADER_TABLE, HEADERS, NEVER, SEND_BUFFER, STREAMS, Settings};
use crate::stream::Stream;
use crate::tether::Tether;
use crate::watch::{Ending, Watch, Watched};

/// The authority of a request that names none: HTTP/2 wants one.
const AUTHORITY: Authority = Authority::from_static("tunnel");

/// A connection down which requests are sent; clones share it.
///
/// When the last clone goes, the connection closes once its requests are done.
#[derive(Clone)]
pub struct Link {
    sender: http2::SendRequest<Body>,
    shared: Arc<Tether>,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection is closed, and the peer did not act on the request.
    #[error("the tunnel is closed")]
    Closed,
    /// The request was on its way: whether the peer acted on it is unknown.
    #[error("the tunnel broke off before the answer came")]
    Interrupted(#[source] hyper::Error),
    /// The request cannot be said in HTTP/2.
    #[error("the request cannot be sent")]
    Unsendable(#[source] http::Error),
}

/// Why no link came to be.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The peer did not take up the connection in time.
    #[error("the peer did not take up the upgraded connection in time")]
    TimedOut,
    /// The connection ended first.
    #[error("the connection ended before the tunnel began")]
    Lost(#[source] hyper::Error),
}

/// Why a link ended.
#[derive(Debug)]
pub enum Closed {
    /// This end closed it, or dropped its last [`Link`].
    Here,
    /// The peer closed it.
    ByPeer,
    /// Nothing was heard from the peer for as long as patience lasts.
    Silent,
    /// The network failed.
    Broken(io::Error),
    /// The peer said something that is not HTTP/2.
    Protocol(hyper::Error),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("closed here"),
            Self::ByPeer => f.write_str("closed by the peer"),
            Self::Silent => f.write_str("the peer went silent"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Protocol(error) => write!(f, "the peer broke the protocol: {error}"),
        }
    }
}

/// Runs a link: resolves when the connection has ended and every task of it too.
///
/// Spawn it; nothing moves unless it is polled. Dropping it ends the link.
#[must_use = "a link does nothing unless its driver is polled"]
pub struct Driver(BoxFuture<'static, Closed>);

impl Future for Driver {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.0.poll_unpin(cx)
    }
}

impl Link {
    /// Takes a byte stream on which the peer serves HTTP/2.
    pub async fn over(stream: impl Stream, settings: Settings) -> Result<(Self, Driver), ConnectError> {
        let (stream, watch) = Watched::new(Box::new(stream), settings.patience());
        let tether = Tether::default();
        let guard = tether.guard();
        let (sender, conn) = builder(&settings, tether.clone())
            .handshake::<_, Body>(TokioIo::new(stream))
            .await
            .map_err(ConnectError::Lost)?;
        // Boxed before it is handed on: see `Tether`.
        let conn = Box::pin(conn);
        let shared = Arc::new(tether.clone());
        let links = Arc::downgrade(&shared);
        let driver = async move {
            let _guard = guard;
            let run = tokio::select! {
                biased;
                () = tether.severed() => Ok(()),
                run = conn => run,
            };
            let closed = if tether.is_cut() { Closed::Here } else { why(run, &watch, &links) };
            if watch.ending().is_some() {
                tether.cut();
            }
            // A peer that says goodbye still finishes what it was asked.
            tether.ended().await;
            closed
        };
        Ok((Self { sender, shared }, Driver(driver.boxed())))
    }

    /// Sends a request and returns the answer as soon as its headers are there.
    ///
    /// Bodies stream both ways. Dropping this future, or the body of the answer,
    /// resets this one stream. There is no time limit of its own, but a peer that
    /// freezes ends the link.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Body>, LinkError> {
        let request = addressed(request).map_err(LinkError::Unsendable)?;
        let mut failed = match self.sender.clone().try_send_request(request).await {
            Ok(response) => return Ok(response.map(Body::new)),
            Err(failed) => failed,
        };
        if failed.take_message().is_some() || refused(failed.error()) {
            return Err(LinkError::Closed);
        }
        Err(LinkError::Interrupted(failed.into_error()))
    }

    /// Ends the connection now, with whatever it carries.
    pub fn close(&self) {
        self.shared.cut();
    }

    /// Returns whether no request can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.shared.is_cut() || self.sender.is_closed()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

fn builder(settings: &Settings, tether: Tether) -> http2::Builder<Tether> {
    let mut builder = http2::Builder::new(tether);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keep_alive_interval)
        .keep_alive_timeout(NEVER)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .initial_max_send_streams(STREAMS as usize)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .header_table_size(HEADER_TABLE)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_reset_streams(STREAMS as usize)
        // h2 counts these over the whole life of a connection, and each cancelled
        // download may leave one: a tunnel that lives for weeks would be closed.
        .max_local_error_reset_streams(None);
    builder
}

/// Completes the address of a request, which HTTP/2 wants whole.
fn addressed(request: Request<Body>) -> Result<Request<Body>, http::Error> {
    let (mut head, body) = request.into_parts();
    let mut uri = head.uri.into_parts();
    uri.scheme.get_or_insert(Scheme::HTTP);
    uri.authority.get_or_insert(AUTHORITY);
    uri.path_and_query.get_or_insert(http::uri::PathAndQuery::from_static("/"));
    head.uri = Uri::from_parts(uri)?;
    head.version = Version::HTTP_2;
    Ok(Request::from_parts(head, body))
}

/// Returns whether the peer said that it did not act on the request.
fn refused(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|e| e.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_remote()
            && match cause.reason() {
                Some(h2::Reason::REFUSED_STREAM) => cause.is_reset(),
                // h2 hands a goodbye only to streams the peer did not take.
                Some(h2::Reason::NO_ERROR) => cause.is_go_away(),
                _ => false,
            }
    })
}

fn why(run: hyper::Result<()>, watch: &Watch, links: &Weak<Tether>) -> Closed {
    match (watch.ending(), run) {
        (Some(Ending::Silent), _) => Closed::Silent,
        (Some(Ending::Failed(error)), _) => Closed::Broken(io::Error::new(error.kind(), error.to_string())),
        (None, Ok(())) if links.strong_count() == 0 => Closed::Here,
        (Some(Ending::Finished), _) | (None, Ok(())) => Closed::ByPeer,
        (None, Err(error)) => Closed::Protocol(error),
    }
}
