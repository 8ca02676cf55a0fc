//! A server that takes tunnels, and a daemon that dials it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chatroom_tunnel::{
    Closed, Conn, Dial, DialError, Driver, Ended, Form, Link, LinkError, Listener, ServeError, Settings, dial, upgrade,
};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http_body_util::BodyExt as _;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::proxy::Proxy;

/// Returns the form this program tests: the suite is built once for each.
pub fn form() -> Form {
    match env!("CARGO_CRATE_NAME") {
        "websocket" => Form::WebSocket,
        _ => Form::Upgrade,
    }
}

/// What every wait in these tests is bounded by.
pub const SOON: Duration = Duration::from_secs(20);

pub async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(SOON, what).await.expect("it takes far too long")
}

/// Polls until `holds`.
pub async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "it never came to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Settings under which silence is noticed within a second.
pub fn impatient() -> Settings {
    Settings {
        keep_alive_interval: Duration::from_millis(200),
        keep_alive_timeout: Duration::from_millis(800),
        ..Settings::default()
    }
}

/// A server whose `/tunnel` hands over whatever connects.
pub struct Server {
    pub address: SocketAddr,
    scheme: &'static str,
    taken: mpsc::UnboundedReceiver<(Link, Driver)>,
    _stop: tokio_util::sync::DropGuard,
}

impl Server {
    pub async fn start(settings: Settings) -> Self {
        Self::with_tls(settings, None).await
    }

    pub async fn with_tls(settings: Settings, tls: Option<Arc<ServerConfig>>) -> Self {
        let (give, taken) = mpsc::unbounded_channel();
        let take = move |request: Request| async move {
            let (mut response, pending) = match upgrade(request) {
                Ok(upgraded) => upgraded,
                Err(not) => return (StatusCode::UPGRADE_REQUIRED, not.to_string()).into_response(),
            };
            response.headers_mut().insert("chatroom-greeting", "hello".parse().unwrap());
            tokio::spawn(async move {
                if let Ok(taken) = pending.connect(settings).await {
                    let _ = give.send(taken);
                }
            });
            response
        };
        let router = Router::new()
            .route("/tunnel", get(take))
            .route("/plain", get(|| async { "only a page" }))
            .route("/moved", get(|| async { axum::response::Redirect::to("/tunnel") }))
            .route(
                "/no",
                get(|| async {
                    let problem = r#"{"code":"machine_unknown"}"#;
                    (StatusCode::UNAUTHORIZED, [("retry-after", "7")], problem)
                }),
            )
            .route(
                "/problem",
                get(|| async {
                    (StatusCode::CONFLICT, [("content-type", "application/problem+json")], r#"{"code":"stale_epoch"}"#)
                }),
            )
            .route("/verbose", get(|| async { (StatusCode::BAD_GATEWAY, "x".repeat(1024 * 1024)) }));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (address, stop) = listen(router, |listener| listener.tls(tls)).await;
        Self { address, scheme, taken, _stop: stop.drop_guard() }
    }

    pub fn dial(&self, path: &str) -> Dial {
        let port = self.address.port();
        let url = format!("{}://localhost:{port}{path}", self.scheme);
        Dial { form: form(), ..Dial::new(Url::parse(&url).unwrap()) }
    }

    pub async fn taken(&mut self) -> (Link, Driver) {
        soon(self.taken.recv()).await.unwrap()
    }
}

/// Serves a router until the token is cancelled.
pub async fn listen(router: Router, set_up: impl FnOnce(Listener) -> Listener) -> (SocketAddr, CancellationToken) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(set_up(Listener::new(tcp)).serve(router, stopped));
    (address, stop)
}

/// A tunnel that is up, with both its ends.
pub struct Tunnel {
    pub server: Server,
    pub link: Link,
    pub driver: JoinHandle<Closed>,
    pub daemon: JoinHandle<Result<Ended, ServeError>>,
    pub shutdown: CancellationToken,
    pub proxy: Option<Proxy>,
}

impl Tunnel {
    pub async fn open(router: Router) -> Self {
        Self::with(router, Settings::default(), Settings::default()).await
    }

    pub async fn with(router: Router, server: Settings, daemon: Settings) -> Self {
        let server = Server::start(server).await;
        let target = server.dial("/tunnel");
        Self::join(server, &target, router, daemon, None).await
    }

    /// Opens a tunnel over a network that can be frozen and cut.
    pub async fn through_proxy(router: Router, server: Settings, daemon: Settings) -> Self {
        let server = Server::start(server).await;
        let proxy = Proxy::start(server.address).await;
        let mut target = server.dial("/tunnel");
        target.url.set_port(Some(proxy.address.port())).unwrap();
        Self::join(server, &target, router, daemon, Some(proxy)).await
    }

    /// Opens a tunnel over a network that drops what is idle for this long.
    pub async fn through_impatience(router: Router, settings: Settings, patience: Duration) -> Self {
        let server = Server::start(settings).await;
        let proxy = Proxy::patient(server.address, patience).await;
        let mut target = server.dial("/tunnel");
        target.url.set_port(Some(proxy.address.port())).unwrap();
        Self::join(server, &target, router, settings, Some(proxy)).await
    }

    pub async fn secure(router: Router, server: Arc<ServerConfig>, daemon: Arc<ClientConfig>) -> Self {
        let server = Server::with_tls(Settings::default(), Some(server)).await;
        let target = Dial { tls: Some(daemon), ..server.dial("/tunnel") };
        Self::join(server, &target, router, Settings::default(), None).await
    }

    async fn join(mut server: Server, target: &Dial, router: Router, settings: Settings, proxy: Option<Proxy>) -> Self {
        let conn = dial(target).await.unwrap();
        assert_eq!(conn.headers()["chatroom-greeting"], "hello");
        assert_eq!(conn.form(), form());
        let (link, driver) = server.taken().await;
        let shutdown = CancellationToken::new();
        Self {
            server,
            link,
            driver: tokio::spawn(driver),
            daemon: spawn_daemon(conn.with(settings), router, &shutdown),
            shutdown,
            proxy,
        }
    }

    pub async fn get(&self, path: &str) -> Result<Response, LinkError> {
        soon(self.link.request(ask(path))).await
    }

    pub async fn text(&self, path: &str) -> String {
        text(self.get(path).await.unwrap()).await
    }
}

pub fn spawn_daemon(conn: Conn, router: Router, shutdown: &CancellationToken) -> JoinHandle<Result<Ended, ServeError>> {
    let shutdown = shutdown.clone().cancelled_owned();
    tokio::spawn(conn.serve(router, shutdown))
}

pub fn ask(path: &str) -> Request {
    Request::get(path).body(Body::empty()).unwrap()
}

pub async fn text(response: Response) -> String {
    let bytes = soon(response.into_body().collect()).await.unwrap();
    String::from_utf8(bytes.to_bytes().to_vec()).unwrap()
}

/// A body that never ends.
pub fn endless() -> Body {
    let chunk = Bytes::from(vec![7; 64 * 1024]);
    Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
}

/// Dials and expects a no.
pub async fn refusal(target: &Dial) -> DialError {
    match soon(dial(target)).await {
        Ok(_) => panic!("{target:?} opened a tunnel"),
        Err(error) => error,
    }
}
