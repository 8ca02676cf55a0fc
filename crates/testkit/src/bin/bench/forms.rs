//! The ways a request can take to the same router: directly, through a plain reverse proxy, through a tunnel.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use chatroom_tunnel::{Dial, Form as Carried, Link, Listener, Settings, dial, for_peer, upgrade};
use futures_util::StreamExt as _;
use http::{StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

use crate::figures::Times;

/// What one piece of a large answer holds.
const PIECE: usize = 64 * 1024;

/// A way to the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing between: what the machine can do.
    Direct,
    /// A reverse proxy of a few lines over hyper's client and its pool.
    Proxy,
    /// The tunnel as it is dialled first: an HTTP/1.1 upgrade.
    Tunnel,
    /// The tunnel in WebSocket messages, for what passes on nothing else.
    WebSocket,
}

impl Form {
    /// Every way, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Proxy, Self::Tunnel, Self::WebSocket];

    /// Returns what the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct (floor)",
            Self::Proxy => "plain proxy",
            Self::Tunnel => "tunnel",
            Self::WebSocket => "tunnel over a WebSocket",
        }
    }

    /// Opens the way and returns where it begins. It stays open as long as the process.
    pub async fn open(self) -> anyhow::Result<SocketAddr> {
        match self {
            Self::Direct => serve(far_end()).await,
            Self::Proxy => {
                let to = serve(far_end()).await?;
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
                serve(Router::new().fallback(any(proxied)).with_state((client, to))).await
            }
            Self::Tunnel => tunnel(Carried::Upgrade).await,
            Self::WebSocket => tunnel(Carried::WebSocket).await,
        }
    }
}

async fn tunnel(form: Carried) -> anyhow::Result<SocketAddr> {
    let link = linked(far_end(), form).await?;
    serve(Router::new().fallback(any(tunnelled)).with_state(link)).await
}

/// Returns what is asked in the end.
fn far_end() -> Router {
    Router::new()
        .route("/small", get(|| async { "pong" }))
        .route("/large/{mib}", get(large))
        .route("/sink", post(sink).layer(axum::extract::DefaultBodyLimit::disable()))
}

async fn large(Path(mib): Path<usize>) -> Response {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces =
        futures_util::stream::iter(0..mib * 1024 * 1024 / PIECE).map(move |_| Ok::<_, Infallible>(piece.clone()));
    Body::from_stream(pieces).into_response()
}

async fn sink(request: Request) -> Result<String, StatusCode> {
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes.to_string())
}

async fn serve(router: Router) -> anyhow::Result<SocketAddr> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let address = tcp.local_addr()?;
    tokio::spawn(Listener::new(tcp).serve(router, std::future::pending()));
    Ok(address)
}

type Pooled = (legacy::Client<HttpConnector, Body>, SocketAddr);

async fn proxied(State((client, to)): State<Pooled>, request: Request) -> Result<Response, StatusCode> {
    let path = path_of(&request);
    let mut request = for_peer(request, &path).map_err(|_| StatusCode::BAD_REQUEST)?;
    *request.uri_mut() = Uri::builder()
        .scheme("http")
        .authority(to.to_string())
        .path_and_query(path)
        .build()
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    *request.version_mut() = http::Version::HTTP_11;
    let response = client.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(response.map(Body::new))
}

async fn tunnelled(State(link): State<Link>, request: Request) -> Result<Response, StatusCode> {
    let path = path_of(&request);
    let request = for_peer(request, &path).map_err(|_| StatusCode::BAD_REQUEST)?;
    link.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn path_of(request: &Request) -> String {
    request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned()
}

/// Opens a tunnel whose far end serves `router`, and returns its near end.
async fn linked(router: Router, form: Carried) -> anyhow::Result<Link> {
    let taken: Arc<OnceLock<Link>> = Arc::default();
    let door = Router::new().route("/tunnel", get(take)).with_state(taken.clone());
    let address = serve(door).await?;
    let conn = dial(&Dial { form, ..Dial::new(format!("http://{address}/tunnel").parse()?) }).await?;
    anyhow::ensure!(conn.form() == form, "it came to be in another form");
    tokio::spawn(conn.serve(router, std::future::pending()));
    for _ in 0..500 {
        if let Some(link) = taken.get() {
            return Ok(link.clone());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("the tunnel did not come to be")
}

async fn take(State(taken): State<Arc<OnceLock<Link>>>, request: Request) -> Result<Response, StatusCode> {
    let (response, pending) = upgrade(request).map_err(|_| StatusCode::BAD_REQUEST)?;
    tokio::spawn(async move {
        if let Ok((link, driver)) = pending.connect(Settings::default()).await {
            // A second one would not be asked for.
            let _ = taken.set(link);
            driver.await;
        }
    });
    Ok(response)
}

/// Measures a request down a tunnel that does nothing else.
pub async fn bare_request() -> anyhow::Result<Times> {
    let link = linked(far_end(), Carried::Upgrade).await?;
    let mut times = Vec::new();
    for turn in 0..2200 {
        let began = Instant::now();
        let answer = link.request(Request::get("/small").body(Body::empty())?).await?;
        let body = answer.into_body().collect().await.context("half an answer")?;
        anyhow::ensure!(body.to_bytes() == "pong", "a wrong answer");
        if turn >= 200 {
            times.push(began.elapsed());
        }
    }
    Ok(Times::new(times))
}
