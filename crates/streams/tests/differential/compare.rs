//! What has to be the same in both answers.

use crate::story::{Request, Story};
use crate::wire::Answer;

/// Headers whose values the protocol fixes.
const FIXED: [&str; 10] = [
    "content-type",
    "stream-closed",
    "stream-up-to-date",
    "stream-ttl",
    "stream-sse-data-encoding",
    "producer-epoch",
    "producer-seq",
    "producer-expected-seq",
    "producer-received-seq",
    "x-content-type-options",
];
/// Headers that have to be there or not, whatever they say.
const SPELLED: [&str; 4] = ["etag", "stream-expires-at", "location", "stream-cursor"];

/// Says where the answers differ.
pub fn differs(request: &Request, answers: &[Answer; 2], story: &Story) -> Option<String> {
    let [theirs, ours] = answers;
    if theirs.status != ours.status {
        return Some(format!("the status: {} and {}", theirs.status, ours.status));
    }
    let is_refusal = ours.status >= 400;
    let fixed = |name: &&&str| {
        // How a refusal is worded, and in what, is each one's own.
        theirs.header(name) != ours.header(name) && !(is_refusal && **name == "content-type")
    };
    if let Some(name) = FIXED.iter().find(fixed) {
        return Some(format!("{name}: {:?} and {:?}", theirs.header(name), ours.header(name)));
    }
    let spelled = |name: &&&str| theirs.header(name).is_some() != ours.header(name).is_some();
    if let Some(name) = SPELLED.iter().find(spelled) {
        return Some(format!("{name} is told by one only"));
    }
    let offsets = [theirs, ours].map(|answer| answer.header("stream-next-offset"));
    // Only a closed stream has to tell its end when it refuses.
    let must_tell = !is_refusal || ours.header("stream-closed").is_some();
    let tell = offsets.iter().all(Option::is_some) || must_tell;
    if let Some(problem) = places(request, offsets, story).filter(|_| tell) {
        return Some(problem);
    }
    if is_refusal {
        return None;
    }
    if request.is_live() && ours.status == 200 {
        return events(request, answers, story);
    }
    (theirs.body != ours.body).then(|| "the bodies".to_owned())
}

/// The same place has the same name, with each of them.
fn places(request: &Request, offsets: [Option<&str>; 2], story: &Story) -> Option<String> {
    let [theirs, ours] = match offsets {
        [Some(theirs), Some(ours)] => [theirs, ours],
        [None, None] => return None,
        _ => return Some("the next offset is told by one only".into()),
    };
    if request.method == "PUT" || request.method == "DELETE" {
        // Another stream, with other places.
        return None;
    }
    let known = story.offsets(request.stream).iter().find(|pair| pair[0] == theirs || pair[1] == ours)?;
    (known[0] != theirs || known[1] != ours).then(|| format!("the place {theirs} or {ours} had another name before"))
}

/// What live readers were told: the data, and about the end.
fn events(request: &Request, answers: &[Answer; 2], story: &Story) -> Option<String> {
    let told = [0, 1].map(|side| Told::new(&answers[side].body));
    let [theirs, ours] = &told;
    if theirs.data != ours.data {
        return Some(format!("the data: {:?} and {:?}", theirs.data, ours.data));
    }
    for flag in ["\"streamClosed\":true", "\"upToDate\":true", "\"streamCursor\""] {
        if theirs.control.contains(flag) != ours.control.contains(flag) {
            return Some(format!("{flag} is told by one only"));
        }
    }
    places(request, [Some(&theirs.offset()), Some(&ours.offset())], story)
}

struct Told {
    /// Of all data events, as a reader puts their lines together.
    data: Vec<String>,
    /// The last one.
    control: String,
}

impl Told {
    fn new(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut told = Self { data: Vec::new(), control: String::new() };
        for event in text.split("\n\n") {
            let lines: Vec<&str> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            if event.starts_with("event: data") {
                told.data.push(lines.join("\n"));
            } else if event.starts_with("event: control") {
                told.control = lines.join("\n");
            }
        }
        told
    }

    fn offset(&self) -> String {
        let (_, rest) = self.control.split_once("\"streamNextOffset\":\"").unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

/// Says why two answers may differ.
pub fn known(request: &Request, answers: &[Answer; 2]) -> Option<&'static str> {
    let [theirs, ours] = answers;
    let both_refuse = theirs.status >= 400 && ours.status >= 400;
    let is_told = |name: &str| request.headers.iter().any(|(found, _)| *found == name);
    match (theirs.status, ours.status) {
        (200, 200) if request.is_live() => {
            let [theirs, ours] = [theirs, ours].map(|answer| Told::new(&answer.body).data);
            (plain(&theirs) == plain(&ours))
                .then_some("of text that is read live, they make two lines of CRLF and drop a line's first space")
        }
        (200, 200) if is_json(&ours.body) && !is_json(&theirs.body) => {
            Some("a fork some messages behind an offset ends within one with them, if that has a comma of its own")
        }
        (409, 409) if ours.header("stream-closed").is_some() && theirs.header("stream-closed").is_none() => Some(
            "of a stream that is closed and a wrong content type, which is told first: as the protocol has it, closed",
        ),
        (theirs, ours) if theirs == ours => None,
        (400, _) | (_, 400) if both_refuse => {
            Some("of a stream that refuses anyway and a request that makes no sense, which is told first")
        }
        (200, 304) if is_told("if-none-match") => Some("a long poll for what one has is answered 304 by us"),
        (409, 204) if is_told("producer-id") && ours.header("stream-closed").is_some() => {
            Some("what closed a stream, sent again without closing it, is a duplicate to us")
        }
        _ if request.method != "PUT" => None,
        _ if both_refuse => Some("of two things wrong with a stream to make or its source, which is told first"),
        (400, 201) if is_told("stream-fork-sub-offset") => {
            Some("no messages behind the beginning of an empty source is a place to fork at for us")
        }
        (409, 200) if is_told("stream-expires-at") => {
            Some("an end of its life that is the same moment, told for another zone, is the same to us")
        }
        (409, 200) if is_told("stream-forked-from") => {
            Some("a fork at the tail of its source, asked for again when that has grown, is the same to us")
        }
        _ => None,
    }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok()
}

/// Text without what the two send otherwise: empty lines and spaces before lines.
fn plain(data: &[String]) -> Vec<Vec<&str>> {
    data.iter().map(|data| data.lines().map(str::trim_start).filter(|line| !line.is_empty()).collect()).collect()
}
