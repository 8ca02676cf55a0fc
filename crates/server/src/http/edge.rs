//! What happens to every request, whatever its route: an id, a log line, a count,
//! and the headers that tell a browser to be strict.
//!
//! Neither bodies nor queries nor credentials are logged: the route's pattern is.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::ErrorCode;
use chatroom_store::Trouble;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::Instrument as _;

use super::error;
use super::meter::Meter;
use crate::app::App;
use crate::config::Config;
use crate::error::Error;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// Returns the id of the request under way.
pub(super) fn request_id() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// What the middleware needs.
#[derive(Clone)]
pub(super) struct Edge {
    pub app: App,
    pub meter: Meter,
}

/// The address a request comes from, past the proxies that are trusted.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let known = parts.extensions.get::<Self>().copied();
        known.ok_or_else(|| Error::Internal("a request came from nowhere".into()))
    }
}

/// Wraps every request.
pub(super) async fn wrap(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = match taken(request.headers()) {
        Some(id) => id,
        None => {
            edge.app.random().map_or_else(|_| "none".to_owned(), |bytes| format!("{:032x}", u128::from_ne_bytes(bytes)))
        }
    };
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    if let Some(peer) = peer {
        let address = client(&edge.app.config, peer, request.headers());
        request.extensions_mut().insert(ClientAddress(address));
    }
    let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.route = %route);
    let served = async {
        let mut response = match edge.app.health.trouble() {
            // Each request would only wait in vain.
            Some(trouble @ Trouble::Away) if needs_database(&route) => Error::Unwell(trouble).into_response(),
            _ => as_problem(next.run(request).await).await,
        };
        if let Some(error::Unwell(trouble)) = response.extensions().get().copied() {
            edge.app.health.note(trouble, &edge.app);
        }
        strict(&edge.app.config, response.headers_mut());
        if let Ok(id) = HeaderValue::try_from(request_id().unwrap_or_default()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(error::Refused(limit)) = response.extensions().get() {
            edge.meter.refused(limit);
        }
        let took = began.elapsed();
        edge.meter.count(method.as_str(), &route, response.status().as_u16(), took);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(http.status = response.status().as_u16(), ms, "request answered");
        response
    };
    CURRENT.scope(id, served.instrument(span)).await
}

/// Returns whether a route is of no use without the database.
fn needs_database(route: &str) -> bool {
    !matches!(route, "/healthz" | "/readyz" | "/metrics")
}

/// Takes the id a proxy gave, if it is one.
fn taken(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fits = (8..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    fits.then(|| id.to_owned())
}

/// Walks back along the proxies, as far as they are trusted.
fn client(config: &Config, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |address: IpAddr| config.trusted_proxy.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        if !trusted(address) {
            break;
        }
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        address = hop.to_canonical();
    }
    address
}

/// Makes a problem document of a refusal that the framework wrote as plain text.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let bare = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    let size = axum::body::HttpBody::size_hint(response.body()).exact();
    let small = size.is_some_and(|size| size < 4096);
    if !(status.is_client_error() || status.is_server_error()) || !bare || !small {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let code = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorCode::NotFound,
        StatusCode::FORBIDDEN => ErrorCode::Forbidden,
        StatusCode::CONFLICT => ErrorCode::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::TooManyRequests,
        StatusCode::INSUFFICIENT_STORAGE => ErrorCode::StorageFull,
        status if status.is_server_error() => ErrorCode::Internal,
        _ => ErrorCode::InvalidRequest,
    };
    let detail = match (status, text.is_empty()) {
        (StatusCode::METHOD_NOT_ALLOWED, _) => "this address does not take that method".to_owned(),
        (_, false) if code != ErrorCode::Internal => text,
        _ => "the request failed; the server's log has more under this request id".to_owned(),
    };
    let mut answer = error::answer(&error::plain(status, code, detail));
    for (name, value) in &parts.headers {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH) {
            answer.headers_mut().append(name, value.clone());
        }
    }
    answer
}

/// Tells browsers to be strict.
fn strict(config: &Config, headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                          frame-ancestors 'none'; base-uri 'none'";
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // The web app says what it may do itself, and what somebody sent is shown with less.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    // A page may say otherwise: without a referrer a browser calls its own forms' origin "null".
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if config.public_url.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Answers for a handler that panicked.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    axum::response::IntoResponse::into_response(Error::Internal("a handler panicked".into()))
}
