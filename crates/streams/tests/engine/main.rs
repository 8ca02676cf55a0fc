//! The engine and its router over a real folder.

mod callers;
mod http;
mod many;
mod parts;
mod restart;
mod sockets;

use bytes::Bytes;
use chatroom_streams::{Append, Claim, ContentType, Create, Engine, Options, Start};

/// Small sizes, so that little data reaches every path.
pub fn small() -> Options {
    Options {
        segment_bytes: 64 << 10,
        page_bytes: 1 << 10,
        file_bytes: 4 << 10,
        flush_bytes: 8 << 10,
        ..Options::default()
    }
}

/// Reads a content type.
pub fn typed(name: &str) -> Option<ContentType> {
    ContentType::parse(name)
}

/// Makes an empty stream.
pub async fn create(engine: &Engine, path: &str, content_type: &str) {
    let create = Create { content_type: typed(content_type), ..Create::default() };
    assert!(engine.create(path, create).await.expect("made").is_new, "{path}");
}

/// Appends text.
pub fn text(body: impl Into<Bytes>) -> Append {
    Append { content_type: typed("text/plain"), body: body.into(), ..Append::default() }
}

/// The append of the one producer with this number.
pub fn claim(seq: u64) -> Option<Claim> {
    Some(Claim { id: "producer".into(), epoch: 0, seq })
}

/// Reads a stream from its beginning, page by page.
pub fn read_all(engine: &Engine, path: &str) -> Vec<u8> {
    let reader = engine.reader(path).expect("a stream");
    let (mut all, mut start) = (Vec::new(), Start::Beginning);
    loop {
        let view = reader.view(start).expect("a view");
        all.extend_from_slice(&view.load().expect("bytes"));
        if view.is_up_to_date {
            return all;
        }
        start = Start::At(view.next());
    }
}
