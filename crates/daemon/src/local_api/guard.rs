//! Who may ask.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chatroom_protocol::ErrorCode;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};
use url::{Host, Url};

use super::problem::{Refusal, problem};
use crate::trust::Trust;

/// The one route anybody may ask.
pub(super) const LIVE: &str = "/platform/live";

/// Refuses whoever does not show the platform's credential.
pub(super) async fn demand_platform(State(trust): State<Trust>, request: Request, next: Next) -> Response {
    if request.uri().path() == LIVE || is_platform(&trust, request.headers()) {
        return next.run(request).await;
    }
    problem(StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn, "this machine answers its own server only")
        .into_response()
}

fn is_platform(trust: &Trust, headers: &HeaderMap) -> bool {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    shown.is_some_and(|shown| trust.accepts(shown))
}

/// Refuses what a page of somewhere else made a browser send, also when its name was made to point here.
pub(super) async fn demand_local(request: Request, next: Next) -> Response {
    match foreign(&request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn foreign(request: &Request) -> Option<Refusal> {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST).or_else(|| request.uri().host()).unwrap_or_default();
    if !is_local(host) {
        return Some(problem(
            StatusCode::MISDIRECTED_REQUEST,
            ErrorCode::UnknownHost,
            "this port answers to 127.0.0.1 and localhost only",
        ));
    }
    let is_foreign = text(ORIGIN).is_some_and(|origin| origin != format!("http://{host}"));
    is_foreign.then(|| {
        problem(StatusCode::FORBIDDEN, ErrorCode::ForeignOrigin, "the request comes from a page of another origin")
    })
}

fn is_local(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
