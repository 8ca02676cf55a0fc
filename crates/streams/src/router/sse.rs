//! Live reads as server-sent events.
//!
//! A reader pulls: it takes what is behind its position when its connection has room, so a slow one costs a position
//! and not a queue. Readers at the same place are sent the same bytes.

use std::pin::Pin;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::answer::Error;
use super::request::Read;
use super::{Service, read};
use crate::engine::stream::SharedFrame;
use crate::protocol::content::Kind;
use crate::protocol::cursor;
use crate::{Reader, Refusal, Start, View};

const ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");

/// A reader that is connected.
struct Follower {
    service: Service,
    reader: Reader,
    next: Start,
    /// Whether it has been told where it is.
    is_told: bool,
    /// Whether it has been at the tail.
    was_at_tail: bool,
    /// Ready when it is let go; made once, for a timer of each wait would cost as much as what is sent.
    let_go: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    until: Instant,
    /// A cursor the client must not get again, and what it gets instead.
    beyond: Option<u64>,
    _slot: OwnedSemaphorePermit,
}

pub(super) fn follow(service: &Service, reader: Reader, asked: &Read) -> Result<Response, Error> {
    let slot = service.live.clone().try_acquire_owned().map_err(|_| Error::TooManyReaders)?;
    // What cannot be read is refused before the stream of events begins.
    let first = reader.view(asked.start)?;
    let is_binary = reader.kind() == Kind::Binary;
    let now = service.clock.now();
    let until = Instant::now() + service.options.live;
    let waiting = service.clone();
    let let_go = async move {
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = waiting.ending() => {}
        }
    };
    let beyond = asked.cursor.filter(|client| *client >= cursor::at(now));
    let follower = Follower {
        service: service.clone(),
        reader,
        next: Start::At(first.from()),
        is_told: false,
        was_at_tail: false,
        let_go: Box::pin(let_go),
        until,
        beyond: beyond.map(|client| cursor::after(Some(client), now, read::random())),
        _slot: slot,
    };
    let events = stream::unfold(Some(follower), async |follower| follower?.event().await);
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if is_binary {
        headers.insert(ENCODING, HeaderValue::from_static("base64"));
    }
    Ok(response)
}

type Event = Result<Bytes, std::io::Error>;

impl Drop for Follower {
    fn drop(&mut self) {
        self.reader.forget_frame();
    }
}

impl Follower {
    /// Waits for the next event; nothing when the connection is to end.
    async fn event(mut self) -> Option<(Event, Option<Self>)> {
        loop {
            let view = self.reader.view(self.next).ok()?;
            if !view.is_empty() || !self.is_told || view.is_end {
                let behind = self.reader.tail().ok()?.saturating_sub(view.from().position());
                if self.was_at_tail && behind > self.service.options.live_budget {
                    return None;
                }
                let frame = self.frame(&view).await.ok()?;
                self.is_told = true;
                self.was_at_tail |= view.is_up_to_date;
                self.next = Start::At(view.next());
                let goes_on = !view.is_end && Instant::now() < self.until;
                return Some((Ok(frame), goes_on.then_some(self)));
            }
            tokio::select! {
                biased;
                // Readers of a stream that was deleted end with the next view.
                () = self.reader.more(view.next().position()) => {}
                () = &mut self.let_go => return None,
            }
        }
    }

    /// Returns the events for a range, as encoded for others if they were.
    async fn frame(&self, view: &View) -> Result<Bytes, Refusal> {
        let current = cursor::at(self.service.clock.now());
        let cursor = self.beyond.map_or(current, |beyond| beyond.max(current));
        let (from, to) = (view.from().position(), view.next().position());
        let (is_up_to_date, is_end) = (view.is_up_to_date, view.is_end);
        let is_it = |frame: &SharedFrame| {
            (frame.from, frame.to, frame.is_up_to_date, frame.is_end, frame.cursor)
                == (from, to, is_up_to_date, is_end, cursor)
        };
        if let Some(encoded) = self.reader.shared_frame(is_it) {
            return Ok(encoded);
        }
        let mut event = Vec::new();
        if !view.is_empty() {
            put_data(&mut event, self.reader.kind(), &read::load(&self.service, view).await?);
        }
        put_control(&mut event, view, cursor);
        let encoded = Bytes::from(event);
        let frame = SharedFrame { from, to, is_up_to_date, is_end, cursor, encoded: encoded.clone() };
        if self.beyond.is_none() && is_up_to_date {
            self.reader.share_frame(frame);
        }
        Ok(encoded)
    }
}

fn put_data(event: &mut Vec<u8>, kind: Kind, data: &[u8]) {
    event.extend_from_slice(b"event: data\n");
    match kind {
        Kind::Binary => put_line(event, STANDARD.encode(data).as_bytes()),
        Kind::Json => put_lines(event, data),
        Kind::Text => put_lines(event, String::from_utf8_lossy(data).as_bytes()),
    }
    event.push(b'\n');
}

/// Puts text so that none of its line ends can begin another field or event.
fn put_lines(event: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(end) = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        put_line(event, &text[..end]);
        let is_pair = text[end] == b'\r' && text.get(end + 1) == Some(&b'\n');
        text = &text[end + 1 + usize::from(is_pair)..];
    }
    put_line(event, text);
}

fn put_line(event: &mut Vec<u8>, line: &[u8]) {
    event.extend_from_slice(b"data:");
    // One space after the colon belongs to the colon.
    if line.first() == Some(&b' ') {
        event.push(b' ');
    }
    event.extend_from_slice(line);
    event.push(b'\n');
}

fn put_control(event: &mut Vec<u8>, view: &View, cursor: u64) {
    event.extend_from_slice(b"event: control\ndata:");
    let cursor = if view.is_end { String::new() } else { format!(",\"streamCursor\":\"{cursor}\"") };
    let up_to_date = if view.is_up_to_date { ",\"upToDate\":true" } else { "" };
    let closed = if view.is_end { ",\"streamClosed\":true" } else { "" };
    let control = format!("{{\"streamNextOffset\":\"{}\"{cursor}{up_to_date}{closed}}}\n\n", view.next());
    event.extend_from_slice(control.as_bytes());
}
