//! Ends that say anything at all.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use chatroom_tunnel::{Dial, Settings, dial};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::world::{Server, form, soon};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Bytes, alone or after something that begins well.
fn noise(beginnings: &'static [&'static str]) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let beginning = prop_oneof![Just(""), prop::sample::select(beginnings)];
    (beginning, vec(vec(any::<u8>(), 0..400), 0..4)).prop_map(|(beginning, mut pieces)| {
        pieces.insert(0, beginning.as_bytes().to_vec());
        pieces
    })
}

/// Says these pieces, then hangs up.
async fn say(mut socket: TcpStream, pieces: Vec<Vec<u8>>) {
    let mut heard = [0; 4096];
    let _ = socket.read(&mut heard).await;
    for piece in pieces {
        if socket.write_all(&piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    let _ = socket.shutdown().await;
    while matches!(socket.read(&mut heard).await, Ok(1..)) {}
}

/// Dials somebody who says these pieces, and serves if that was a yes.
async fn meet(pieces: Vec<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let saying = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(say(socket, pieces.clone()));
        }
    });
    let url = format!("http://{address}/tunnel").parse().unwrap();
    let target = Dial { form: form(), connect_timeout: Duration::from_secs(5), ..Dial::new(url) };
    match soon(dial(&target)).await {
        Ok(conn) => drop(soon(conn.serve(axum::Router::new(), std::future::pending())).await),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    saying.abort();
}

/// Says these pieces to a server, which must answer the next caller as before.
async fn visit(address: SocketAddr, pieces: Vec<Vec<u8>>) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    for piece in pieces {
        if socket.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = socket.shutdown().await;
    let mut heard = Vec::new();
    let _ = soon(socket.read_to_end(&mut heard)).await;
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET /plain HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(next.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("only a page"), "{answer}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_dial_ends_whatever_the_server_says(pieces in noise(&[
        "HTTP/1.1 ",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chatroom-tunnel/1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/problem+json\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ])) {
        RUNTIME.block_on(meet(pieces));
    }

    #[test]
    fn a_server_stays_whatever_a_client_says(pieces in noise(&[
        "GET /tunnel HTTP/1.1\r\n",
        "GET /tunnel HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: chatroom-tunnel/1\r\n\r\n",
        "GET /tunnel HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: chatroom-tunnel.1\r\n\r\n",
    ])) {
        RUNTIME.block_on(async {
            let mut server = Server::start(Settings::default()).await;
            let address = server.address;
            let drive = async {
                let (_link, driver) = server.taken().await;
                driver.await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = visit(address, pieces) => {}
                () = drive => {}
            }
        });
    }
}
