//! The protocol where the official suite does not look.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use chatroom_streams::router::{RouterOptions, router};
use chatroom_streams::{Engine, Options};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::small;

struct Service {
    engine: Engine,
    router: Router,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

fn service(options: Options, router_options: RouterOptions) -> Service {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), options).expect("an engine");
    let router = router(engine.clone(), router_options);
    Service { engine, router, _folder: folder }
}

impl Service {
    async fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> http::Response<Body> {
        let mut request = Request::builder().method(method).uri(format!("/v1/stream/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (parts, body) = self.begin(method, path, headers, body).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");

#[tokio::test]
async fn json_comes_back_byte_for_byte() {
    let service = service(small(), RouterOptions::default());
    service.send("PUT", "a", &[JSON], "").await;
    let sent = [
        r#"{"z":1,"a":1.50,"b":12345678901234567890123}"#,
        r#"{ "spaced" : [ 1 , 2 ] }"#,
        r#""\u00e9 \/ é""#,
        "-0.0e-7",
    ];
    for message in sent {
        assert_eq!(service.send("POST", "a", &[JSON], message).await.status, StatusCode::NO_CONTENT);
    }
    let read = service.send("GET", "a", &[], "").await;
    assert_eq!(read.body, format!("[{}]", sent.join(",")));
}

#[tokio::test]
async fn a_large_page_is_whole_wherever_it_lies_and_begins() {
    // All in memory, all in files, and some of each.
    for flush_bytes in [u64::MAX, 1, 700 << 10] {
        let service = service(Options { flush_bytes, ..Options::default() }, RouterOptions::default());
        service.send("PUT", "json", &[JSON], "").await;
        service.send("PUT", "text", &[TEXT], "").await;
        let message = |number: usize| format!("\"{number}:{}\"", "x".repeat(50_000 + number));
        for number in 0..19 {
            assert!(service.send("POST", "json", &[JSON], &message(number)).await.status.is_success());
            assert!(service.send("POST", "text", &[TEXT], &message(number)).await.status.is_success());
        }
        let first = service.send("GET", "json?offset=-1", &[], "").await;
        let all = (0..19).map(message);
        assert_eq!(first.body, format!("[{}]", all.clone().collect::<Vec<_>>().join(",")));
        assert_eq!(first.header("content-length"), first.body.len().to_string());
        let text = service.send("GET", "text?offset=-1", &[], "").await;
        assert_eq!(text.body, all.clone().collect::<String>());
        assert_eq!(text.header("content-length"), text.body.len().to_string());
        // Behind the third message.
        let third: usize = all.clone().take(3).map(|message| message.len() + 1).sum();
        let offset = first.header("stream-next-offset").to_owned();
        let (generation, end) = offset.split_once('_').expect("an offset");
        let offset = format!("{generation}_{third:0width$}", width = end.len());
        let rest = service.send("GET", &format!("json?offset={offset}"), &[], "").await;
        assert_eq!(rest.body, format!("[{}]", all.skip(3).collect::<Vec<_>>().join(",")));
    }
}

#[tokio::test]
async fn a_long_stream_comes_in_pages_that_never_change() {
    let service = service(small(), RouterOptions::default());
    service.send("PUT", "a", &[JSON], "").await;
    let message = format!("{{\"text\":\"{}\"}}", "x".repeat(300));
    for _ in 0..20 {
        service.send("POST", "a", &[JSON], &format!("[{message},{message}]")).await;
    }
    let (mut offset, mut count, mut pages) = ("-1".to_owned(), 0, Vec::new());
    loop {
        let page = service.send("GET", &format!("a?offset={offset}"), &[], "").await;
        assert_eq!(page.status, StatusCode::OK);
        let messages: Vec<serde_json::Value> = serde_json::from_slice(&page.body).expect("an array");
        count += messages.len();
        let is_last = page.header("stream-up-to-date") == "true";
        pages.push((offset, page.header("etag").to_owned(), page.body.clone()));
        offset = page.header("stream-next-offset").to_owned();
        if is_last {
            break;
        }
        assert!(page.body.len() < 2048, "{} bytes in a page", page.body.len());
    }
    assert_eq!(count, 40);
    assert!(pages.len() > 10, "{} pages", pages.len());

    // More is appended: only the last page is another.
    service.send("POST", "a", &[JSON], &message).await;
    for (index, (offset, tag, body)) in pages.iter().enumerate() {
        let is_last = index + 1 == pages.len();
        let page = service.send("GET", &format!("a?offset={offset}"), &[], "").await;
        assert_eq!(page.header("etag") == tag, !is_last, "page {index}");
        assert!(page.body == *body || is_last, "page {index}");
        let is_immutable = page.header("cache-control").contains("immutable");
        assert!(is_immutable == (index > 0) || is_last, "page {index}");
        let known = service.send("GET", &format!("a?offset={offset}"), &[("if-none-match", tag)], "").await;
        let expected = if is_last { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
        assert_eq!(known.status, expected, "page {index}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let service = service(Options { max_body: 1000, ..small() }, RouterOptions::default());
    service.send("PUT", "a", &[TEXT], "some text").await;
    service.send("PUT", "json", &[JSON], "[{\"a\":[1,2]}]").await;
    let long = "x".repeat(2000);
    for (method, path, headers, body, expected) in [
        ("PUT", "a//b", &[TEXT][..], "", 400),
        ("PUT", "a/../b", &[TEXT], "", 400),
        ("PUT", &*format!("long/{long}"), &[TEXT], "", 400),
        ("PUT", "__ds/subscriptions/x", &[TEXT], "", 404),
        ("GET", "__ds/jwks.json", &[], "", 404),
        ("POST", "a", &[TEXT], &*long, 413),
        ("POST", "a", &[], "no type", 400),
        ("POST", "a", &[("content-type", "nonsense")], "x", 400),
        ("GET", "a?offset=0000000000000001_0000000000000099", &[], "", 400),
        ("GET", "a?offset=0000000000000099_0000000000000000", &[], "", 400),
        ("GET", "json?offset=0000000000000002_0000000000000003", &[], "", 400),
        ("GET", "a?live=forever&offset=-1", &[], "", 400),
        ("PATCH", "a", &[], "", 405),
        ("OPTIONS", "a", &[], "", 405),
        ("PUT", "f", &[("stream-forked-from", "/elsewhere/a")], "", 400),
        ("PUT", "f", &[("stream-forked-from", "/v1/stream/none")], "", 404),
    ] {
        let answer = service.send(method, path, headers, body).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path:.40}: {:?}", answer.body);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.body.len() > 10, "{method} {path:.40} says why");
    }
    assert_eq!(service.send("GET", "a", &[], "").await.body, "some text", "nothing was changed");
}

#[tokio::test]
async fn a_live_reader_gets_each_append_and_the_end() {
    let service = service(small(), RouterOptions::default());
    service.send("PUT", "a", &[TEXT], "one\n").await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(service.begin("GET", "a?offset=-1&live=sse", &[], "").await.into_body());
    }
    let mut first = Vec::new();
    for reader in &mut readers {
        first.push(reader.frame().await.expect("an event").expect("an event").into_data().expect("data"));
    }
    service.send("POST", "a", &[TEXT, ("stream-closed", "true")], "two").await;
    for (reader, first) in readers.into_iter().zip(first) {
        let rest = reader.collect().await.expect("events").to_bytes();
        let all = String::from_utf8([first, rest].concat()).expect("text");
        assert_eq!(all.matches("event: data\n").count(), 2, "{all}");
        assert_eq!(all.matches("event: control\n").count(), 2, "{all}");
        assert!(all.contains("data:one\n") && all.contains("data:two\n"), "{all}");
        assert!(all.trim_end().ends_with("\"upToDate\":true,\"streamClosed\":true}"), "{all}");
    }
}

#[tokio::test]
async fn a_live_reader_is_ended_in_time_and_when_its_stream_goes() {
    let live = Duration::from_millis(200);
    let service = service(small(), RouterOptions { live, max_live: 2, ..RouterOptions::default() });
    service.send("PUT", "a", &[TEXT], "text").await;
    let cut = service.begin("GET", "a?offset=now&live=sse", &[], "").await.into_body();
    let deleted = service.begin("GET", "a?offset=now&live=long-poll", &[], "");
    let cut = tokio::time::timeout(Duration::from_mins(1), cut.collect()).await.expect("it ends").expect("events");
    assert!(String::from_utf8_lossy(&cut.to_bytes()).contains("upToDate"));
    let delete = async {
        tokio::task::yield_now().await;
        service.engine.delete("a").await.expect("deleted");
    };
    let (answer, ()) = tokio::join!(deleted, delete);
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);

    service.send("PUT", "b", &[TEXT], "text").await;
    let held = [
        service.begin("GET", "b?offset=now&live=sse", &[], "").await,
        service.begin("GET", "b?offset=now&live=sse", &[], "").await,
    ];
    let refused = service.send("GET", "b?offset=now&live=sse", &[], "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    drop(held);
    assert_eq!(service.begin("GET", "b?offset=now&live=sse", &[], "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_reader_that_falls_too_far_behind_is_ended_and_resumes() {
    let service = service(small(), RouterOptions { live_budget: 5_000, ..RouterOptions::default() });
    service.send("PUT", "a", &[TEXT], "begin;").await;
    let mut reader = service.begin("GET", "a?offset=-1&live=sse", &[], "").await.into_body();
    let event = reader.frame().await.expect("an event").expect("an event").into_data().expect("data");
    let event = String::from_utf8(event.to_vec()).expect("text");
    let offset =
        event.split("\"streamNextOffset\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an offset");
    for _ in 0..10 {
        service.send("POST", "a", &[TEXT], &"x".repeat(1000)).await;
    }
    let rest = reader.collect().await.expect("an end").to_bytes();
    assert!(rest.is_empty(), "{} bytes more", rest.len());
    let page = service.send("GET", &format!("a?offset={offset}"), &[], "").await;
    assert!(page.status.is_success() && page.body.starts_with(b"xxx"));
}
