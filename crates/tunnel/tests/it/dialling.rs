//! Dialling: what is refused, what is not there, and TLS.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chatroom_tunnel::{Dial, DialError, Form, Settings, dial};
use http::StatusCode;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use crate::world::{Server, Tunnel, form, refusal, soon};

#[tokio::test]
async fn a_refusal_comes_with_its_problem() {
    let server = Server::start(Settings::default()).await;
    let DialError::Refused { status, headers, body } = refusal(&server.dial("/no")).await else {
        panic!("not refused")
    };
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers["retry-after"], "7");
    assert_eq!(body, r#"{"code":"machine_unknown"}"#);

    let DialError::Refused { status, body, .. } = refusal(&server.dial("/verbose")).await else {
        panic!("not refused")
    };
    assert_eq!((status, body.len()), (StatusCode::BAD_GATEWAY, 64 * 1024));
}

#[tokio::test]
async fn what_is_not_a_tunnel_is_told_apart() {
    let server = Server::start(Settings::default()).await;
    for (path, expected) in [
        ("/plain", "the server answered 200 OK"),
        ("/moved", "the server answered 303 See Other and points to /tunnel"),
    ] {
        match refusal(&server.dial(path)).await {
            DialError::NotATunnel { why } => assert_eq!(why, expected),
            other => panic!("{path}: {other:?}"),
        }
    }
    let ftp = Dial::new(Url::parse("ftp://localhost/").unwrap());
    assert!(matches!(refusal(&ftp).await, DialError::NotATunnel { .. }));
    assert!(matches!(refusal(&raw_server(b"220 mail.example ESMTP\r\n").await).await, DialError::NotATunnel { .. }));
    let other = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    assert!(matches!(refusal(&raw_server(other).await).await, DialError::NotATunnel { .. }));
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let vacant = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let target = Dial::new(Url::parse(&format!("http://{vacant}/")).unwrap());
    assert!(matches!(refusal(&target).await, DialError::Unreachable(_)));
    assert!(matches!(refusal(&raw_server(b"").await).await, DialError::Unreachable(_)));

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = Dial::new(Url::parse(&format!("http://{}/", mute.local_addr().unwrap())).unwrap());
    target.connect_timeout = Duration::from_millis(200);
    match refusal(&target).await {
        DialError::Unreachable(error) => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_visitor_that_wants_no_tunnel_is_told_how() {
    let server = Server::start(Settings::default()).await;
    let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /tunnel HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    assert!(answer.contains("`Upgrade: chatroom-tunnel/1`"), "{answer}");
}

#[tokio::test]
async fn the_caller_names_itself_to_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = Url::parse(&format!("http://localhost:{port}/api?x=1")).unwrap();
    let mut target = Dial { form: form(), ..Dial::new(url) };
    target.headers.insert("authorization", "Bearer crm_x".parse().unwrap());
    let dialled = tokio::spawn(async move { refusal(&target).await });
    let (mut socket, _) = soon(listener.accept()).await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(soon(socket.read_u8()).await.unwrap());
    }
    drop((socket, listener));
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /api?x=1 HTTP/1.1\r\n"), "{request}");
    let upgrade = match form() {
        Form::Upgrade => "chatroom-tunnel/1",
        Form::WebSocket => "websocket",
    };
    for line in [
        format!("host: localhost:{port}"),
        "connection: Upgrade".to_owned(),
        format!("upgrade: {upgrade}"),
        "authorization: Bearer crm_x".to_owned(),
    ] {
        assert!(request.lines().any(|l| l == line), "{line} is not in {request}");
    }
    soon(dialled).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_runs_over_tls() {
    let (server, trusting) = certificates();
    let router = Router::new().route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::secure(router, server, trusting).await;
    assert_eq!(tunnel.text("/ping").await, "pong");

    // Nobody has told this computer of this server's authority.
    let error = refusal(&tunnel.server.dial("/tunnel")).await;
    assert!(matches!(error, DialError::Untrusted { .. }), "{error:?}");
    let words = error.to_string();
    assert!(words.starts_with("the certificate of localhost is not trusted here"), "{words}");
    assert!(words.contains("SSL_CERT_FILE"), "{words}");
    // Neither is it one that speaks without TLS.
    let mut plain = tunnel.server.dial("/tunnel");
    plain.url.set_scheme("http").unwrap();
    assert!(matches!(refusal(&plain).await, DialError::NotATunnel { .. }));

    tunnel.daemon.abort();
    soon(tunnel.driver).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_can_be_opened_again() {
    let mut server = Server::start(Settings::default()).await;
    for _ in 0..3 {
        let conn = dial(&server.dial("/tunnel")).await.unwrap();
        let (link, driver) = server.taken().await;
        let driver = tokio::spawn(driver);
        drop(conn);
        soon(driver).await.unwrap();
        assert!(link.is_closed());
    }
}

/// A server that says one thing, whatever it is asked.
async fn raw_server(answer: &'static [u8]) -> Dial {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await;
        let _ = socket.write_all(answer).await;
    });
    Dial::new(Url::parse(&format!("http://{address}/")).unwrap())
}

/// A server's certificate, and a client's trust in it.
pub fn certificates() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "server.example".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}
