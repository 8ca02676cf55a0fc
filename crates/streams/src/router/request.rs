//! Headers and parameters, read strictly.

use http::header::{self, HeaderMap};
use http::{HeaderName, Uri};

use crate::protocol::lifetime::{BadLifetime, whole};
use crate::protocol::offset::NotAnOffset;
use crate::protocol::producer::LARGEST;
use crate::{Append, Claim, ContentType, Create, ForkFrom, Lifetime, Start};

const TTL: &str = "stream-ttl";
const EXPIRES_AT: &str = "stream-expires-at";
const CLOSED: &str = "stream-closed";
const SEQ: &str = "stream-seq";
const FORKED_FROM: &str = "stream-forked-from";
const FORK_OFFSET: &str = "stream-fork-offset";
const FORK_SUB_OFFSET: &str = "stream-fork-sub-offset";
const PRODUCER_ID: &str = "producer-id";
const PRODUCER_EPOCH: &str = "producer-epoch";
const PRODUCER_SEQ: &str = "producer-seq";
/// The longest text of a header that is kept.
const LONGEST: usize = 1024;

/// A request that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("{0} is not text, or longer than 1024 bytes")]
    Header(&'static str),
    #[error("Content-Type must be a type such as application/json")]
    ContentType,
    #[error("a body needs a Content-Type")]
    NoContentType,
    #[error(transparent)]
    Lifetime(#[from] BadLifetime),
    #[error("Stream-Forked-From must be the path of a stream on this server")]
    ForkedFrom,
    #[error("Stream-Fork-Offset must be an offset of the source")]
    ForkOffset,
    #[error("Stream-Fork-Sub-Offset must be a whole number, and needs Stream-Forked-From and Stream-Fork-Offset")]
    ForkSubOffset,
    #[error("Producer-Id, Producer-Epoch and Producer-Seq come together: an id, and whole numbers to 2^53-1")]
    Producer,
    #[error(transparent)]
    Offset(#[from] NotAnOffset),
    #[error("live reads need an offset; now, if only what comes next is wanted")]
    NoOffset,
    #[error("offset, live and cursor are given once; live is long-poll or sse")]
    Parameters,
    #[error("the body ended before it was complete")]
    Body,
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, BadRequest> {
    let Some(value) = headers.get(HeaderName::from_static(name)) else {
        return Ok(None);
    };
    let value = value.to_str().ok().filter(|value| value.len() <= LONGEST);
    value.map(Some).ok_or(BadRequest::Header(name))
}

fn content_type(headers: &HeaderMap) -> Result<Option<ContentType>, BadRequest> {
    match headers.get(header::CONTENT_TYPE).map(http::HeaderValue::to_str) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(text)) => ContentType::parse(text).map(Some).ok_or(BadRequest::ContentType),
        Some(Err(_)) => Err(BadRequest::ContentType),
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let value = headers.get(CLOSED).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Reads the headers of a `PUT`.
pub(super) fn create(headers: &HeaderMap, prefix: &str) -> Result<Create, BadRequest> {
    let lifetime = Lifetime::parse(text(headers, TTL)?, text(headers, EXPIRES_AT)?)?;
    Ok(Create {
        content_type: content_type(headers)?,
        lifetime,
        close: closes(headers),
        fork: fork(headers, prefix)?,
        body: bytes::Bytes::new(),
    })
}

fn fork(headers: &HeaderMap, prefix: &str) -> Result<Option<ForkFrom>, BadRequest> {
    let sub = text(headers, FORK_SUB_OFFSET)?;
    let Some(from) = text(headers, FORKED_FROM)? else {
        return if sub.is_some() { Err(BadRequest::ForkSubOffset) } else { Ok(None) };
    };
    let from = from.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).ok_or(BadRequest::ForkedFrom)?;
    let path = decoded(from).filter(|path| !path.is_empty()).ok_or(BadRequest::ForkedFrom)?;
    let at: Option<Start> = match text(headers, FORK_OFFSET)? {
        Some(offset) => Some(offset.parse().map_err(|_| BadRequest::ForkOffset)?),
        None => None,
    };
    let beyond = sub.map_or(Some(0), whole).ok_or(BadRequest::ForkSubOffset)?;
    if beyond > 0 && !matches!(at, Some(Start::At(_) | Start::Beginning)) {
        return Err(BadRequest::ForkSubOffset);
    }
    Ok(Some(ForkFrom { path, at, beyond }))
}

/// Takes the percent signs out of a path.
pub(super) fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads the headers of a `POST`.
pub(super) fn append(headers: &HeaderMap) -> Result<Append, BadRequest> {
    let close = closes(headers);
    let content_type = match content_type(headers) {
        // What closes without a body may carry any type. With one, the type is missing.
        Err(_) if close => None,
        content_type => content_type?,
    };
    Ok(Append {
        content_type,
        close,
        claim: claim(headers)?,
        seq: text(headers, SEQ)?.map(Into::into),
        body: bytes::Bytes::new(),
    })
}

fn claim(headers: &HeaderMap) -> Result<Option<Claim>, BadRequest> {
    let id = text(headers, PRODUCER_ID)?;
    let (epoch, seq) = (text(headers, PRODUCER_EPOCH)?, text(headers, PRODUCER_SEQ)?);
    let number = |text: &str| whole(text).filter(|number| *number <= LARGEST).ok_or(BadRequest::Producer);
    match (id, epoch, seq) {
        (None, None, None) => Ok(None),
        (Some(id), Some(epoch), Some(seq)) if !id.is_empty() => {
            Ok(Some(Claim { id: id.into(), epoch: number(epoch)?, seq: number(seq)? }))
        }
        _ => Err(BadRequest::Producer),
    }
}

/// How a stream is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    CatchUp,
    LongPoll,
    Sse,
}

/// What a `GET` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub start: Start,
    pub mode: Mode,
    pub cursor: Option<u64>,
    /// The offset was named and is not a word.
    pub is_exact: bool,
}

/// Reads the parameters of a `GET`. Others are left to others.
pub(super) fn read(uri: &Uri) -> Result<Read, BadRequest> {
    let (mut offset, mut live, mut cursor) = (None, None, None);
    let parameters = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    for (name, value) in parameters.map_err(|_| BadRequest::Parameters)?.0 {
        let known = match name.as_str() {
            "offset" => &mut offset,
            "live" => &mut live,
            "cursor" => &mut cursor,
            _ => continue,
        };
        if known.replace(value).is_some() {
            return Err(BadRequest::Parameters);
        }
    }
    let mode = match live.as_deref() {
        None => Mode::CatchUp,
        Some("long-poll") => Mode::LongPoll,
        Some("sse") => Mode::Sse,
        Some(_) => return Err(BadRequest::Parameters),
    };
    if offset.is_none() && mode != Mode::CatchUp {
        return Err(BadRequest::NoOffset);
    }
    let start = offset.as_deref().map_or(Ok(Start::Beginning), str::parse)?;
    // A cursor that is no number of ours cannot be met again.
    let cursor = cursor.as_deref().and_then(whole);
    Ok(Read { start, mode, cursor, is_exact: matches!(start, Start::At(_)) })
}
