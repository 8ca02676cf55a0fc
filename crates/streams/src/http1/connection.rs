//! A socket, and what came of it that nobody looked at yet.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Following;
use super::answer::{self, Manner};
use super::request::{Chunks, Head, Length};

/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// For how much of a body there is room before any of it came.
const MUCH: usize = 1 << 20;
/// How long the head of a request may be.
const LONGEST_HEAD: usize = 64 * 1024;
/// Up to which size a chunk is sent with its frame around it as one piece.
const SMALL: usize = 16 * 1024;
/// What every connection of HTTP/2 begins with.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long, and how much, is read of what nobody wants: a connection that is closed with bytes unread takes its answer
/// with it.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 64 << 20);

thread_local! {
    /// What is read goes through here, and is taken out at once.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into());
    /// What is sent is put together here, if it is sent at once.
    static WRITE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection.
pub(crate) struct Connection {
    socket: TcpStream,
    held: Vec<u8>,
    /// Whether no request came yet.
    is_new: bool,
}

/// What came.
pub(super) enum Came {
    Request(Box<Request<Body>>, Manner),
    /// The beginning of something else.
    Http2,
    /// The end.
    Nothing,
}

impl Connection {
    pub fn new(socket: TcpStream) -> Self {
        // An append's answer must not wait for the next one.
        let _ = socket.set_nodelay(true);
        Self { socket, held: Vec::new(), is_new: true }
    }

    /// Returns the socket, and what was read of it.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.socket, self.held)
    }

    /// Waits until a request begins. Whether one does.
    pub async fn begin(&mut self) -> bool {
        if !self.held.is_empty() {
            return true;
        }
        self.held = Vec::new();
        self.more().await
    }

    /// Reads a request whose body has `largest` bytes at most, or says why that cannot be. Its head is to come within
    /// `patience`, and each part of its body.
    pub(super) async fn request(&mut self, largest: usize, patience: Duration) -> Result<Came, StatusCode> {
        let mut until = None;
        let head = loop {
            if self.is_new && self.held.starts_with(&HTTP2[..self.held.len().min(HTTP2.len())]) {
                if self.held.len() >= HTTP2.len() {
                    return Ok(Came::Http2);
                }
            } else {
                let head = Head::read(&self.held)?;
                if head.as_ref().map_or(self.held.len(), |head| head.length) > LONGEST_HEAD {
                    return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
                }
                if let Some(head) = head {
                    break head;
                }
            }
            // Most heads come whole, and no clock is looked at for them.
            let until = *until.get_or_insert_with(|| Instant::now() + patience);
            if !self.more_before(until).await? {
                return Ok(Came::Nothing);
            }
        };
        self.is_new = false;
        self.held.drain(..head.length);
        let body = match head.body {
            Length::Bytes(0) => Some(Vec::new()),
            Length::Bytes(size) => match usize::try_from(size) {
                Ok(size) if size <= largest => self.sized(size, head.waits, patience).await?,
                _ => return Err(StatusCode::PAYLOAD_TOO_LARGE),
            },
            Length::Chunked => self.chunked(largest, head.waits, patience).await?,
        };
        let manner = head.manner;
        Ok(body.map_or(Came::Nothing, |body| Came::Request(Box::new(head.with(body)), manner)))
    }

    async fn sized(&mut self, size: usize, waits: bool, patience: Duration) -> Result<Option<Vec<u8>>, StatusCode> {
        if self.held.len() < size && waits && self.go_on().await.is_none() {
            return Ok(None);
        }
        while self.held.len() < size {
            // Room for all of it if that is not much: a length is only a promise.
            let missing = size - self.held.len();
            self.held.reserve_exact(missing.min(self.held.len().max(MUCH)));
            if !self.more_before(Instant::now() + patience).await? {
                return Ok(None);
            }
        }
        let behind = self.held.split_off(size);
        Ok(Some(std::mem::replace(&mut self.held, behind)))
    }

    async fn chunked(
        &mut self,
        largest: usize,
        waits: bool,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, StatusCode> {
        if self.held.is_empty() && waits && self.go_on().await.is_none() {
            return Ok(None);
        }
        let mut chunks = Chunks::default();
        loop {
            if let Some(body) = chunks.take(&mut self.held, largest)? {
                return Ok(Some(body));
            }
            if !self.more_before(Instant::now() + patience).await? {
                return Ok(None);
            }
        }
    }

    /// Reads what comes before `until`, or answers that it came too late.
    async fn more_before(&mut self, until: Instant) -> Result<bool, StatusCode> {
        // In a box: hardly any request gets here, and all of them would be larger.
        Box::pin(timeout_at(until, self.more())).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)
    }

    /// Asks for a body that is held back.
    async fn go_on(&mut self) -> Option<()> {
        self.socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()
    }

    /// Reads what is there. Whether there was anything.
    async fn more(&mut self) -> bool {
        let read = poll_fn(|context| {
            READ.with_borrow_mut(|piece| {
                let mut piece = ReadBuf::new(piece);
                // It knows by a piece that is not full that there is nothing more, and does not ask again.
                ready!(Pin::new(&mut self.socket).poll_read(context, &mut piece))?;
                self.held.extend_from_slice(piece.filled());
                io::Result::Ok(!piece.filled().is_empty()).into()
            })
        });
        read.await.unwrap_or(false)
    }

    /// Waits until the client is gone. What it sends meanwhile is kept, unless it is much.
    pub async fn gone(&mut self) {
        while self.held.len() < LONGEST_HEAD {
            if !self.more().await {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Sends an answer. If its end is not known, only its head, and returns the rest.
    pub(super) async fn answer(&mut self, response: Response, manner: Manner) -> io::Result<Option<Following>> {
        answer::send(&mut self.socket, response, manner).await
    }

    /// Sends an answer to what was not read, and ends the connection so that it arrives.
    pub async fn refuse(&mut self, response: Response) {
        let linger = async {
            self.answer(response, Manner::LAST).await?;
            self.socket.shutdown().await?;
            let mut read = 0;
            while read < LINGER.1 {
                self.held.clear();
                if !self.more().await {
                    break;
                }
                read += self.held.len();
            }
            io::Result::Ok(())
        };
        // However it ends, it ends.
        let _ = timeout(LINGER.0, linger).await;
    }

    /// Sends a part of an answer whose end is not known.
    pub(super) async fn chunk(&mut self, data: &[u8], manner: Manner) -> io::Result<()> {
        if !manner.is_chunked() {
            return self.socket.write_all(data).await;
        }
        if data.len() > SMALL {
            self.socket.write_all(format!("{:x}\r\n", data.len()).as_bytes()).await?;
            self.socket.write_all(data).await?;
            return self.socket.write_all(b"\r\n").await;
        }
        let left = WRITE.with_borrow_mut(|framed| {
            framed.clear();
            answer::put_chunk(framed, data);
            let sent = match self.socket.try_write(framed) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            // Nearly always nothing, and that is no allocation.
            Ok(framed[sent..].to_vec())
        })?;
        if left.is_empty() { Ok(()) } else { self.socket.write_all(&left).await }
    }

    /// Sends the end of such an answer.
    pub(super) async fn last_chunk(&mut self, manner: Manner) -> io::Result<()> {
        if manner.is_chunked() { self.socket.write_all(b"0\r\n\r\n").await } else { Ok(()) }
    }
}
