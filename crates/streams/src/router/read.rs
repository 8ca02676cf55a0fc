//! `HEAD`, and `GET` that ends: catch-up and long poll.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::answer::{self, Error, empty};
use super::request::{self, Mode, Read};
use super::{Service, sse};
use crate::protocol::content::Kind;
use crate::protocol::cursor;
use crate::{Lifetime, Reader, Refusal, Start, View};

/// How much is read and sent at once: little enough to stay in the cache of a core.
const PIECE: u64 = 256 * 1024;
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// What may still grow.
const SHORT: HeaderValue = HeaderValue::from_static("private, max-age=60, stale-while-revalidate=300");
/// What is the same for ever.
const LONG: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");

pub(super) fn about(service: &Service, path: &str) -> Result<Response, Error> {
    let about = service.streams.reader(path)?.about()?;
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, answer::text(about.content_type.as_str()));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(answer::NEXT_OFFSET, answer::offset(about.tail));
    match &about.lifetime {
        Lifetime::Unbounded => {}
        Lifetime::Ttl(seconds) => drop(headers.insert(answer::TTL, answer::number(*seconds))),
        Lifetime::Until { given, .. } => drop(headers.insert(answer::EXPIRES_AT, answer::text(given))),
    }
    if about.closed {
        headers.insert(answer::CLOSED, answer::yes());
    }
    Ok(response)
}

pub(super) async fn read(service: &Service, path: &str, request: Box<Request>) -> Result<Response, Error> {
    let asked = request::read(request.uri())?;
    let reader = service.streams.reader(path)?;
    reader.touch();
    match asked.mode {
        Mode::CatchUp => catch_up(service, &reader, &asked, request.headers()).await,
        Mode::LongPoll => long_poll(service, &reader, &asked, request.headers()).await,
        Mode::Sse => sse::follow(service, reader, &asked),
    }
}

async fn catch_up(service: &Service, reader: &Reader, asked: &Read, headers: &HeaderMap) -> Result<Response, Error> {
    let view = reader.view(asked.start)?;
    if asked.start == Start::Now {
        let body = if reader.kind() == Kind::Json { Body::from("[]") } else { Body::empty() };
        let mut response = page(reader, &view, body);
        response.headers_mut().remove(header::ETAG);
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        return Ok(response);
    }
    data(service, reader, &view, asked, headers).await
}

async fn long_poll(service: &Service, reader: &Reader, asked: &Read, headers: &HeaderMap) -> Result<Response, Error> {
    let _slot = service.live.try_acquire().map_err(|_| Error::TooManyReaders)?;
    let mut view = reader.view(asked.start)?;
    if view.is_empty() && !view.is_end {
        let from = view.next();
        // Whichever comes first, what is there then is the answer.
        tokio::select! {
            () = reader.more(from.position()) => {}
            () = tokio::time::sleep(service.options.long_poll) => {}
            () = service.ending() => {}
        }
        view = reader.view(Start::At(from))?;
    }
    let mut response = if view.is_empty() {
        let mut response = empty(StatusCode::NO_CONTENT);
        describe(&view, response.headers_mut());
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        response
    } else {
        data(service, reader, &view, asked, headers).await?
    };
    let cursor = cursor::after(asked.cursor, service.clock.now(), random());
    response.headers_mut().insert(answer::CURSOR, answer::number(cursor));
    Ok(response)
}

/// Answers with a page, or that the client has it.
async fn data(
    service: &Service,
    reader: &Reader,
    view: &View,
    asked: &Read,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let tag = tag(reader, view);
    let mut response = if has(headers, &tag) {
        let mut response = empty(StatusCode::NOT_MODIFIED);
        describe(view, response.headers_mut());
        response.headers_mut().insert(header::ETAG, answer::text(&tag));
        response
    } else {
        page(reader, view, body(service, view).await?)
    };
    // The same words mean another place tomorrow; an offset does not.
    let is_fixed = view.is_whole_page && asked.is_exact && !view.is_up_to_date && asked.mode == Mode::CatchUp;
    response.headers_mut().insert(header::CACHE_CONTROL, if is_fixed { LONG } else { SHORT });
    Ok(response)
}

fn page(reader: &Reader, view: &View, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, answer::number(view.size()));
    headers.insert(header::CONTENT_TYPE, answer::text(reader.content_type().as_str()));
    headers.insert(header::ETAG, answer::text(&tag(reader, view)));
    describe(view, headers);
    response
}

fn describe(view: &View, headers: &mut HeaderMap) {
    headers.insert(answer::NEXT_OFFSET, answer::offset(view.next()));
    if view.is_up_to_date {
        headers.insert(answer::UP_TO_DATE, answer::yes());
    }
    if view.is_end {
        headers.insert(answer::CLOSED, answer::yes());
    }
}

/// Names a range, what is known at its end included.
fn tag(reader: &Reader, view: &View) -> String {
    let (from, to) = (view.from().position(), view.next().position());
    let state = match (view.is_end, view.is_up_to_date) {
        (true, _) => ":closed",
        (false, true) => ":tail",
        (false, false) => "",
    };
    format!("\"{}:{from}:{to}{state}\"", reader.id())
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    let sent = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|value| {
        let value = value.trim();
        value == "*" || value.strip_prefix("W/").unwrap_or(value) == tag
    })
}

/// Returns a page as a body: its first piece is read, so that what cannot be read is refused, the others as the
/// connection takes them.
async fn body(service: &Service, view: &View) -> Result<Body, Refusal> {
    let first = part(service, view, 0, PIECE).await?;
    let begin = first.len() as u64;
    if begin == view.size() {
        return Ok(Body::from(first));
    }
    let rest = stream::unfold((service.clone(), view.clone(), begin), async |(service, view, begin)| {
        if begin == view.size() {
            return None;
        }
        let piece = part(&service, &view, begin, PIECE).await;
        // Behind an error nothing comes.
        let end = piece.as_ref().map_or(view.size(), |piece| begin + piece.len() as u64);
        Some((piece, (service, view, end)))
    });
    Ok(Body::from_stream(stream::once(async { Ok(first) }).chain(rest)))
}

/// Reads all of it.
pub(super) async fn load(service: &Service, view: &View) -> Result<Bytes, Refusal> {
    part(service, view, 0, u64::MAX).await
}

/// Reads a part of it, off the threads that must not wait if it must be waited for.
async fn part(service: &Service, view: &View, begin: u64, most: u64) -> Result<Bytes, Refusal> {
    if let Some(there) = view.part_now(begin, most)? {
        return Ok(there);
    }
    // The semaphore is never closed.
    let _file = service.files.acquire().await.map_err(|_| Refusal::Unreadable)?;
    let view = view.clone();
    let loaded = tokio::task::spawn_blocking(move || view.load_part(begin, most)).await;
    loaded.unwrap_or(Err(Refusal::Unreadable))
}

/// Returns a number nobody can foretell.
pub(super) fn random() -> u64 {
    // Without randomness the step is the smallest, which is still one.
    getrandom::u64().unwrap_or_default()
}
