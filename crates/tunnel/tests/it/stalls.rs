//! Readers that stall, and those beside them.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};

use crate::world::{Tunnel, endless, soon, text};

#[tokio::test]
async fn sixty_four_stalled_downloads_do_not_delay_a_small_request() {
    let router = Router::new()
        .route("/endless", get(|| async { endless() }))
        .route("/small", get(|| async { "s".repeat(10_000) }));
    let tunnel = Tunnel::open(router).await;
    let mut stalled = vec![];
    for _ in 0..64 {
        stalled.push(tunnel.get("/endless").await.unwrap());
    }
    // Asked again until every window must be full.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begun = Instant::now();
        assert_eq!(tunnel.text("/small").await.len(), 10_000);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "it took {took:?}");
    }
    drop(stalled);
}

#[tokio::test]
async fn sixty_four_stalled_uploads_do_not_delay_a_small_one() {
    let router = Router::new()
        .route(
            "/stall",
            post(|request: Request| async move {
                let _unread = request;
                std::future::pending::<()>().await;
            }),
        )
        .route("/small", post(|body: String| async { body }));
    let tunnel = Tunnel::open(router).await;
    let mut stalled = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let link = tunnel.link.clone();
        stalled.spawn(async move {
            let request = Request::post("/stall").body(endless()).unwrap();
            let _ = link.request(request).await;
        });
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begun = Instant::now();
        let request = Request::post("/small").body(Body::from("s".repeat(10_000))).unwrap();
        let answer = soon(tunnel.link.request(request)).await.unwrap();
        assert_eq!(text(answer).await.len(), 10_000);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "it took {took:?}");
    }
}
