//! Requests as fields, and fields as answers (RFC 9113, 8).

use bytes::{BufMut, Bytes};
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, request, response};

use super::hpack::{self, Field};

/// The authority of a request that names none: HTTP/2 wants one.
const AUTHORITY: &str = "tunnel";
/// The numbers of what most requests begin with.
const GET: usize = 2;
const POST: usize = 3;
const HTTP: usize = 6;

/// Headers that belong to the connection of another protocol (RFC 9113, 8.2.2).
const FOREIGN: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What an answer says that is not one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The head of an answer, or one that only says that there will be one.
pub(super) enum Answer {
    Final(Box<response::Parts>),
    Informational,
}

/// Packs the head of a request. What belongs to another connection stays here.
pub(super) fn request(out: &mut impl BufMut, head: &request::Parts) {
    hpack::begin(out);
    match head.method.as_str() {
        "GET" => hpack::put_indexed(out, GET),
        "POST" => hpack::put_indexed(out, POST),
        other => hpack::put(out, ":method", other.as_bytes(), false),
    }
    match head.uri.scheme_str() {
        None | Some("http") => hpack::put_indexed(out, HTTP),
        Some(other) => hpack::put(out, ":scheme", other.as_bytes(), false),
    }
    let authority = head.uri.authority().map_or(AUTHORITY, Authority::as_str);
    hpack::put(out, ":authority", authority.as_bytes(), false);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    hpack::put(out, ":path", path.as_bytes(), false);
    for (name, value) in &head.headers {
        let is_foreign = FOREIGN.contains(name) || *name == HOST || (*name == TE && value != "trailers");
        if !is_foreign {
            hpack::put(out, name.as_str(), value.as_bytes(), value.is_sensitive());
        }
    }
}

/// Packs what follows a body.
pub(super) fn trailers(out: &mut impl BufMut, trailers: &HeaderMap) {
    hpack::begin(out);
    for (name, value) in trailers {
        hpack::put(out, name.as_str(), value.as_bytes(), value.is_sensitive());
    }
}

/// Reads the head of an answer.
pub(super) fn answer(fields: Vec<Field>) -> Result<Answer, Malformed> {
    let mut fields = fields.into_iter();
    let status = match fields.next() {
        Some((name, value)) if *name == *b":status" => {
            StatusCode::from_bytes(&value).map_err(|_| Malformed("a status that is none"))?
        }
        _ => return Err(Malformed("an answer that does not begin with its status")),
    };
    let headers = read_trailers(fields)?;
    if status.is_informational() {
        return Ok(Answer::Informational);
    }
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.version, parts.headers) = (status, Version::HTTP_2, headers);
    Ok(Answer::Final(Box::new(parts)))
}

/// Reads fields none of which is special.
pub(super) fn read_trailers(fields: impl IntoIterator<Item = Field>) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if name.iter().any(u8::is_ascii_uppercase) {
            return Err(Malformed("the name of a header in capitals"));
        }
        let name = HeaderName::from_bytes(&name).map_err(|_| Malformed("the name of a header that is none"))?;
        let value = HeaderValue::from_maybe_shared(Bytes::from(value.into_owned()))
            .map_err(|_| Malformed("the value of a header that is none"))?;
        if FOREIGN.contains(&name) {
            return Err(Malformed("a header of another protocol"));
        }
        headers.try_append(name, value).map_err(|_| Malformed("too many headers"))?;
    }
    Ok(headers)
}
