//! Statuses and headers: the one place that knows which refusal is which.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::RouterOptions;
use super::cors;
use super::request::BadRequest;
use crate::{Offset, Refusal};

pub(super) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
pub(super) const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
pub(super) const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
pub(super) const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
pub(super) const TTL: HeaderName = HeaderName::from_static("stream-ttl");
pub(super) const EXPIRES_AT: HeaderName = HeaderName::from_static("stream-expires-at");
pub(super) const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
pub(super) const PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");
const EXPECTED_SEQ: HeaderName = HeaderName::from_static("producer-expected-seq");
const RECEIVED_SEQ: HeaderName = HeaderName::from_static("producer-received-seq");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Why a request has no other answer.
pub(super) enum Error {
    /// It makes no sense.
    Bad(BadRequest),
    /// It cannot be done.
    Refused(Refusal),
    /// There are too many readers.
    TooManyReaders,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BadRequest> for Error {
    fn from(bad: BadRequest) -> Self {
        Self::Bad(bad)
    }
}

impl Error {
    pub fn into_response(self) -> Response {
        match self {
            Self::Bad(bad) => plain(StatusCode::BAD_REQUEST, &bad.to_string()),
            Self::Refused(refusal) => refused(&refusal),
            Self::TooManyReaders => {
                let text = "there are as many live readers as there may be; try again soon";
                let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
                response.headers_mut().insert(header::RETRY_AFTER, number(1));
                response
            }
        }
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotFound | Refusal::SourceNotFound => StatusCode::NOT_FOUND,
        Refusal::Deleted | Refusal::Trimmed { .. } => StatusCode::GONE,
        Refusal::BadPath(_)
        | Refusal::ForkOutside
        | Refusal::EpochBeginsAtZero
        | Refusal::NotJson(_)
        | Refusal::Empty
        | Refusal::BadOffset => StatusCode::BAD_REQUEST,
        Refusal::MadeOtherwise
        | Refusal::PathHeld
        | Refusal::SourceDeleted
        | Refusal::WrongType
        | Refusal::Closed { .. }
        | Refusal::SeqNotLarger
        | Refusal::ProducerGap { .. } => StatusCode::CONFLICT,
        Refusal::StaleEpoch { .. } => StatusCode::FORBIDDEN,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::TooManyStreams(_) | Refusal::TooManyProducers(_) | Refusal::Busy => StatusCode::TOO_MANY_REQUESTS,
        Refusal::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        Refusal::Unreadable | Refusal::Stopped(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = status(refusal);
    let mut response = plain(status, &refusal.to_string());
    let headers = response.headers_mut();
    match refusal {
        Refusal::Closed { tail } => {
            headers.insert(CLOSED, yes());
            headers.insert(NEXT_OFFSET, offset(*tail));
        }
        Refusal::StaleEpoch { epoch } => {
            headers.insert(PRODUCER_EPOCH, number(*epoch));
        }
        Refusal::ProducerGap { expected, received } => {
            headers.insert(EXPECTED_SEQ, number(*expected));
            headers.insert(RECEIVED_SEQ, number(*received));
        }
        _ => {}
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(header::RETRY_AFTER, number(1));
    }
    response
}

/// Returns an answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Returns an answer for people.
pub(super) fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn wrong_method() -> Response {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "a stream takes GET, HEAD, POST, PUT and DELETE");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE"));
    response
}

/// Adds what every answer carries.
pub(super) fn finish(options: &RouterOptions, headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = if options.cors { "cross-origin" } else { "same-origin" };
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
    if options.cors {
        cors::allow(headers);
    }
}

pub(super) fn yes() -> HeaderValue {
    HeaderValue::from_static("true")
}

pub(super) fn number(number: u64) -> HeaderValue {
    HeaderValue::from(number)
}

pub(super) fn offset(offset: Offset) -> HeaderValue {
    text(&offset.to_string())
}

/// Returns a header of text that was checked when it came in.
pub(super) fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
