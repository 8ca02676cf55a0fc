//! Answers, written.

use std::cell::RefCell;
use std::io::{self, Write as _};

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Buf as _;
use http::header::{self, HeaderMap};
use http::{StatusCode, Version};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Following;

/// Up to which size a body is sent together with its head.
const SMALL: u64 = 16 * 1024;

/// What a request says about how it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Without a body.
    pub is_head: bool,
    pub version: Version,
    /// Whether the connection is used further.
    pub keeps: bool,
}

impl Manner {
    /// That of an answer with which a connection ends.
    pub const LAST: Self = Self { is_head: false, version: Version::HTTP_11, keeps: false };

    /// Whether an answer may come in chunks; if not, its end is that of the connection.
    pub fn is_chunked(self) -> bool {
        self.version == Version::HTTP_11
    }
}

/// How it is known where a body ends.
#[derive(Clone, Copy)]
enum Framing {
    /// There is none.
    None,
    Bytes(u64),
    /// It is told when it ends.
    Open,
}

/// Sends an answer. If its end is not known, only its head, and returns the rest.
pub(super) async fn send(
    socket: &mut TcpStream,
    response: Response,
    mut manner: Manner,
) -> io::Result<Option<Following>> {
    let (parts, mut body) = response.into_parts();
    let framing = framing(parts.status, &parts.headers, &body, manner);
    if matches!(framing, Framing::Open) {
        manner.keeps &= manner.is_chunked();
    }
    let mut out = Vec::with_capacity(512);
    put_head(&mut out, parts.status, &parts.headers, framing, manner)?;
    match framing {
        Framing::None => socket.write_all(&out).await?,
        Framing::Open => {
            socket.write_all(&out).await?;
            return Ok(Some(Following { body, manner }));
        }
        Framing::Bytes(mut left) => {
            let is_small = left <= SMALL;
            while left > 0 {
                let frame = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
                // Too little and too much are the same: the client must not take the next answer for the rest of this.
                let mut data = frame.filter(|data| data.len() as u64 <= left).ok_or(io::ErrorKind::UnexpectedEof)?;
                left -= data.len() as u64;
                if is_small {
                    out.extend_from_slice(&data);
                } else {
                    socket.write_all_buf(&mut (&out[..]).chain(&mut data)).await?;
                    out.clear();
                }
            }
            socket.write_all(&out).await?;
        }
    }
    Ok(None)
}

fn framing(status: StatusCode, headers: &HeaderMap, body: &Body, manner: Manner) -> Framing {
    if manner.is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Framing::None;
    }
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    told.or(body.size_hint().exact()).map_or(Framing::Open, Framing::Bytes)
}

fn put_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    framing: Framing,
    manner: Manner,
) -> io::Result<()> {
    write!(out, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default())?;
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        Framing::Bytes(length) if !headers.contains_key(header::CONTENT_LENGTH) => {
            write!(out, "content-length: {length}\r\n")?;
        }
        Framing::Open if manner.is_chunked() => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None | Framing::Bytes(_) | Framing::Open => {}
    }
    if !manner.keeps {
        out.extend_from_slice(b"connection: close\r\n");
    } else if manner.version == Version::HTTP_10 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    put_date(out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Puts the time, which is written anew once a second.
fn put_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = jiff::Timestamp::now();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now.as_second() {
            *second = now.as_second();
            // A year that cannot be written is no reason to leave an answer unwritten.
            let printed = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            *text = printed.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
        }
        out.extend_from_slice(text.as_bytes());
    });
}

/// Puts a chunk with its frame.
pub(super) fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    // A vector takes every byte.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}
