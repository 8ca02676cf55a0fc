//! Requests, read strictly: whoever forwards them must not take their ends for elsewhere.

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};

use super::answer::Manner;

/// How many headers a request may have.
const HEADERS: usize = 100;
/// How long the line before a chunk may be, and what follows the last.
const LONGEST_LINE: usize = 8 * 1024;

/// The head of a request.
pub(super) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// How many bytes it took.
    pub length: usize,
    pub body: Length,
    /// Whether the body is held back until somebody wants it.
    pub waits: bool,
    pub manner: Manner,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
}

impl Head {
    /// Reads the head that `bytes` begin with, if all of it is there.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, StatusCode> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut read = httparse::Request::new(&mut headers);
        let length = match read.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        // The values share one copy.
        let copy = Bytes::copy_from_slice(&bytes[..length]);
        let bad = StatusCode::BAD_REQUEST;
        let mut map = HeaderMap::with_capacity(read.headers.len());
        for header in read.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| bad)?;
            let begin = header.value.as_ptr().addr() - bytes.as_ptr().addr();
            let value = copy.slice(begin..begin + header.value.len());
            map.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| bad)?);
        }
        let path = read.path.ok_or(bad)?;
        let begin = path.as_ptr().addr() - bytes.as_ptr().addr();
        let method = Method::from_bytes(read.method.ok_or(bad)?.as_bytes()).map_err(|_| bad)?;
        let version = if read.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let says = |word| has_word(&map, header::CONNECTION, word);
        let keeps = if version == Version::HTTP_11 { !says("close") } else { says("keep-alive") && !says("close") };
        let manner = Manner { is_head: method == Method::HEAD, version, keeps };
        let waits = version == Version::HTTP_11 && has_word(&map, header::EXPECT, "100-continue");
        let body = body(&map, version)?;
        let uri = Uri::from_maybe_shared(copy.slice(begin..begin + path.len())).map_err(|_| bad)?;
        Ok(Some(Self { method, uri, version, headers: map, length, body, waits, manner }))
    }

    /// Returns the whole request.
    pub fn with(self, body: Vec<u8>) -> Request<Body> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        request
    }
}

fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
}

/// Says how long the body is. What says it twice, or otherwise than plainly, says nothing.
fn body(headers: &HeaderMap, version: Version) -> Result<Length, StatusCode> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).into_iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Length::Bytes(0)),
        (Some(length), None) if lengths.all(|other| other == length) => {
            let text = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            text.and_then(|text| text.parse().ok()).map(Length::Bytes).ok_or(StatusCode::BAD_REQUEST)
        }
        (None, Some(coding)) if version == Version::HTTP_11 && codings.next().is_none() => {
            if coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                Ok(Length::Chunked)
            } else {
                Err(StatusCode::NOT_IMPLEMENTED)
            }
        }
        _ => Err(StatusCode::BAD_REQUEST),
    }
}

/// A body that comes in chunks.
#[derive(Default)]
pub(super) struct Chunks {
    body: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Default)]
enum Place {
    /// Before the size of a chunk.
    #[default]
    Size,
    /// In a chunk of which so much is still to come.
    Data(usize),
    /// Behind it.
    End,
    /// Behind the last, with so many bytes of trailers.
    Trailers(usize),
}

impl Chunks {
    /// Takes in what came, and what is not its own is left there. Returns the body once it is whole.
    pub fn take(&mut self, came: &mut Vec<u8>, largest: usize) -> Result<Option<Vec<u8>>, StatusCode> {
        let mut rest = &came[..];
        let whole = loop {
            match self.place {
                Place::Data(0) => self.place = Place::End,
                Place::Data(size) if !rest.is_empty() => {
                    let (now, later) = rest.split_at(size.min(rest.len()));
                    self.body.extend_from_slice(now);
                    self.place = Place::Data(size - now.len());
                    rest = later;
                }
                Place::Data(_) => break false,
                Place::Size | Place::End | Place::Trailers(_) => {
                    let Some((line, later)) = line(rest)? else { break false };
                    rest = later;
                    if self.end_of_line(line, largest)? {
                        break true;
                    }
                }
            }
        };
        let taken = came.len() - rest.len();
        came.drain(..taken);
        Ok(whole.then(|| std::mem::take(&mut self.body)))
    }

    /// Goes on behind a line. Whether it was the last one.
    fn end_of_line(&mut self, line: &[u8], largest: usize) -> Result<bool, StatusCode> {
        self.place = match self.place {
            Place::End if line.is_empty() => Place::Size,
            Place::Size => match size(line).ok_or(StatusCode::BAD_REQUEST)? {
                0 => Place::Trailers(0),
                size if size > largest.saturating_sub(self.body.len()) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
                size => Place::Data(size),
            },
            Place::Trailers(_) if line.is_empty() => return Ok(true),
            Place::Trailers(before) if before + line.len() <= LONGEST_LINE => Place::Trailers(before + line.len()),
            Place::End | Place::Trailers(_) | Place::Data(_) => return Err(StatusCode::BAD_REQUEST),
        };
        Ok(false)
    }
}

/// A line without its end, and what follows.
type Parted<'a> = (&'a [u8], &'a [u8]);

/// Parts the first line from the rest, if all of it is there.
fn line(bytes: &[u8]) -> Result<Option<Parted<'_>>, StatusCode> {
    let near = &bytes[..bytes.len().min(LONGEST_LINE)];
    match near.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some((&bytes[..end - 1], &bytes[end + 1..]))),
        None if near.len() < LONGEST_LINE => Ok(None),
        Some(_) | None => Err(StatusCode::BAD_REQUEST),
    }
}

/// Reads the size of a chunk; what is said of it behind a semicolon means nothing here.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    // More would be no size but an attempt.
    let is_size = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_size)?;
    usize::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, u16> {
        Head::read(text.as_bytes()).map_err(|status| status.as_u16())
    }

    #[test]
    fn a_head_says_how_its_body_ends_or_is_refused() {
        for (headers, expected) in [
            ("", Ok(Length::Bytes(0))),
            ("content-length: 12\r\n", Ok(Length::Bytes(12))),
            ("content-length: 12\r\ncontent-length: 12\r\n", Ok(Length::Bytes(12))),
            ("Transfer-Encoding: Chunked\r\n", Ok(Length::Chunked)),
            ("content-length: 12\r\ncontent-length: 13\r\n", Err(400)),
            ("content-length: 12, 12\r\n", Err(400)),
            ("content-length: +12\r\n", Err(400)),
            ("content-length: \r\n", Err(400)),
            ("content-length: 99999999999999999999\r\n", Err(400)),
            ("content-length: 12\r\ntransfer-encoding: chunked\r\n", Err(400)),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Err(400)),
            ("transfer-encoding: gzip, chunked\r\n", Err(501)),
            ("transfer-encoding : chunked\r\n", Err(400)),
            ("a: b\r\n c\r\n", Err(400)),
        ] {
            let found = head(&format!("POST /a HTTP/1.1\r\n{headers}\r\n"));
            assert_eq!(found.map(|head| head.expect("all of it").body), expected, "{headers:?}");
        }
        assert!(matches!(head("POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"), Err(400)));
        assert!(matches!(head("GET /a HTTP/1.1\r\nhost: a\r\n"), Ok(None)));
        assert!(matches!(head("GET /a\r\n\r\n"), Err(400)));
    }

    #[test]
    fn a_connection_is_kept_as_its_version_and_headers_say() {
        for (version, header, expected) in [
            ("1.1", "", true),
            ("1.1", "Connection: Close", false),
            ("1.1", "connection: upgrade, close", false),
            ("1.0", "", false),
            ("1.0", "connection: keep-alive", true),
        ] {
            let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            let found = head(&format!("GET /a HTTP/{version}\r\n{header}\r\n")).expect("a head").expect("all of it");
            assert_eq!(found.manner.keeps, expected, "{version} {header:?}");
        }
    }

    /// Reads chunks that come in pieces of so many bytes; what is left behind them is told, too.
    fn chunks(text: &str, piece: usize) -> Result<(String, String), u16> {
        let (mut chunks, mut came) = (Chunks::default(), Vec::new());
        let mut pieces = text.as_bytes().chunks(piece);
        loop {
            let taken = chunks.take(&mut came, 20).map_err(|status| status.as_u16())?;
            if let Some(body) = taken {
                came.extend(pieces.flatten());
                return Ok((String::from_utf8(body).expect("text"), String::from_utf8(came).expect("text")));
            }
            came.extend_from_slice(pieces.next().ok_or(0_u16)?);
        }
    }

    #[test]
    fn chunks_are_put_together_however_they_come() {
        for (text, expected) in [
            ("0\r\n\r\n", Ok(("", ""))),
            ("5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\nGET", Ok(("hello world", "GET"))),
            ("00A \r\n0123456789\r\n0\r\na: b\r\n\r\n", Ok(("0123456789", ""))),
            ("15\r\n", Err(413)),
            ("a\r\n0123456789\r\nb\r\n", Err(413)),
            ("5\r\nhelloX\r\n", Err(400)),
            ("5\nhello\r\n", Err(400)),
            ("\r\n", Err(400)),
            ("-5\r\n", Err(400)),
            ("0x5\r\n", Err(400)),
            ("000000005\r\n", Err(400)),
            ("5\r\nhel", Err(0)),
        ] {
            for piece in [1, 2, 3, 100] {
                let expected = expected.map(|(body, rest)| (body.to_owned(), rest.to_owned()));
                assert_eq!(chunks(text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }
}
