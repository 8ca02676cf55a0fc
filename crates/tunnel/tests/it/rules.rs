//! The rules of HTTP/2 (RFC 9113), as the server's end keeps them and makes its peer keep them.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use chatroom_tunnel::{Closed, Http2Error, Link, LinkError, Reason, Settings};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::{
    ACK, CONTINUATION, DATA, END, END_HEADERS, GOAWAY, HEADERS, OK, PADDED, PING, PUSH_PROMISE, Peer, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, setting,
};
use crate::world::{ask, soon, text};

fn go(link: &Link, request: Request) -> JoinHandle<Result<axum::response::Response, LinkError>> {
    let link = link.clone();
    tokio::spawn(async move { link.request(request).await })
}

fn upload(bytes: usize) -> Request {
    Request::post("/up").body(Body::from(vec![7; bytes])).unwrap()
}

/// What a peer may not say, and what it is told.
#[tokio::test]
async fn a_peer_that_breaks_the_protocol_loses_the_connection() {
    let too_long = [&[0x01, 0x00, 0x01, DATA, 0][..], &1_u32.to_be_bytes()].concat();
    let flood: Vec<u8> = [frame(HEADERS, 0, 1, OK)]
        .into_iter()
        .chain((0..9).map(|_| frame(CONTINUATION, 0, 1, &[0; 8192])))
        .flatten()
        .collect();
    for (said, reason) in [
        (too_long, Reason::FRAME_SIZE_ERROR),
        (frame(DATA, 0, 0, b"x"), Reason::PROTOCOL_ERROR),
        (frame(DATA, 0, 2, b"x"), Reason::PROTOCOL_ERROR),
        (frame(DATA, 0, 3, b"x"), Reason::PROTOCOL_ERROR),
        (frame(DATA, PADDED, 1, &[9, 1]), Reason::PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 3, OK), Reason::PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 1, &[0xbe]), Reason::COMPRESSION_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1, OK), Reason::PROTOCOL_ERROR),
        ([frame(HEADERS, 0, 1, OK), frame(PING, 0, 0, &[0; 8])].concat(), Reason::PROTOCOL_ERROR),
        ([frame(HEADERS, 0, 1, OK), frame(CONTINUATION, 0, 1, &[])].concat(), Reason::ENHANCE_YOUR_CALM),
        (flood, Reason::ENHANCE_YOUR_CALM),
        (frame(RST_STREAM, 0, 5, &[0; 4]), Reason::PROTOCOL_ERROR),
        (frame(RST_STREAM, 0, 1, &[0; 3]), Reason::FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, &[0; 5]), Reason::FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1, &[]), Reason::PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, &setting(2, 1)), Reason::PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, &setting(4, 1 << 31)), Reason::FLOW_CONTROL_ERROR),
        (frame(SETTINGS, 0, 0, &setting(5, 100)), Reason::PROTOCOL_ERROR),
        (frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]), Reason::PROTOCOL_ERROR),
        (frame(PING, 0, 0, &[0; 7]), Reason::FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 0, &[0; 7]), Reason::FRAME_SIZE_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Reason::PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, &i32::MAX.to_be_bytes()), Reason::FLOW_CONTROL_ERROR),
    ] {
        let (mut peer, link, driver) = Peer::greet().await;
        let answer = go(&link, ask("/"));
        peer.hear_of(HEADERS).await;
        peer.say_raw(&said).await;
        let goodbye = peer.hear_of(GOAWAY).await;
        assert_eq!(goodbye.payload[4..], code(reason), "{said:x?}");
        let answer = soon(answer).await.unwrap();
        assert!(
            matches!(answer, Err(LinkError::Interrupted(Http2Error::Broken { reason: told, .. })) if told == reason)
        );
        let closed = soon(driver).await.unwrap();
        assert!(matches!(closed, Closed::Protocol(Http2Error::Broken { reason: told, .. }) if told == reason));
        assert!(link.is_closed());
    }
}

/// What stands behind a reason on the wire.
fn code(reason: Reason) -> [u8; 4] {
    let codes = [
        (Reason::PROTOCOL_ERROR, 1_u32),
        (Reason::INTERNAL_ERROR, 2),
        (Reason::FLOW_CONTROL_ERROR, 3),
        (Reason::STREAM_CLOSED, 5),
        (Reason::FRAME_SIZE_ERROR, 6),
        (Reason::CANCEL, 8),
        (Reason::COMPRESSION_ERROR, 9),
        (Reason::ENHANCE_YOUR_CALM, 11),
    ];
    codes.into_iter().find(|(known, _)| *known == reason).unwrap().1.to_be_bytes()
}

#[tokio::test]
async fn a_peer_that_does_not_speak_http2_is_not_listened_to() {
    let (mut peer, _link, driver) = Peer::meet(Settings::default()).await;
    peer.say(PING, 0, 0, &[0; 8]).await;
    let closed = soon(driver).await.unwrap();
    assert!(matches!(closed, Closed::Protocol(_)), "{closed:?}");
}

/// What breaks one answer, and leaves the connection as it is.
#[tokio::test]
async fn an_answer_that_breaks_a_rule_ends_only_itself() {
    let field = |name: &str, value: &str| -> Vec<u8> {
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    };
    let head = |fields: &[Vec<u8>], flags: u8| frame(HEADERS, END_HEADERS | flags, 1, &fields.concat());
    let ok = || OK.to_vec();
    let three = || head(&[ok(), field("content-length", "3")], 0);
    // Said in 10 kB, it counts 68.
    let long = [ok(), field("a", "b").repeat(2000)].concat();
    let (begun, continued) = long.split_at(4000);
    for (said, reason) in [
        (frame(DATA, END, 1, b"x"), Reason::PROTOCOL_ERROR),
        (head(&[], END), Reason::PROTOCOL_ERROR),
        (head(&[field(":status", "abc")], END), Reason::PROTOCOL_ERROR),
        (head(&[field("x-first", "1"), ok()], END), Reason::PROTOCOL_ERROR),
        (head(&[ok(), field(":path", "/")], END), Reason::PROTOCOL_ERROR),
        (head(&[ok(), field("X-Capital", "1")], END), Reason::PROTOCOL_ERROR),
        (head(&[ok(), field("connection", "close")], END), Reason::PROTOCOL_ERROR),
        (head(&[ok(), field("x-line", "a\nb")], END), Reason::PROTOCOL_ERROR),
        (head(&[ok(), field("content-length", "many")], 0), Reason::PROTOCOL_ERROR),
        (head(&[field(":status", "100")], END), Reason::PROTOCOL_ERROR),
        (head(&[ok(), field("content-length", "3")], END), Reason::PROTOCOL_ERROR),
        ([three(), frame(DATA, END, 1, b"ab")].concat(), Reason::PROTOCOL_ERROR),
        ([three(), frame(DATA, 0, 1, b"abcd")].concat(), Reason::PROTOCOL_ERROR),
        ([head(&[ok()], 0), head(&[ok()], 0)].concat(), Reason::PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 1, &[0; 4]), Reason::PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 1, &i32::MAX.to_be_bytes()), Reason::FLOW_CONTROL_ERROR),
        (
            [frame(HEADERS, 0, 1, begun), frame(CONTINUATION, END_HEADERS, 1, continued)].concat(),
            Reason::ENHANCE_YOUR_CALM,
        ),
    ] {
        let (mut peer, link, _driver) = Peer::greet().await;
        let answer = tokio::spawn({
            let link = link.clone();
            async move { Ok::<_, LinkError>(link.request(ask("/")).await?.into_body().collect().await) }
        });
        peer.hear_of(HEADERS).await;
        peer.say_raw(&said).await;
        let reset = peer.hear_of(RST_STREAM).await;
        assert_eq!((reset.stream, &reset.payload[..]), (1, &code(reason)[..]), "{said:x?}");
        let broken = match soon(answer).await.unwrap() {
            Ok(body) => body.is_err(),
            Err(error) => matches!(error, LinkError::Interrupted(_)),
        };
        assert!(broken, "{said:x?}");

        let next = go(&link, ask("/"));
        let asked = peer.hear_of(HEADERS).await;
        peer.say(HEADERS, END_HEADERS | END, asked.stream, OK).await;
        assert_eq!(soon(next).await.unwrap().unwrap().status(), 200, "{said:x?}");
    }
}

#[tokio::test]
async fn a_peer_that_sends_more_than_it_may_loses_the_stream() {
    let settings = Settings { stream_window: 100_000, ..Settings::default() };
    let (mut peer, link, _driver) = Peer::meet(settings).await;
    peer.say(SETTINGS, 0, 0, &[]).await;
    let answer = go(&link, ask("/"));
    peer.hear_of(HEADERS).await;
    peer.say(HEADERS, END_HEADERS, 1, OK).await;
    let answer = soon(answer).await.unwrap().unwrap();
    for _ in 0..2 {
        peer.say(DATA, 0, 1, &vec![7; 50_001]).await;
    }
    let reset = peer.hear_of(RST_STREAM).await;
    assert_eq!(reset.payload, code(Reason::FLOW_CONTROL_ERROR));
    assert!(soon(answer.into_body().collect()).await.is_err(), "a cut answer looks whole");
    drop(link);
}

#[tokio::test]
async fn a_peer_takes_as_many_streams_as_it_says() {
    let (mut peer, link, _driver) = Peer::meet(Settings::default()).await;
    peer.say(SETTINGS, 0, 0, &setting(3, 2)).await;
    assert_eq!(peer.hear_of(SETTINGS).await.flags, ACK);
    let answers: Vec<_> = (0..3).map(|_| go(&link, ask("/"))).collect();
    peer.hear_of(HEADERS).await;
    peer.hear_of(HEADERS).await;
    peer.say(PING, 0, 0, b"is it so").await;
    let next = peer.hear_next().await;
    assert_eq!((next.kind, next.flags, &next.payload[..]), (PING, ACK, &b"is it so"[..]), "no third request");
    peer.say(HEADERS, END_HEADERS | END, 1, OK).await;
    assert_eq!(peer.hear_next().await.stream, 5);
    let fourth = go(&link, ask("/"));
    peer.say(SETTINGS, 0, 0, &setting(3, 3)).await;
    assert_eq!(peer.hear_of(HEADERS).await.stream, 7);
    // Fewer again: those that are open go on, and the next waits for two of them.
    peer.say(SETTINGS, 0, 0, &setting(3, 2)).await;
    let fifth = go(&link, ask("/"));
    peer.say(HEADERS, END_HEADERS | END, 3, OK).await;
    peer.say(PING, 0, 0, &[0; 8]).await;
    assert_eq!(peer.hear_next().await.kind, PING, "no fifth request");
    peer.say(HEADERS, END_HEADERS | END, 5, OK).await;
    assert_eq!(peer.hear_next().await.stream, 9);
    for waiting in [7, 9] {
        peer.say(HEADERS, END_HEADERS | END, waiting, OK).await;
    }
    for answer in answers.into_iter().chain([fourth, fifth]) {
        assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn what_the_peer_did_not_act_on_was_never_asked() {
    let (mut peer, link, driver) = Peer::greet().await;
    let refused = go(&link, ask("/refused"));
    peer.hear_of(HEADERS).await;
    peer.say(RST_STREAM, 0, 1, &7_u32.to_be_bytes()).await;
    assert!(matches!(soon(refused).await.unwrap(), Err(LinkError::Closed)));

    let kept = go(&link, ask("/kept"));
    peer.hear_of(HEADERS).await;
    let late = go(&link, ask("/late"));
    peer.hear_of(HEADERS).await;
    peer.say(GOAWAY, 0, 0, &[3_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat()).await;
    assert!(matches!(soon(late).await.unwrap(), Err(LinkError::Closed)));
    assert!(matches!(soon(link.request(ask("/"))).await, Err(LinkError::Closed)));
    assert!(link.is_closed());
    peer.say(HEADERS, END_HEADERS, 3, OK).await;
    let kept = soon(kept).await.unwrap().unwrap();
    peer.say(DATA, END, 3, b"whole").await;
    assert_eq!(text(kept).await, "whole");
    assert!(matches!(soon(driver).await.unwrap(), Closed::ByPeer));
}

#[tokio::test]
async fn a_body_waits_for_the_windows_and_keeps_to_the_size_of_frames() {
    let (mut peer, link, _driver) = Peer::meet(Settings::default()).await;
    peer.say(SETTINGS, 0, 0, &setting(4, 0)).await;
    assert_eq!(peer.hear_of(SETTINGS).await.flags, ACK);
    let answer = go(&link, upload(100_000));
    assert_eq!(peer.hear_of(HEADERS).await.flags & END, 0);
    peer.say(PING, 0, 0, &[0; 8]).await;
    assert_eq!(peer.hear_next().await.kind, PING, "no window, no body");
    // The stream may now; the connection has 65,535.
    peer.say(SETTINGS, 0, 0, &setting(4, 99_999)).await;
    let mut sizes = vec![];
    while sizes.iter().sum::<usize>() < 65_535 {
        sizes.push(peer.hear_next().await.payload.len());
    }
    assert!(sizes.iter().all(|size| *size <= 16_384), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), 65_535);
    peer.say(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes()).await;
    while sizes.iter().sum::<usize>() < 99_999 {
        sizes.push(peer.hear_next().await.payload.len());
    }
    peer.say(WINDOW_UPDATE, 0, 1, &7_u32.to_be_bytes()).await;
    let last = peer.hear_next().await;
    assert_eq!((last.kind, last.flags, last.payload.len()), (DATA, END, 1));
    peer.say(HEADERS, END_HEADERS | END, 1, OK).await;
    assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn long_headers_go_in_pieces() {
    let (mut peer, link, _driver) = Peer::greet().await;
    let request = Request::get("/").header("x-long", "x".repeat(40_000)).body(Body::empty()).unwrap();
    let answer = go(&link, request);
    let first = peer.hear_of(HEADERS).await;
    assert_eq!((first.flags, first.payload.len()), (END, 16_384));
    assert_eq!(peer.hear_next().await, {
        let payload = vec![b'x'; 16_384];
        crate::peer::Frame { kind: CONTINUATION, flags: 0, stream: 1, payload }
    });
    assert_eq!(peer.hear_next().await.flags, END_HEADERS);
    peer.say(HEADERS, END_HEADERS | END, 1, OK).await;
    soon(answer).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_comes_in_crumbs_is_kept_in_pieces() {
    let (mut peer, link, _driver) = Peer::greet().await;
    let answer = go(&link, ask("/"));
    peer.hear_of(HEADERS).await;
    peer.say(HEADERS, END_HEADERS, 1, OK).await;
    let answer = soon(answer).await.unwrap().unwrap();
    let crumbs: Vec<u8> = (0..10_000).flat_map(|_| frame(DATA, PADDED, 1, &[2, b'x', 0, 0])).collect();
    peer.say_raw(&crumbs).await;
    peer.say_raw(&frame(PING, 0, 0, b"heard it")).await;
    assert_eq!(peer.hear_of(PING).await.payload, b"heard it");
    peer.say(DATA, END, 1, b"").await;
    let pieces: Vec<_> = soon(StreamExt::collect(answer.into_body().into_data_stream())).await;
    assert_eq!(pieces.iter().map(|piece| piece.as_ref().unwrap().len()).sum::<usize>(), 10_000);
    assert!(pieces.len() < 10, "{} pieces", pieces.len());
}

#[tokio::test]
async fn an_answer_that_is_whole_stays_so_when_the_rest_of_its_request_is_not_wanted() {
    let (mut peer, link, _driver) = Peer::greet().await;
    let body = Body::from_stream(stream::repeat(Bytes::from_static(&[7; 1000])).map(Ok::<_, std::io::Error>));
    let answer = go(&link, Request::post("/").body(body).unwrap());
    peer.hear_of(HEADERS).await;
    peer.say(HEADERS, END_HEADERS, 1, OK).await;
    peer.say(DATA, END, 1, b"enough").await;
    peer.say(RST_STREAM, 0, 1, &0_u32.to_be_bytes()).await;
    assert_eq!(text(soon(answer).await.unwrap().unwrap()).await, "enough");

    // One that is not whole is not.
    let answer = go(&link, ask("/"));
    peer.hear_of(HEADERS).await;
    peer.say(HEADERS, END_HEADERS, 3, OK).await;
    peer.say(DATA, 0, 3, b"not").await;
    peer.say(RST_STREAM, 0, 3, &0_u32.to_be_bytes()).await;
    let answer = soon(answer).await.unwrap().unwrap();
    assert!(soon(answer.into_body().collect()).await.is_err());
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let (mut peer, link, _driver) = Peer::greet().await;
    let answer = go(&link, Request::head("/").body(Body::empty()).unwrap());
    peer.hear_of(HEADERS).await;
    peer.say(HEADERS, END_HEADERS | END, 1, &[0x88, 0x0f, 0x0d, 2, b'1', b'0']).await;
    let answer = soon(answer).await.unwrap().unwrap();
    assert_eq!(answer.headers()["content-length"], "10");
    assert_eq!(text(answer).await, "");
}

#[tokio::test]
async fn a_peer_that_never_listens_is_not_answered_for_ever() {
    let (near, mut far) = tokio::io::duplex(4096);
    let (_link, driver) = Link::over(near, Settings::default());
    let driver = tokio::spawn(driver);
    let pings = frame(PING, 0, 0, &[0; 8]);
    let mut said = frame(SETTINGS, 0, 0, &[]);
    let mut count = 0_usize;
    // It stops taking them when it has as much to say as it keeps.
    while timeout(Duration::from_millis(500), far.write_all(&said)).await.is_ok() {
        said = pings.repeat(100);
        count += said.len();
        assert!(count < 4 * 1024 * 1024, "{count} bytes of pings were taken in");
    }
    assert!(!driver.is_finished());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Frames that are sound and say anything: the connection stays and answers, or ends and says so.
    #[test]
    fn any_frames_are_taken_or_end_the_connection(
        frames in vec((0_u8..11, any::<u8>(), 0_u32..8, vec(any::<u8>(), 0..40)), 0..30),
        cut in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut peer, link, driver) = Peer::greet().await;
            let asked = [go(&link, ask("/a")), go(&link, upload(100_000)), go(&link, ask("/c"))];
            let mut said: Vec<u8> =
                frames.iter().flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload)).collect();
            said.truncate(cut.index(said.len() + 1).max(said.len() / 2));
            for piece in said.chunks(17) {
                peer.say_raw(piece).await;
                tokio::task::yield_now().await;
            }
            drop(peer);
            soon(driver).await.unwrap();
            for asked in asked {
                if let Ok(answer) = soon(asked).await.unwrap() {
                    let _ = soon(answer.into_body().collect()).await;
                }
            }
            assert!(link.is_closed());
        });
    }
}
