//! Taking a daemon's connection over, on the server.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::PROTOCOL;
use crate::form::Form;
use crate::link::{ConnectError, Driver, Link};
use crate::settings::Settings;
use crate::websocket::{Role, WebSocket};

/// How long after the answer the connection may take to change hands.
const HANDOVER: Duration = Duration::from_secs(10);

/// A request that does not ask for a tunnel.
#[derive(Debug, thiserror::Error)]
#[error("not a tunnel request: send GET over HTTP/1.1 with `Upgrade: {PROTOCOL}`, or ask for a WebSocket of it")]
pub struct NotAnUpgrade;

/// A tunnel that begins once its response has been sent.
#[must_use = "without `connect` the daemon waits for nothing"]
#[derive(Debug)]
pub struct Pending {
    upgrade: OnUpgrade,
    form: Form,
}

/// Answers a request for a tunnel.
///
/// Return the response from the handler, with more headers if you like, and
/// call [`Pending::connect`] in a task of its own: it waits for that response.
pub fn upgrade(mut request: Request) -> Result<(Response, Pending), NotAnUpgrade> {
    let asked = Form::asked(request.headers()).filter(|_| request.method() == Method::GET);
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some((form, answer)), Some(upgrade)) = (asked, upgrade) else {
        return Err(NotAnUpgrade);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().extend(answer);
    Ok((response, Pending { upgrade, form }))
}

impl Pending {
    /// Returns how the tunnel will be carried.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Takes the connection over.
    pub async fn connect(self, settings: Settings) -> Result<(Link, Driver), ConnectError> {
        let handover = async {
            let stream = TokioIo::new(self.upgrade.await.map_err(ConnectError::Lost)?);
            Ok(match self.form {
                Form::Upgrade => Link::over(stream, settings),
                Form::WebSocket => Link::over(WebSocket::new(stream, Role::Granted), settings),
            })
        };
        timeout(HANDOVER, handover).await.unwrap_or(Err(ConnectError::TimedOut))
    }
}
