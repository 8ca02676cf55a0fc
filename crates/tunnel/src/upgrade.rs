//! Taking a daemon's connection over, on the server.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::PROTOCOL;
use crate::link::{ConnectError, Driver, Link};
use crate::settings::Settings;

/// How long after the answer the connection may take to change hands.
const HANDOVER: Duration = Duration::from_secs(10);

/// A request that does not ask for a tunnel.
#[derive(Debug, thiserror::Error)]
#[error("not a tunnel request: send GET over HTTP/1.1 with `Upgrade: {PROTOCOL}`")]
pub struct NotAnUpgrade;

/// A tunnel that begins once its response has been sent.
#[must_use = "without `connect` the daemon waits for nothing"]
#[derive(Debug)]
pub struct Pending(OnUpgrade);

/// Answers a request for a tunnel.
///
/// Return the response from the handler, with more headers if you like, and
/// call [`Pending::connect`] in a task of its own: it waits for that response.
pub fn upgrade(mut request: Request) -> Result<(Response, Pending), NotAnUpgrade> {
    let asks = request.method() == Method::GET
        && lists(request.headers(), &CONNECTION, "upgrade")
        && lists(request.headers(), &UPGRADE, PROTOCOL);
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (true, Some(upgrade)) = (asks, upgrade) else {
        return Err(NotAnUpgrade);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok((response, Pending(upgrade)))
}

impl Pending {
    /// Takes the connection over.
    pub async fn connect(self, settings: Settings) -> Result<(Link, Driver), ConnectError> {
        let handover = async {
            let stream = self.0.await.map_err(ConnectError::Lost)?;
            Link::over(TokioIo::new(stream), settings).await
        };
        timeout(HANDOVER, handover).await.unwrap_or(Err(ConnectError::TimedOut))
    }
}

/// Returns whether a header that is a list has `token` in it.
pub(crate) fn lists(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}
