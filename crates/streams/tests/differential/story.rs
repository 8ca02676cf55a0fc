//! Requests that a seed makes up, and what was learned from their answers.

use std::fmt::Write as _;

use crate::random::Random;
use crate::wire::Answer;

/// How many streams a story is about.
const STREAMS: usize = 4;

/// A part of a request.
#[derive(Debug, Clone)]
pub enum Part {
    /// The same for both.
    Text(String),
    /// What each of them called this place of the stream.
    Offset(usize),
    /// What each of them called this state of it.
    Tag(usize),
    /// Where each of them keeps this stream.
    Path(usize),
}

/// A request to both.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: &'static str,
    pub stream: usize,
    pub query: Vec<(&'static str, Part)>,
    pub headers: Vec<(&'static str, Part)>,
    pub body: Vec<u8>,
    /// Whose offsets it names.
    named: usize,
}

/// What is known of a stream: in the words of both.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Grows whenever the two may hold different things there.
    life: usize,
    kind: &'static str,
    offsets: Vec<[String; 2]>,
    tags: Vec<[String; 2]>,
}

/// A story.
pub struct Story {
    seed: u64,
    random: Random,
    streams: Vec<Known>,
    asked: usize,
    told: String,
}

const JSON: &str = "application/json";
const KINDS: [&str; 4] = [JSON, JSON, "text/plain", "application/octet-stream"];

impl Story {
    pub fn new(seed: u64, random: Random) -> Self {
        Self {
            seed,
            random,
            streams: vec![Known { kind: JSON, ..Known::default() }; STREAMS],
            asked: 0,
            told: String::new(),
        }
    }

    /// Returns what was asked.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// Returns what both called the places of a stream.
    pub fn offsets(&self, stream: usize) -> &[[String; 2]] {
        &self.streams[stream].offsets
    }

    /// Makes up the next request.
    pub fn next(&mut self) -> Request {
        let stream = self.random.index(STREAMS);
        let mut request =
            Request { method: "GET", stream, query: Vec::new(), headers: Vec::new(), body: Vec::new(), named: stream };
        // In most stories the streams are there.
        self.asked += 1;
        match self.random.below(20) {
            _ if self.asked <= STREAMS => {
                request.stream = self.asked - 1;
                self.create(&mut request);
            }
            0..=3 => self.create(&mut request),
            4..=11 => self.append(&mut request),
            12..=16 => self.read(&mut request),
            17 | 18 => request.method = "HEAD",
            _ => request.method = if self.random.one_in(5) { "PATCH" } else { "DELETE" },
        }
        let spelled = String::from_utf8_lossy(&request.spelled(1, self)).replace("\r\n", " | ");
        // A text takes every line.
        let _ = writeln!(self.told, "{spelled}");
        request
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.random.index(all.len())].clone()
    }

    fn text(&mut self, all: &[&str]) -> Part {
        Part::Text(self.one_of(all).to_owned())
    }

    fn create(&mut self, request: &mut Request) {
        request.method = "PUT";
        let kind = self.one_of(&KINDS);
        if !self.random.one_in(6) {
            request.headers.push(("content-type", Part::Text(kind.to_owned())));
        }
        if self.random.one_in(8) {
            let ttl = self.text(&["3600", "86400", "0", "01", "-1", "+5", "1.5", "soon", ""]);
            request.headers.push(("stream-ttl", ttl));
        }
        if self.random.one_in(12) {
            let until = self.text(&["2099-01-01T00:00:00Z", "2099-01-01T01:00:00+01:00", "tomorrow"]);
            request.headers.push(("stream-expires-at", until));
        }
        if self.random.one_in(8) {
            let closed = self.text(&["true", "TRUE", "false", "1"]);
            request.headers.push(("stream-closed", closed));
        }
        if self.random.one_in(3) {
            let source = self.random.index(STREAMS);
            request.named = source;
            // A fork that ends with its first moment holds its source until somebody looks; when that is, is each one's own.
            let is_over = |part: &Part| matches!(part, Part::Text(text) if text == "0");
            request.headers.retain(|(name, part)| *name != "content-type" && !(*name == "stream-ttl" && is_over(part)));
            request.headers.push(("stream-forked-from", Part::Path(source)));
            if self.random.one_in(2)
                && let Some(offset) = self.offset(source)
            {
                request.headers.push(("stream-fork-offset", offset));
                if self.random.one_in(2) {
                    let beyond = self.text(&["0", "1", "2", "50", "-1", "x"]);
                    request.headers.push(("stream-fork-sub-offset", beyond));
                }
            }
        } else if self.random.one_in(2) {
            request.body = self.body(kind);
        }
    }

    fn append(&mut self, request: &mut Request) {
        request.method = "POST";
        let kind = self.streams[request.stream].kind;
        request.body = self.body(kind);
        match self.random.below(14) {
            0 => {}
            1 => {
                let other = self.one_of(&KINDS);
                request.headers.push(("content-type", Part::Text(other.to_owned())));
            }
            2 => request.headers.push(("content-type", Part::Text(format!("{}; charset=utf-8", kind.to_uppercase())))),
            _ => request.headers.push(("content-type", Part::Text(kind.to_owned()))),
        }
        if self.random.one_in(20) {
            let closed = self.text(&["true", "true", "True", "false", "yes"]);
            request.headers.push(("stream-closed", closed));
            if self.random.one_in(2) {
                request.body.clear();
            }
        }
        if self.random.one_in(10) {
            let seq = self.text(&["a", "b", "c", "10", "9"]);
            request.headers.push(("stream-seq", seq));
        }
        if self.random.one_in(3) {
            let id = self.text(&["one", "two", "one", "two", "one", "two", ""]);
            let epoch = self.text(&["0", "0", "0", "0", "1", "2", "-1", "x"]);
            let seq = self.text(&["0", "1", "2", "3", "0", "1", "9007199254740991", "9007199254740992"]);
            for (name, value) in [("producer-id", id), ("producer-epoch", epoch), ("producer-seq", seq)] {
                if !self.random.one_in(25) {
                    request.headers.push((name, value));
                }
            }
        }
    }

    fn body(&mut self, kind: &str) -> Vec<u8> {
        let texts: &[&str] = if kind == JSON {
            &[
                "1",
                "1.50",
                "[]",
                "[[1, 2],[3]]",
                "{\"z\":1,\"a\":1.50,\"b\":12345678901234567890123}",
                " [ {\"a\" : \"x\"} , null,true ] ",
                "\"\\u00e9\u{e9}\\n\"",
                "[1,",
                "{\"a\":1,}",
                "1e5",
                "01",
                "",
                "{\"a\":1,\"a\":2}",
                "[{\"n\":-0.0},1E+2]",
            ]
        } else {
            &["line\n", "two\r\nlines", "", "\u{20ac}uro", "data: x\n\nevent: y", " ", "0123456789"]
        };
        self.one_of(texts).as_bytes().to_vec()
    }

    fn offset(&mut self, stream: usize) -> Option<Part> {
        let count = self.streams[stream].offsets.len();
        (count > 0).then(|| Part::Offset(self.random.index(count)))
    }

    fn read(&mut self, request: &mut Request) {
        let offset = match self.random.below(10) {
            0 => None,
            1 => Some(self.text(&["now"])),
            2 => Some(self.text(&["a,b", "x y", "", "-2"])),
            3..=5 => Some(self.text(&["-1"])),
            _ => self.offset(request.stream),
        };
        request.query.extend(offset.map(|offset| ("offset", offset)));
        match self.random.below(12) {
            0 => request.query.push(("live", Part::Text("long-poll".into()))),
            1 | 2 => request.query.push(("live", Part::Text("sse".into()))),
            3 => request.query.push(("live", Part::Text("often".into()))),
            _ => {}
        }
        let tags = self.streams[request.stream].tags.len();
        if tags > 0 && self.random.one_in(3) {
            request.headers.push(("if-none-match", Part::Tag(self.random.index(tags))));
        }
    }

    /// Takes down how both call what they told.
    pub fn learn(&mut self, request: &Request, answers: &[Answer; 2]) {
        let known = &mut self.streams[request.stream];
        match (request.method, answers[1].status) {
            ("PUT", 201) => {
                let kind = answers[1].header("content-type").unwrap_or_default();
                let kind = KINDS.into_iter().find(|name| *name == kind).unwrap_or("application/octet-stream");
                *known = Known { kind, life: known.life, ..Known::default() };
            }
            ("DELETE", 204) => (known.offsets, known.tags) = (Vec::new(), Vec::new()),
            _ => {}
        }
        let both = |name: &str| Some([answers[0].header(name)?.to_owned(), answers[1].header(name)?.to_owned()]);
        let offsets = both("stream-next-offset").filter(|pair| !known.offsets.contains(pair));
        known.offsets.extend(offsets);
        let tags = both("etag").filter(|pair| !known.tags.contains(pair));
        known.tags.extend(tags);
    }

    /// Goes on with another stream in the place of one where the two may hold different things.
    pub fn abandon(&mut self, request: &Request) {
        let known = &mut self.streams[request.stream];
        *known = Known { life: known.life + 1, kind: JSON, ..Known::default() };
    }
}

impl Request {
    /// Returns the request that deletes its stream.
    pub fn deleting(&self) -> Self {
        Self { method: "DELETE", query: Vec::new(), headers: Vec::new(), body: Vec::new(), ..*self }
    }

    /// Whether the answer goes on as long as the stream.
    pub fn is_live(&self) -> bool {
        self.query.iter().any(|(name, part)| *name == "live" && matches!(part, Part::Text(text) if text == "sse"))
    }

    /// Writes it as one of them is to read it.
    pub fn spelled(&self, side: usize, story: &Story) -> Vec<u8> {
        let path = |stream: usize| format!("/v1/stream/d{}-{}-{stream}", story.seed, story.streams[stream].life);
        let spell = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Offset(index) => story.streams[self.named].offsets[*index][side].clone(),
            Part::Tag(index) => story.streams[self.stream].tags[*index][side].clone(),
            Part::Path(stream) => path(*stream),
        };
        let query: Vec<String> =
            self.query.iter().map(|(name, part)| format!("{name}={}", spell(part).replace(' ', "%20"))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let mut text = format!("{} {}{query} HTTP/1.1\r\nhost: same\r\n", self.method, path(self.stream));
        for (name, part) in &self.headers {
            // A text takes every line.
            let _ = write!(text, "{name}: {}\r\n", spell(part));
        }
        if matches!(self.method, "PUT" | "POST") {
            let _ = write!(text, "content-length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
