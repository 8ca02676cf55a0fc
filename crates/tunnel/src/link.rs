//! The server's end: an HTTP/2 client over a connection somebody dialled.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::exchange::{self, Failed};
use crate::settings::{FRAME, HEADER_TABLE, HEADERS, SEND_BUFFER, STREAMS, Settings};
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
    // First, so that it is gone when the last of those who share it are told to be.
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
}

struct Shared {
    tether: Tether,
    /// Wakes the driver when the last link is gone: h2 does not.
    _gone: DropGuard,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection is closed, and the peer did not act on the request.
    #[error("the tunnel is closed")]
    Closed,
    /// The request was on its way: whether the peer acted on it is unknown.
    #[error("the tunnel broke off before the answer came")]
    Interrupted(#[source] h2::Error),
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
    /// The first words of HTTP/2 could not be said.
    #[error("the tunnel could not begin")]
    Refused(#[source] h2::Error),
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
    Protocol(h2::Error),
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
        let (sender, mut conn) =
            builder(&settings).handshake::<_, Bytes>(stream).await.map_err(ConnectError::Refused)?;
        let pings = conn.ping_pong();
        let tether = Tether::default();
        let guard = tether.guard();
        let gone = CancellationToken::new();
        let shared = Arc::new(Shared { tether: tether.clone(), _gone: gone.clone().drop_guard() });
        let links = Arc::downgrade(&shared);
        let driver = async move {
            let _guard = guard;
            let run = {
                let aside = async {
                    // Once it is woken, the connection sees for itself that no link is left.
                    let woken = gone.cancelled().then(|()| std::future::pending::<()>());
                    tokio::join!(keep_alive(pings, &watch, settings.keep_alive_interval), woken)
                };
                tokio::select! {
                    biased;
                    () = tether.severed() => Ok(()),
                    run = &mut conn => run,
                    _ = aside => Ok(()),
                }
            };
            let closed = if tether.is_cut() { Closed::Here } else { why(run, &watch, &links) };
            // Whatever still wants to send has nobody to send to.
            drop(conn);
            tether.cut();
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
        match exchange::exchange(self.sender.clone(), &self.shared.tether, request).await {
            Ok(response) => Ok(response),
            Err(Failed::Unsent) => Err(LinkError::Closed),
            Err(Failed::Exhausted) => {
                // No number is left for another stream: the next connection begins anew.
                self.close();
                Err(LinkError::Closed)
            }
            Err(Failed::Sent(error)) if refused(&error) => Err(LinkError::Closed),
            Err(Failed::Sent(error)) => Err(LinkError::Interrupted(error)),
        }
    }

    /// Ends the connection now, with whatever it carries.
    pub fn close(&self) {
        self.shared.tether.cut();
    }

    /// Returns whether no request can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.shared.tether.is_cut() || matches!(self.sender.clone().ready().now_or_never(), Some(Err(_)))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

fn builder(settings: &Settings) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .initial_max_send_streams(STREAMS as usize)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .header_table_size(HEADER_TABLE)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(STREAMS as usize)
        // h2 counts these over the whole life of a connection, and each cancelled
        // download may leave one: a tunnel that lives for weeks would be closed.
        .max_local_error_reset_streams(None);
    builder
}

/// Makes the peer speak whenever it was quiet for `interval`. What follows from its silence is up to [`Watched`].
async fn keep_alive(pings: Option<PingPong>, watch: &Watch, interval: Duration) {
    // Only whoever asks a second time gets none.
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        let due = watch.heard() + interval;
        if Instant::now() < due {
            sleep_until(due).await;
        } else if pings.ping(Ping::opaque()).await.is_err() {
            // The connection is over, and tells why itself.
            std::future::pending::<()>().await;
        }
    }
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
fn refused(error: &h2::Error) -> bool {
    error.is_remote()
        && match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => error.is_reset(),
            // h2 hands a goodbye only to streams the peer did not take.
            Some(h2::Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        }
}

fn why(run: Result<(), h2::Error>, watch: &Watch, links: &Weak<Shared>) -> Closed {
    match (watch.ending(), run) {
        (Some(Ending::Silent), _) => Closed::Silent,
        (Some(Ending::Failed(error)), _) => Closed::Broken(io::Error::new(error.kind(), error.to_string())),
        (None, Ok(())) if links.strong_count() == 0 => Closed::Here,
        (Some(Ending::Finished), _) | (None, Ok(())) => Closed::ByPeer,
        (None, Err(error)) => Closed::Protocol(error),
    }
}
