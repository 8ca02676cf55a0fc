//! Requests nobody waits for any more.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use chatroom_tunnel::Settings;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::world::{Tunnel, ask, soon, until};

/// Counts when it goes.
struct Gone(Arc<AtomicUsize>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn cancelling_a_request_ends_only_that_one() {
    let (begun, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begins, goes) = (begun.clone(), gone.clone());
    let router = Router::new()
        .route(
            "/forever",
            get(|| async move {
                begins.fetch_add(1, Ordering::SeqCst);
                let _gone = Gone(goes);
                std::future::pending::<()>().await;
            }),
        )
        .route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::open(router).await;

    let many: Vec<_> = (0..300)
        .map(|_| {
            let link = tunnel.link.clone();
            tokio::spawn(async move { link.request(ask("/forever")).await })
        })
        .collect();
    until(|| begun.load(Ordering::SeqCst) == 300).await;
    for one in &many {
        one.abort();
    }
    until(|| gone.load(Ordering::SeqCst) == 300).await;
    assert_eq!(tunnel.text("/ping").await, "pong");
    assert!(!tunnel.driver.is_finished());
}

#[tokio::test]
async fn dropping_an_answer_half_read_ends_only_that_one() {
    let gone = Arc::new(AtomicUsize::new(0));
    let goes = gone.clone();
    let router = Router::new()
        .route(
            "/endless",
            get(|| async move {
                let held = Gone(goes);
                let chunk = Bytes::from(vec![7; 64 * 1024]);
                Body::from_stream(stream::repeat(()).map(move |()| {
                    let _held = &held;
                    Ok::<_, Infallible>(chunk.clone())
                }))
            }),
        )
        .route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::open(router).await;
    let other = tunnel.get("/endless").await.unwrap();
    for _ in 0..100 {
        let mut body = soon(tunnel.link.request(ask("/endless"))).await.unwrap().into_body();
        soon(body.frame()).await.unwrap().unwrap();
    }
    until(|| gone.load(Ordering::SeqCst) == 100).await;
    assert_eq!(tunnel.text("/ping").await, "pong");
    let mut other = other.into_body();
    for _ in 0..100 {
        soon(other.frame()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_burst_of_requests_cancelled_on_the_way_ends_only_them() {
    let router = Router::new().route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::through_proxy(router, Settings::default(), Settings::default()).await;
    assert_eq!(tunnel.text("/ping").await, "pong");
    let proxy = tunnel.proxy.as_ref().unwrap();
    proxy.freeze();
    let mut burst = JoinSet::new();
    for _ in 0..300 {
        let link = tunnel.link.clone();
        burst.spawn(async move { link.request(ask("/ping")).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    burst.shutdown().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The daemon meets requests and cancellations in one breath.
    proxy.thaw();
    assert_eq!(tunnel.text("/ping").await, "pong");
}

#[tokio::test]
async fn what_still_arrives_of_cancelled_answers_does_no_harm() {
    let router = Router::new()
        .route(
            "/crumbs",
            get(|| async {
                let crumb = Bytes::from(vec![7; 256]);
                Body::from_stream(stream::repeat(crumb).map(Ok::<_, Infallible>))
            }),
        )
        .route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::through_proxy(router, Settings::default(), Settings::default()).await;
    let proxy = tunnel.proxy.as_ref().unwrap();
    let mut readers = JoinSet::new();
    for _ in 0..20 {
        let mut body = tunnel.get("/crumbs").await.unwrap().into_body();
        readers.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.freeze();
    tokio::time::sleep(Duration::from_millis(200)).await;
    readers.shutdown().await;
    // By now this end has forgotten that these streams were.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    proxy.thaw();
    for _ in 0..20 {
        assert_eq!(tunnel.text("/ping").await, "pong");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
