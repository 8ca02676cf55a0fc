//! A stretch of network that reads the requests it carries, and picks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What something between a daemon and its server does with requests to upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Passes them on.
    Passes,
    /// Refuses those that are not for a WebSocket, in its own words.
    Refuses,
    /// Passes requests on without what it does not know.
    Strips,
    /// Hangs up on what it does not know.
    HangsUp,
    /// Refuses every one.
    RefusesAll,
}

/// Something that reads the requests it carries.
pub struct Picky {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Picky {
    pub async fn start(to: SocketAddr, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(pick(near, to, manners));
            }
        });
        Self { address, asked }
    }

    /// Returns how many requests came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn pick(mut near: TcpStream, to: SocketAddr, manners: Manners) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = near.read_u8().await else { return };
        head.push(byte);
    }
    let mut head = String::from_utf8(head).unwrap();
    let is_websocket = head.to_ascii_lowercase().contains("upgrade: websocket");
    match manners {
        Manners::RefusesAll | Manners::Refuses if !is_websocket || manners == Manners::RefusesAll => {
            let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nno\n";
            let _ = near.write_all(answer).await;
            return;
        }
        Manners::HangsUp if !is_websocket => return,
        Manners::Strips if !is_websocket => {
            let kept = head.split_inclusive("\r\n").filter(|line| !line.to_ascii_lowercase().contains("upgrade"));
            head = kept.collect();
        }
        _ => {}
    }
    let mut far = TcpStream::connect(to).await.unwrap();
    far.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}
