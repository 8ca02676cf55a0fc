//! The daemon's end: an HTTP/2 server over the connection it dialled.

use std::future::Future;
use std::io;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::form::Form;
use crate::settings::{FRAME, HEADER_TABLE, HEADERS, NEVER, SEND_BUFFER, STREAMS, Settings};
use crate::stream::{BoxedStream, Stream};
use crate::tether::Tether;
use crate::watch::{Ending, Watch, Watched};

/// A connection to the server, not served yet.
pub struct Conn {
    stream: BoxedStream,
    headers: HeaderMap,
    form: Form,
    settings: Settings,
}

/// Why a connection that was served ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// This end was asked to shut down, and did.
    ShutDown,
    /// The server closed the connection.
    ByPeer,
}

/// Why a connection that was served broke.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nothing was heard from the server for as long as patience lasts.
    #[error("the server went silent")]
    Silent,
    /// The network failed.
    #[error("the connection to the server broke")]
    Broken(#[source] io::Error),
    /// The server said something that is not HTTP/2.
    #[error("the server broke the protocol")]
    Protocol(#[source] hyper::Error),
}

impl Conn {
    /// Takes a byte stream on which the server already speaks HTTP/2.
    ///
    /// `headers` are those with which the server agreed to it.
    pub fn over(stream: impl Stream, headers: HeaderMap) -> Self {
        Self { stream: Box::new(stream), headers, form: Form::Upgrade, settings: Settings::default() }
    }

    /// Replaces the settings.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    pub(crate) fn carried_as(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// Returns how it is carried.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns the headers with which the server accepted the connection.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Answers the server's requests until the connection ends, and says why it did.
    ///
    /// When `shutdown` resolves the server is told to send no more; requests in
    /// flight may finish within [`Settings::drain`]. Handlers that still run when
    /// this returns, or is dropped, are dropped.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) -> Result<Ended, ServeError> {
        let Settings { drain, .. } = self.settings;
        let (stream, watch) = Watched::new(self.stream, self.settings.patience());
        let tether = Tether::default();
        let _guard = tether.guard();
        let service = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request.map(Body::new)));
        let mut conn = pin!(builder(&self.settings, tether.clone()).serve_connection(TokioIo::new(stream), service));

        let served = tokio::select! {
            served = conn.as_mut() => ended(served, &watch),
            () = shutdown => {
                conn.as_mut().graceful_shutdown();
                // Whatever happens to the connection now, this end wanted it over.
                let _ = timeout(drain, conn.as_mut()).await;
                Ok(Ended::ShutDown)
            }
        };
        tether.cut();
        tether.ended().await;
        served
    }
}

fn builder(settings: &Settings, tether: Tether) -> http2::Builder<Tether> {
    let mut builder = http2::Builder::new(tether);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keep_alive_interval)
        .keep_alive_timeout(NEVER)
        .initial_stream_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .header_table_size(HEADER_TABLE)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        // The server is trusted and cancels in bursts, as browsers do; the
        // defaults, made against strangers, would close the connection.
        .max_pending_accept_reset_streams(STREAMS as usize)
        .max_local_error_reset_streams(None);
    builder
}

fn ended(served: hyper::Result<()>, watch: &Watch) -> Result<Ended, ServeError> {
    match (watch.ending(), served) {
        (Some(Ending::Silent), _) => Err(ServeError::Silent),
        (Some(Ending::Failed(error)), _) => Err(ServeError::Broken(io::Error::new(error.kind(), error.to_string()))),
        (Some(Ending::Finished), _) | (None, Ok(())) => Ok(Ended::ByPeer),
        (None, Err(error)) => Err(ServeError::Protocol(error)),
    }
}
