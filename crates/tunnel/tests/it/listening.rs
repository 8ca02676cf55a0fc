//! What listens: addresses, time limits, HTTP/2 over TLS, and the drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use chatroom_tunnel::Listener;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::dialling::certificates;
use crate::world::{listen, soon};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn who() -> Router {
    let who = |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.to_string() };
    Router::new().route("/", get(who))
}

/// Reads until `end` or the end.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(end) {
        match soon(socket.read(&mut buffer)).await.unwrap() {
            0 => break,
            n => read.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_request_knows_where_it_came_from() {
    let (address, _stop) = listen(who(), |listener| listener).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mine = socket.local_addr().unwrap().to_string();
    for _ in 0..2 {
        socket.write_all(GET).await.unwrap();
        let answer = read_until(&mut socket, &mine).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with(&mine), "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_finish_a_request_is_dropped() {
    let limit = Duration::from_millis(200);
    let (server, _) = certificates();
    for tls in [None, Some(server)] {
        let (address, _stop) = listen(who(), |listener| listener.tls(tls).header_timeout(limit)).await;
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(&GET[..10]).await.unwrap();
        let mut buffer = [0; 1024];
        // Reset or closed, with or without a last word: over is over.
        while matches!(soon(socket.read(&mut buffer)).await, Ok(1..)) {}
    }
}

#[tokio::test]
async fn http_2_is_spoken_over_tls() {
    let (server, client) = certificates();
    let (address, _stop) = listen(who(), |listener| listener.tls(Some(server))).await;
    let mut client = rustls::ClientConfig::clone(&client);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(address).await.unwrap();
    let mine = tcp.local_addr().unwrap().to_string();
    let stream =
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, conn) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(conn);
    let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, mine);
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (go, gate) = oneshot::channel::<()>();
    let (begun, begins) = oneshot::channel::<()>();
    let once = Arc::new(std::sync::Mutex::new(Some((begun, gate))));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let (begun, gate) = once.lock().unwrap().take().unwrap();
            begun.send(()).unwrap();
            gate.await.unwrap();
            "finished"
        }),
    );
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(Listener::new(tcp).serve(router, stop.clone().cancelled_owned()));
    let _idle = TcpStream::connect(address).await.unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(GET).await.unwrap();
    soon(begins).await.unwrap();
    stop.cancel();
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!served.is_finished());
    go.send(()).unwrap();
    assert!(read_until(&mut socket, "finished").await.ends_with("finished"));
    soon(served).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let stop = CancellationToken::new();
    let listener = Listener::new(tcp).drain(Duration::from_millis(300));
    let served = tokio::spawn(listener.serve(router, stop.clone().cancelled_owned()));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(GET).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    stop.cancel();
    soon(served).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(read_until(&mut socket, "\n").await, "");
}
