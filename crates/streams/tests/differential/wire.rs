//! HTTP/1.1 by hand: nothing between what is asked and what is compared.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::story::Request;

/// Longer than any answer takes that ends by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Without the marks of chunks. Of a live read, up to where it said that there is nothing more.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} {:?}", self.status, self.headers)?;
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.body))
    }
}

/// Sends a request over a connection of its own.
pub fn ask(address: SocketAddr, spelled: &[u8], request: &Request) -> Answer {
    let mut tcp = TcpStream::connect(address).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tcp.write_all(spelled).expect("a request is sent");
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&bytes, request) {
            return answer;
        }
        let count = tcp.read(&mut piece).expect("an answer in time");
        assert!(count > 0, "the connection ended within an answer: {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// Returns the answer once it is whole.
fn parse(bytes: &[u8], request: &Request) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.get(9..12)).and_then(|status| status.parse().ok()).expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let rest = &bytes[end + 4..];
    if request.method == "HEAD" || matches!(status, 204 | 304) {
        return Some(answer);
    }
    if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().expect("a length");
        answer.body = rest.get(..length)?.to_vec();
        return Some(answer);
    }
    let is_whole = chunks(rest, &mut answer.body);
    let is_over = request.is_live() && says_enough(&answer.body);
    (is_whole || is_over).then_some(answer)
}

/// Takes chunks apart; whether the last one is there.
fn chunks(mut rest: &[u8], body: &mut Vec<u8>) -> bool {
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).ok().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.expect("the size of a chunk");
        if size == 0 {
            return true;
        }
        let Some(chunk) = rest.get(line + 2..line + 2 + size) else { return false };
        body.extend_from_slice(chunk);
        rest = rest.get(line + 4 + size..).unwrap_or_default();
    }
    false
}

/// Whether events have reached the tail.
fn says_enough(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    whole.split("\n\n").any(|event| {
        event.contains("event: control")
            && (event.contains("\"upToDate\":true") || event.contains("\"streamClosed\":true"))
    })
}
