//! Opening a tunnel, from the daemon.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select, select_ok};
use http::header::{CONNECTION, HOST, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::PROTOCOL;
use crate::conn::Conn;
use crate::stream::BoxedStream;
use crate::upgrade::lists;

/// How much of a refusal is read.
const REFUSAL: usize = 64 * 1024;
/// How long one address of a name is tried before the next joins in.
const STAGGER: Duration = Duration::from_millis(250);
const HTTP_1: &[u8] = b"http/1.1";

/// Where to open a tunnel, and how.
#[derive(Clone)]
pub struct Dial {
    /// The address, `http` or `https`.
    pub url: Url,
    /// What to say beside the upgrade, such as the credential.
    pub headers: HeaderMap,
    /// How long it may take until the server has answered.
    pub connect_timeout: Duration,
    /// How to check the server; the public authorities when none is given.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Dial {
    /// Returns a dial of `url` with no headers, ten seconds and public authorities.
    pub fn new(url: Url) -> Self {
        Self { url, headers: HeaderMap::new(), connect_timeout: Duration::from_secs(10), tls: None }
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
    /// Nobody answered: no network, no name, no listener, no trusted certificate, or too slow.
    #[error("the server cannot be reached")]
    Unreachable(#[source] io::Error),
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
pub async fn dial(target: &Dial) -> Result<Conn, DialError> {
    timeout(target.connect_timeout, open(target)).await.unwrap_or_else(|_| Err(unreachable(io::ErrorKind::TimedOut)))
}

async fn open(target: &Dial) -> Result<Conn, DialError> {
    let request = request(target)?;
    let tcp = connect(&target.url).await.map_err(unreachable)?;
    let stream: BoxedStream = match target.url.scheme() {
        "https" => Box::new(secure(target, tcp).await.map_err(unreachable)?),
        _ => Box::new(tcp),
    };
    let (mut sender, conn) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        settle(response).await
    };
    match select(pin!(exchange), pin!(conn.with_upgrades())).await {
        Either::Left((settled, _)) => settled,
        Either::Right((_, exchange)) => exchange.await,
    }
}

fn request(target: &Dial) -> Result<Request<Body>, DialError> {
    let url = &target.url;
    let not = |why: &str| DialError::NotATunnel { why: why.to_owned() };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(not("the address must begin with http:// or https://"));
    }
    let host = url.host_str().ok_or_else(|| not("no host is named"))?;
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
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(request)
}

/// Connects to the first address of the host that answers.
async fn connect(url: &Url) -> io::Result<TcpStream> {
    let attempts: Vec<_> = resolve(url)
        .await?
        .into_iter()
        .zip(0..)
        .map(|(address, turn)| {
            Box::pin(async move {
                sleep(STAGGER * turn).await;
                TcpStream::connect(address).await
            })
        })
        .collect();
    if attempts.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let (tcp, _) = select_ok(attempts).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or_default();
    let ips = match url.host() {
        // Not every resolver knows that names below `localhost` are this computer.
        Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Some(Host::Domain(name)) => return Ok(lookup_host((name, port)).await?.collect()),
        Some(Host::Ipv4(ip)) => vec![ip.into()],
        Some(Host::Ipv6(ip)) => vec![ip.into()],
        None => vec![],
    };
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

async fn secure(target: &Dial, tcp: TcpStream) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = match target.url.host() {
        Some(Host::Domain(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
        }
        Some(Host::Ipv4(ip)) => ServerName::from(std::net::IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => ServerName::from(std::net::IpAddr::from(ip)),
        None => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let given = target.tls.as_ref().unwrap_or(&PUBLIC);
    let config = if given.alpn_protocols == [HTTP_1] {
        Arc::clone(given)
    } else {
        // Only HTTP/1.1 knows this kind of upgrade.
        let mut config = ClientConfig::clone(given);
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Arc::new(config)
    };
    TlsConnector::from(config).connect(name, tcp).await
}

/// Trusts the authorities browsers trust.
static PUBLIC: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Arc::new(config)
});

/// Makes of the server's answer what it means.
async fn settle(mut response: Response<Incoming>) -> Result<Conn, DialError> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        if !lists(response.headers(), &UPGRADE, PROTOCOL) {
            return Err(DialError::NotATunnel { why: "the server switched to another protocol".to_owned() });
        }
        let stream = hyper::upgrade::on(&mut response).await.map_err(failed)?;
        let (head, _) = response.into_parts();
        return Ok(Conn::over(TokioIo::new(stream), head.headers));
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

    #[tokio::test]
    async fn a_dialled_socket_sends_small_writes_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "chatroom.localhost"] {
            let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
            let socket = connect(&url).await.unwrap();
            assert!(socket.nodelay().unwrap(), "{host}");
        }
    }

    #[test]
    fn the_credential_is_not_printed() {
        let mut dial = Dial::new(Url::parse("http://server.example/api/tunnel").unwrap());
        let credential = HeaderValue::from_static("Bearer crm_x");
        dial.headers.insert("authorization", credential);
        assert!(!format!("{dial:?}").contains("crm_"));
    }
}
