//! Bodies that stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};

use crate::world::{Tunnel, soon, text};

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1024;
/// Windows, send buffers and what the kernel holds, with room to spare.
const IN_FLIGHT: usize = 16 * 1024 * 1024;

/// Sixty-four mebibytes, counted as they are made.
fn big(made: Arc<AtomicUsize>) -> Body {
    let chunk = Bytes::from(vec![7; CHUNK]);
    Body::from_stream(stream::iter(0..CHUNKS).map(move |_| {
        made.fetch_add(CHUNK, Ordering::SeqCst);
        Ok::<_, Infallible>(chunk.clone())
    }))
}

async fn length(body: Body) -> usize {
    body.into_data_stream().fold(0, |sum, chunk| async move { sum + chunk.unwrap().len() }).await
}

/// Waits until a counter stands still, and returns where.
async fn settled(counter: &AtomicUsize) -> usize {
    let mut last = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let now = counter.load(Ordering::SeqCst);
        if now > 0 && now == last {
            return now;
        }
        last = now;
    }
}

#[tokio::test]
async fn a_slow_stream_arrives_as_it_is_written() {
    let (events, lines) = mpsc::unbounded_channel::<String>();
    let lines = Arc::new(std::sync::Mutex::new(Some(lines)));
    let router = Router::new().route(
        "/events",
        get(move || async move {
            let lines = lines.lock().unwrap().take().unwrap();
            Body::from_stream(stream::unfold(lines, |mut lines| async {
                let line = lines.recv().await?;
                Some((Ok::<_, Infallible>(line), lines))
            }))
        }),
    );
    let tunnel = Tunnel::open(router).await;
    let mut body = tunnel.get("/events").await.unwrap().into_body();
    for n in 0..5 {
        events.send(format!("data: {n}\n\n")).unwrap();
        let frame = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), format!("data: {n}\n\n"));
    }
    drop(events);
    let rest = soon(body.collect()).await.unwrap().to_bytes();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_request_body_is_read_while_it_is_written() {
    let (told, hears) = mpsc::unbounded_channel();
    let router = Router::new().route(
        "/listen",
        post(|request: Request| async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(chunk)) = body.next().await {
                told.send(chunk).unwrap();
            }
            "heard"
        }),
    );
    let mut hears: mpsc::UnboundedReceiver<Bytes> = hears;
    let tunnel = Tunnel::open(router).await;
    let (say, said) = mpsc::unbounded_channel::<String>();
    let body = Body::from_stream(stream::unfold(said, |mut said| async {
        Some((Ok::<_, Infallible>(said.recv().await?), said))
    }));
    let link = tunnel.link.clone();
    let request = Request::post("/listen").body(body).unwrap();
    let answer = tokio::spawn(async move { link.request(request).await });
    for word in ["one", "two"] {
        say.send(word.to_owned()).unwrap();
        assert_eq!(soon(hears.recv()).await.unwrap(), word);
    }
    drop(say);
    assert_eq!(text(answer.await.unwrap().unwrap()).await, "heard");
}

#[tokio::test]
async fn a_big_download_waits_for_its_reader() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let router = Router::new().route("/big", get(|| async move { big(counter) }));
    let tunnel = Tunnel::open(router).await;
    let response = tunnel.get("/big").await.unwrap();
    let ahead = settled(&made).await;
    assert!(ahead < IN_FLIGHT, "{ahead} bytes were made unread");
    assert_eq!(soon(length(response.into_body())).await, CHUNK * CHUNKS);
}

#[tokio::test]
async fn a_big_upload_waits_for_its_reader() {
    let (go, gone) = oneshot::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(Some(gone)));
    let router = Router::new().route(
        "/big",
        post(|request: Request| async move {
            let gate = gate.lock().unwrap().take().unwrap();
            gate.await.unwrap();
            length(request.into_body()).await.to_string()
        }),
    );
    let tunnel = Tunnel::open(router).await;
    let made = Arc::new(AtomicUsize::new(0));
    let request = Request::post("/big").body(big(made.clone())).unwrap();
    let link = tunnel.link.clone();
    let answer = tokio::spawn(async move { link.request(request).await.unwrap() });
    let ahead = settled(&made).await;
    assert!(ahead < IN_FLIGHT, "{ahead} bytes were made unread");
    go.send(()).unwrap();
    let answer = text(soon(answer).await.unwrap()).await;
    assert_eq!(answer, (CHUNK * CHUNKS).to_string());
}
