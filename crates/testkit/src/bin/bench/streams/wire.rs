//! HTTP/1.1 by hand over one connection: what measures must cost little beside what is measured.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// A connection that is kept.
pub struct Wire {
    tcp: TcpStream,
    /// What came and was not looked at yet.
    held: Vec<u8>,
    piece: Box<[u8]>,
}

/// The head of an answer.
pub struct Head {
    /// Its status.
    pub status: u16,
    text: String,
}

impl Head {
    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }
}

impl Wire {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, held: Vec::new(), piece: vec![0; 4096].into() })
    }

    /// Makes room for large answers.
    pub fn roomy(self) -> Self {
        Self { piece: vec![0; PIECE].into(), ..self }
    }

    /// Sends a request that stands ready, and returns the head of its answer.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Head> {
        self.tcp.write_all(request).await?;
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.held[..end]).into_owned();
                self.held.drain(..end + 4);
                let status = text.get(9..12).and_then(|status| status.parse().ok());
                let status = status.ok_or_else(|| io::Error::other(format!("not an answer: {text}")))?;
                return Ok(Head { status, text });
            }
            self.more().await?;
        }
    }

    /// Reads what belongs to an answer, and returns how many bytes that was.
    pub async fn body(&mut self, head: &Head) -> io::Result<usize> {
        if head.status == 204 || head.status == 304 {
            return Ok(0);
        }
        if let Some(length) = head.length() {
            self.pass(length).await?;
            return Ok(length);
        }
        let mut whole = 0;
        loop {
            let end = loop {
                match find(&self.held, b"\r\n") {
                    Some(end) => break end,
                    None => self.more().await?,
                }
            };
            let size =
                std::str::from_utf8(&self.held[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| io::Error::other("not a chunk"))?;
            self.held.drain(..end + 2);
            self.pass(size + 2).await?;
            if size == 0 {
                return Ok(whole);
            }
            whole += size;
        }
    }

    /// Asks, expects this status, and passes over the body.
    pub async fn expect(&mut self, request: &[u8], statuses: &[u16]) -> io::Result<()> {
        let head = self.ask(request).await?;
        if !statuses.contains(&head.status) {
            return Err(io::Error::other(format!("answered {}: {}", head.status, head.text)));
        }
        self.body(&head).await.map(drop)
    }

    /// Returns whatever comes next.
    pub async fn next(&mut self) -> io::Result<Vec<u8>> {
        if self.held.is_empty() {
            self.more().await?;
        }
        Ok(std::mem::take(&mut self.held))
    }

    async fn more(&mut self) -> io::Result<()> {
        let count = self.tcp.read(&mut self.piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.held.extend_from_slice(&self.piece[..count]);
        Ok(())
    }

    /// Passes over so many bytes.
    async fn pass(&mut self, mut bytes: usize) -> io::Result<()> {
        let held = bytes.min(self.held.len());
        self.held.drain(..held);
        bytes -= held;
        while bytes > 0 {
            let most = bytes.min(self.piece.len());
            let count = self.tcp.read(&mut self.piece[..most]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes -= count;
        }
        Ok(())
    }
}

/// Writes a request.
pub fn request(method: &str, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let about = body.map_or_else(String::new, |body| {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    });
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{about}\r\n").into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// Returns where something is.
pub fn find(held: &[u8], what: &[u8]) -> Option<usize> {
    held.windows(what.len()).position(|window| window == what)
}
