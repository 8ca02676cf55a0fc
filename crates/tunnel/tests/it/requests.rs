//! Requests and their answers.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::routing::{any, get, post};
use chatroom_tunnel::for_peer;
use http::StatusCode;

use crate::world::{Tunnel, soon, text};

#[tokio::test]
async fn a_request_and_its_answer_cross_the_tunnel() {
    let router = Router::new().route(
        "/echo",
        post(|headers: HeaderMap, body: String| async move {
            let token = headers["authorization"].to_str().unwrap().to_owned();
            (StatusCode::CREATED, [("x-token", token)], body)
        }),
    );
    let tunnel = Tunnel::open(router).await;
    let request = Request::post("/echo?x=1").header("authorization", "Bearer crp_x").body(Body::from("hello")).unwrap();
    let response = soon(tunnel.link.request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["x-token"], "Bearer crp_x");
    assert_eq!(text(response).await, "hello");
    assert_eq!(tunnel.get("/nothing").await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_callers_request_is_forwarded_without_what_is_only_ours() {
    let router = Router::new().route(
        "/seen/{*rest}",
        any(|request: Request| async move {
            let mut names: Vec<_> = request.headers().keys().map(ToString::to_string).collect();
            names.sort();
            format!("{} {}", request.uri().path(), names.join(" "))
        }),
    );
    let tunnel = Tunnel::open(router).await;
    let request = Request::get("http://server.example/api/instances/i/machine/seen/a")
        .header("host", "server.example")
        .header("connection", "keep-alive")
        .header("authorization", "Bearer crs_x")
        .header("cookie", "chatroom_session=crs_x")
        .header("accept", "*/*")
        .body(Body::empty())
        .unwrap();
    let request = for_peer(request, "/seen/a").unwrap();
    let response = soon(tunnel.link.request(request)).await.unwrap();
    assert_eq!(text(response).await, "/seen/a accept");
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_all_answered() {
    let router = Router::new().route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::open(router).await;
    let requests = (0..2000).map(|_| tunnel.text("/ping"));
    let answers = soon(futures_util::future::join_all(requests)).await;
    assert!(answers.iter().all(|answer| answer == "pong"));
}

#[tokio::test]
async fn a_handler_that_panics_breaks_only_its_request() {
    let router = Router::new()
        .route("/panic", get(|body: String| async move { assert!(!body.is_empty(), "on purpose") }))
        .route("/ping", get(|| async { "pong" }));
    let tunnel = Tunnel::open(router).await;
    assert!(tunnel.get("/panic").await.is_err());
    assert_eq!(tunnel.text("/ping").await, "pong");
}
