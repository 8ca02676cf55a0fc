//! Opening a tunnel, from the daemon.

mod connect;
mod proxy;
mod tls;

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use self::proxy::{Proxies, Proxy};
use crate::conn::Conn;
use crate::form::{Agreement, Form};
use crate::stream::BoxedStream;
use crate::websocket::{Role, WebSocket};

/// How much of a refusal is read.
const REFUSAL: usize = 64 * 1024;
/// The most the head of an answer may take.
const HEAD: usize = 64 * 1024;

/// Where to open a tunnel, and how.
#[derive(Clone)]
pub struct Dial {
    /// The address, `http` or `https`.
    pub url: Url,
    /// What to say beside the upgrade, such as the credential.
    pub headers: HeaderMap,
    /// How long it may take until the server has answered, in each form.
    pub connect_timeout: Duration,
    /// How to check the server; by what this computer trusts when none is given.
    pub tls: Option<Arc<ClientConfig>>,
    /// Which form to try first.
    pub form: Form,
    /// Which proxies lead there.
    pub proxies: Arc<Proxies>,
}

impl Dial {
    /// Returns a dial of `url` with no headers, ten seconds, this computer's trust and no proxies.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            connect_timeout: Duration::from_secs(10),
            tls: None,
            form: Form::default(),
            proxies: Arc::default(),
        }
    }
}

impl fmt::Debug for Dial {
    // Not derived: the headers hold the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Why no tunnel was opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answered: no network, no name, no listener, or too slow.
    #[error("the server cannot be reached")]
    Unreachable(#[source] io::Error),
    /// Somebody answered, whose certificate is not trusted here.
    #[error("the certificate of {host} is not trusted here: {why}")]
    Untrusted {
        /// Who presented it.
        host: String,
        /// What is wrong with it and what helps, for people.
        why: String,
    },
    /// The proxy on the way did not let it through.
    #[error("the proxy {proxy} does not let this through: {why}")]
    Proxy {
        /// Its address, without user and password.
        proxy: String,
        /// What it said and what helps, for people.
        why: String,
    },
    /// The server answered no.
    #[error("the server refused the tunnel with status {status}")]
    Refused {
        /// The status, 4xx or 5xx.
        status: StatusCode,
        /// The headers, such as `Retry-After`.
        headers: Box<HeaderMap>,
        /// The beginning of the body, which may be a problem document.
        body: Bytes,
    },
    /// Something else than a tunnel is at that address.
    #[error("no tunnel at that address: {why}")]
    NotATunnel {
        /// What was found, for people.
        why: String,
    },
}

/// Opens a tunnel: one connection, one request, then it is the server's turn to ask.
///
/// When what answers is not the server's own word, something in between may pass
/// on only the other form: that is tried as well. [`Conn::form`] tells what worked.
pub async fn dial(target: &Dial) -> Result<Conn, DialError> {
    let missed = match attempt(target, target.form).await {
        Ok(conn) => return Ok(conn),
        Err(missed) => missed,
    };
    if !missed.may_be_the_form {
        return Err(missed.error);
    }
    match attempt(target, target.form.other()).await {
        Err(second) if second.may_be_the_form || !matches!(second.error, DialError::Refused { .. }) => {
            Err(missed.error)
        }
        Err(second) => Err(second.error),
        Ok(conn) => Ok(conn),
    }
}

/// Why one form opened no tunnel.
struct Missed {
    error: DialError,
    /// Whether the other form may do better.
    may_be_the_form: bool,
}

async fn attempt(target: &Dial, form: Form) -> Result<Conn, Missed> {
    let until = Instant::now() + target.connect_timeout;
    let late = |_| Err(unreachable(io::ErrorKind::TimedOut));
    let stream = timeout_at(until, route(target))
        .await
        .unwrap_or_else(late)
        .map_err(|error| Missed { error, may_be_the_form: false })?;
    let asked = async {
        let (request, agreement) = request(target, form)?;
        ask(stream, request, async |asked| settle(asked.map_err(failed)?, form, &agreement).await).await
    };
    timeout_at(until, asked)
        .await
        .unwrap_or_else(|_| Err(unreachable(io::ErrorKind::TimedOut)))
        .map_err(|error| Missed { may_be_the_form: !is_the_servers_own(&error), error })
}

/// Returns whether our own server said this, having understood what was asked.
fn is_the_servers_own(error: &DialError) -> bool {
    let DialError::Refused { status, headers, .. } = error else {
        return false;
    };
    let told = headers.get(CONTENT_TYPE).and_then(|told| told.to_str().ok()).unwrap_or_default();
    // A request whose upgrade was stripped on the way is answered with 400.
    told.starts_with("application/problem+json") && *status != StatusCode::BAD_REQUEST
}

/// Reaches the server, through a proxy if one leads there.
async fn route(target: &Dial) -> Result<BoxedStream, DialError> {
    let url = &target.url;
    let not = |why: &str| DialError::NotATunnel { why: why.to_owned() };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(not("the address must begin with http:// or https://"));
    }
    if url.host_str().is_none() {
        return Err(not("no host is named"));
    }
    let stream = match target.proxies.to(url) {
        Some(proxy) => proxy.open(url).await?,
        None => Box::new(connect::connect(url).await.map_err(unreachable)?),
    };
    match url.scheme() {
        "https" => tls::secure(url, target.tls.as_ref(), stream).await,
        _ => Ok(stream),
    }
}

/// What came of a request.
type Asked = hyper::Result<Response<Incoming>>;

/// Asks something over a stream and makes something of the answer while the connection lives.
async fn ask<T>(
    stream: BoxedStream,
    request: Request<Body>,
    settle: impl AsyncFnOnce(Asked) -> Result<T, DialError>,
) -> Result<T, DialError> {
    let (mut sender, conn) =
        http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let exchange = async { settle(sender.send_request(request).await).await };
    match select(pin!(exchange), pin!(conn.with_upgrades())).await {
        Either::Left((settled, _)) => settled,
        Either::Right((_, exchange)) => exchange.await,
    }
}

fn request(target: &Dial, form: Form) -> Result<(Request<Body>, Agreement), DialError> {
    let url = &target.url;
    let not = |why: &str| DialError::NotATunnel { why: why.to_owned() };
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::get(path).body(Body::empty()).map_err(|_| not("the path is malformed"))?;
    let host = HeaderValue::from_str(&host).map_err(|_| not("the host is malformed"))?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.extend(target.headers.clone());
    let agreement = form.ask(headers).map_err(|error| unreachable(io::Error::other(error)))?;
    Ok((request, agreement))
}

/// Makes of the server's answer what it means.
async fn settle(mut response: Response<Incoming>, form: Form, agreement: &Agreement) -> Result<Conn, DialError> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        if !agreement.is_in(response.headers()) {
            return Err(DialError::NotATunnel { why: "the server switched to another protocol".to_owned() });
        }
        let stream = TokioIo::new(hyper::upgrade::on(&mut response).await.map_err(failed)?);
        let (head, _) = response.into_parts();
        return Ok(match form {
            Form::Upgrade => Conn::over(stream, head.headers),
            Form::WebSocket => Conn::over(WebSocket::new(stream, Role::Asked), head.headers).carried_as(form),
        });
    }
    if status.is_client_error() || status.is_server_error() {
        let (head, body) = response.into_parts();
        return Err(DialError::Refused { status, headers: Box::new(head.headers), body: beginning(body).await });
    }
    let location = response.headers().get(LOCATION);
    let why = match location.and_then(|to| to.to_str().ok()) {
        Some(to) => format!("the server answered {status} and points to {to}"),
        None => format!("the server answered {status}"),
    };
    Err(DialError::NotATunnel { why })
}

/// Reads as much of a refusal as is of use; what breaks off is still told.
async fn beginning(mut body: Incoming) -> Bytes {
    let mut read = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            break;
        };
        let room = REFUSAL - read.len();
        read.extend_from_slice(&data[..room.min(data.len())]);
        if read.len() == REFUSAL {
            break;
        }
    }
    read.freeze()
}

fn unreachable(error: impl Into<io::Error>) -> DialError {
    DialError::Unreachable(error.into())
}

/// Tells an answer that is not HTTP from none.
fn failed(error: hyper::Error) -> DialError {
    if error.is_parse() {
        return DialError::NotATunnel { why: "what answers there does not speak HTTP/1.1".to_owned() };
    }
    unreachable(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credential_is_not_printed() {
        let mut dial = Dial::new(Url::parse("http://server.example/api/tunnel").unwrap());
        let credential = HeaderValue::from_static("Bearer crm_x");
        dial.headers.insert("authorization", credential);
        assert!(!format!("{dial:?}").contains("crm_"));
    }
}
