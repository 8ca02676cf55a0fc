//! An HTTP proxy as companies have them: it opens ways by `CONNECT` and nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The most the head of a request may take.
const HEAD: usize = 16 * 1024;

/// How a proxy treats who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// The `Proxy-Authorization` it wants.
    pub login: Option<&'static str>,
    /// The status it refuses everybody with.
    pub refusal: Option<&'static str>,
}

/// A proxy on loopback. Whatever it is asked for, its way leads to one address.
pub struct ConnectProxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: AbortHandle,
}

impl ConnectProxy {
    /// Starts one.
    pub async fn start(leads_to: SocketAddr, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let notes = asked.clone();
        let serving = tokio::spawn(async move {
            let mut ways = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                ways.spawn(serve(socket, leads_to, rules, notes.clone()));
            }
        });
        Self { address, asked, serving: serving.abort_handle() }
    }

    /// Returns what it was asked for: the first line of each request.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut near: TcpStream, leads_to: SocketAddr, rules: Rules, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
        head.push(near.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let first = head.lines().next().unwrap_or_default().to_owned();
    let is_connect = first.starts_with("CONNECT ");
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(first);
    let shown = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.to_owned())
    });
    let refusal = match rules {
        _ if !is_connect => Some("405 Method Not Allowed"),
        Rules { refusal: Some(status), .. } => Some(status),
        Rules { login: Some(login), .. } if shown.as_deref() != Some(login) => {
            Some("407 Proxy Authentication Required")
        }
        _ => None,
    };
    if let Some(status) = refusal {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return near.write_all(answer.as_bytes()).await.ok();
    }
    let mut far = TcpStream::connect(leads_to).await.ok()?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut near, &mut far).await.ok().map(drop)
}
