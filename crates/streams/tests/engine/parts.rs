//! Lines in parts: one stream whose oldest files may go.

use std::path::Path;

use axum::body::Body;
use chatroom_streams::router::{RouterOptions, read_only};
use chatroom_streams::{Lines, Part, Reader, Refusal};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// Writes a part whose lines are these numbers; returns where the next begins.
fn part(folder: &Path, begins_at: u64, numbers: std::ops::Range<u32>) -> u64 {
    let lines = numbers.map(|number| format!("{{\"n\":{number}}}\n")).collect::<Vec<_>>().concat();
    std::fs::write(Part::at(folder, begins_at).path, &lines).expect("a part");
    begins_at + lines.len() as u64
}

/// Reads from an offset; returns the status, the body and the next offset.
async fn read(folder: &Path, offset: &str) -> (StatusCode, String, String) {
    let folder = folder.to_owned();
    let find = move |_: &str| Lines::in_parts(&folder).map(Reader::of_lines).map_err(|_| Refusal::NotFound);
    let router = read_only(find, RouterOptions { prefix: "/s".into(), ..RouterOptions::default() });
    let request = Request::get(format!("/s/lines?offset={offset}")).body(Body::empty()).expect("a request");
    let answer = router.oneshot(request).await.expect("an answer");
    let status = answer.status();
    let next = answer.headers().get("stream-next-offset");
    let next = next.map(|next| next.to_str().expect("text").to_owned()).unwrap_or_default();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"), next)
}

fn numbers(body: &str) -> Vec<u64> {
    let messages: Vec<serde_json::Value> = serde_json::from_str(body).expect("an array");
    messages.iter().map(|message| message["n"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn parts_are_one_stream_that_begins_later_when_the_oldest_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert_eq!(read(folder, "-1").await.1, "[]", "nothing is written yet");
    let second = part(folder, 0, 0..100);
    let (_, body, at_second) = read(folder, "-1").await;
    assert_eq!(numbers(&body).len(), 100);
    let third = part(folder, second, 100..250);
    part(folder, third, 250..251);
    let (_, body, _) = read(folder, "-1").await;
    assert_eq!(numbers(&body), (0..251).collect::<Vec<_>>(), "across the files");
    let (_, body, tail) = read(folder, &at_second).await;
    assert_eq!(numbers(&body), (100..251).collect::<Vec<_>>());
    assert_eq!(read(folder, &tail).await.1, "[]");

    std::fs::remove_file(Part::at(folder, 0).path).expect("the oldest");
    assert_eq!(numbers(&read(folder, "-1").await.1), (100..251).collect::<Vec<_>>(), "what is left");
    assert_eq!(numbers(&read(folder, &at_second).await.1).len(), 151, "an offset stays good");
    std::fs::remove_file(Part::at(folder, second).path).expect("the next");
    let (status, words, _) = read(folder, &at_second).await;
    assert_eq!(status, StatusCode::GONE, "{words}");
    let oldest = words.trim().rsplit(' ').next().expect("where to go on");
    assert_eq!(numbers(&read(folder, oldest).await.1), [250], "{words}");
    assert_eq!(read(folder, "0000000000000001_0000000000999999").await.0, StatusCode::BAD_REQUEST, "past the tail");
}
