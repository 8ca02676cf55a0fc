//! The accept loop of everything that listens: the server, and a daemon's local port.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::stream::BoxedStream;

/// The pause after the system had no socket to give.
const BREATHER: Duration = Duration::from_millis(100);
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Serves a router to whoever connects.
///
/// Speaks HTTP/1.1 with upgrades; over TLS, HTTP/2 to those who prefer it.
/// Every request carries a [`ConnectInfo`] with the caller's address.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    drain: Duration,
}

impl Listener {
    /// Returns a listener on `tcp` that speaks plainly.
    pub fn new(tcp: TcpListener) -> Self {
        Self { tcp, tls: None, header_timeout: Duration::from_secs(10), drain: Duration::from_secs(10) }
    }

    /// Speaks TLS only, if a configuration is given.
    #[must_use]
    pub fn tls(mut self, config: Option<Arc<ServerConfig>>) -> Self {
        self.tls = config.map(|mut config| {
            if config.alpn_protocols.is_empty() {
                let config = Arc::make_mut(&mut config);
                config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
            }
            TlsAcceptor::from(config)
        });
        self
    }

    /// Sets how long a TLS handshake, or the head of a request, may take.
    #[must_use]
    pub fn header_timeout(self, header_timeout: Duration) -> Self {
        Self { header_timeout, ..self }
    }

    /// Sets how long requests in flight may go on after the shutdown.
    #[must_use]
    pub fn drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Accepts connections until `shutdown` resolves, then finishes what is in flight.
    ///
    /// What is not done within the drain time is dropped. Connections that were
    /// upgraded belong to whoever took them and are not waited for.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { tcp, tls, header_timeout, drain } = self;
        let tasks = TaskTracker::new();
        let draining = CancellationToken::new();
        let dropping = CancellationToken::new();
        let _guard = dropping.clone().drop_guard();
        let mut shutdown = pin!(shutdown);
        loop {
            let (socket, address) = tokio::select! {
                biased;
                () = shutdown.as_mut() => break,
                accepted = accept(&tcp) => accepted,
            };
            let connection = Connection {
                address,
                router: router.clone(),
                tls: tls.clone(),
                header_timeout,
                draining: draining.clone(),
            };
            let dropping = dropping.clone();
            tasks.spawn(async move {
                let served = connection.serve(socket);
                if let Some(Err(error)) = dropping.run_until_cancelled(served).await {
                    tracing::debug!(%address, error = %Chain(&*error), "connection ended badly");
                }
            });
        }
        drop(tcp);
        draining.cancel();
        tasks.close();
        if timeout(drain, tasks.wait()).await.is_err() {
            tracing::info!(connections = tasks.len(), "dropping connections that did not finish");
            dropping.cancel();
            tasks.wait().await;
        }
    }
}

/// Returns the next connection, with Nagle's algorithm off.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((socket, address)) => match socket.set_nodelay(true) {
                Ok(()) => return (socket, address),
                Err(error) => tracing::debug!(%address, %error, "connection went before it began"),
            },
            Err(error) if is_about_one_connection(&error) => {
                tracing::debug!(%error, "connection went before it began");
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; is the limit of open files too low?");
                sleep(BREATHER).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Connection {
    address: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    draining: CancellationToken,
}

impl Connection {
    async fn serve(self, socket: TcpStream) -> Result<(), Failure> {
        let (stream, is_http_2): (BoxedStream, _) = match &self.tls {
            None => (Box::new(socket), false),
            Some(tls) => {
                let stream = timeout(self.header_timeout, tls.accept(socket)).await??;
                let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
                (Box::new(stream), is_http_2)
            }
        };
        let stream = TokioIo::new(stream);
        let service = service(self.router, self.address);
        if is_http_2 {
            let conn = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(30))
                .serve_connection(stream, service);
            run(conn, &self.draining).await
        } else {
            let conn = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.header_timeout)
                .serve_connection(stream, service)
                .with_upgrades();
            run(conn, &self.draining).await
        }
    }
}

fn service(
    router: Router,
    address: SocketAddr,
) -> impl Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send + 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        tower::ServiceExt::oneshot(router.clone(), request.map(Body::new))
    })
}

/// A connection that can be asked to take no new requests.
trait Drain: Future<Output = hyper::Result<()>> {
    fn drain(self: Pin<&mut Self>);
}

impl<S> Drain for http1::UpgradeableConnection<TokioIo<BoxedStream>, S>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Drain for http2::Connection<TokioIo<BoxedStream>, S, TokioExecutor>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn run(conn: impl Drain, draining: &CancellationToken) -> Result<(), Failure> {
    let mut conn = pin!(conn);
    let served = tokio::select! {
        served = conn.as_mut() => served,
        () = draining.cancelled() => {
            conn.as_mut().drain();
            conn.await
        }
    };
    Ok(served?)
}

/// Prints an error with its causes.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_sends_small_writes_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = accept(&listener).await;
        assert!(socket.nodelay().unwrap());
    }
}
