//! The server's end: an HTTP/2 client over a connection somebody dialled.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::time::{Instant, sleep_until};

use crate::exchange::{self, Failed};
use crate::http2::{Connection, Http2Error, Over, Pings, Reason, Requests};
use crate::settings::Settings;
use crate::stream::Stream;
use crate::tether::Tether;
use crate::watch::{Ending, Watch, Watched};

/// A connection down which requests are sent; clones share it.
///
/// When the last clone goes, the connection closes once its requests are done.
#[derive(Clone)]
pub struct Link {
    requests: Requests,
    tether: Tether,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection is closed, and the peer did not act on the request.
    #[error("the tunnel is closed")]
    Closed,
    /// The request was on its way: whether the peer acted on it is unknown.
    #[error("the tunnel broke off before the answer came")]
    Interrupted(#[source] Http2Error),
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
    Protocol(Http2Error),
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
    pub fn over(stream: impl Stream, settings: Settings) -> (Self, Driver) {
        let (stream, watch) = Watched::new(Box::new(stream), settings.patience());
        let (requests, connection) = Connection::new(stream, settings);
        let tether = Tether::default();
        let guard = tether.guard();
        let link = Self { requests, tether: tether.clone() };
        let driver = async move {
            let _guard = guard;
            let pings = connection.pings();
            let closed = tokio::select! {
                biased;
                () = tether.severed() => Closed::Here,
                run = connection => why(run, &watch),
                () = keep_alive(&pings, &watch, settings.keep_alive_interval) => Closed::Here,
            };
            // Whatever still wants to send has nobody to send to.
            tether.cut();
            tether.ended().await;
            closed
        };
        (link, Driver(driver.boxed()))
    }

    /// Sends a request and returns the answer as soon as its headers are there.
    ///
    /// Bodies stream both ways. Dropping this future, or the body of the answer,
    /// resets this one stream. There is no time limit of its own, but a peer that
    /// freezes ends the link.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Body>, LinkError> {
        match exchange::exchange(self.requests.clone(), &self.tether, request).await {
            Ok(response) => Ok(response),
            Err(Failed::Unsent) => Err(LinkError::Closed),
            Err(Failed::Exhausted) => {
                // No number is left for another stream: the next connection begins anew.
                self.close();
                Err(LinkError::Closed)
            }
            // Neither kind was acted on.
            Err(Failed::Sent(Http2Error::GoAway(_) | Http2Error::Reset(Reason::REFUSED_STREAM))) => {
                Err(LinkError::Closed)
            }
            Err(Failed::Sent(error)) => Err(LinkError::Interrupted(error)),
        }
    }

    /// Ends the connection now, with whatever it carries.
    pub fn close(&self) {
        self.tether.cut();
    }

    /// Returns whether no request can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.tether.is_cut() || self.requests.is_closing()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Makes the peer speak whenever it was quiet for `interval`. What follows from its silence is up to [`Watched`].
async fn keep_alive(pings: &Pings, watch: &Watch, interval: Duration) {
    let mut asked = watch.heard();
    loop {
        let due = watch.heard().max(asked) + interval;
        if Instant::now() < due {
            sleep_until(due).await;
        } else {
            pings.ping();
            asked = Instant::now();
        }
    }
}

fn why(run: Result<Over, Http2Error>, watch: &Watch) -> Closed {
    match (run, watch.ending()) {
        (Ok(Over::Here), _) => Closed::Here,
        (Ok(Over::ByPeer), _) | (Err(Http2Error::Lost), Some(Ending::Finished) | None) => Closed::ByPeer,
        (Err(Http2Error::Lost), Some(Ending::Silent)) => Closed::Silent,
        (Err(Http2Error::Lost), Some(Ending::Failed(error))) => {
            Closed::Broken(io::Error::new(error.kind(), error.to_string()))
        }
        (Err(error), _) => Closed::Protocol(error),
    }
}
