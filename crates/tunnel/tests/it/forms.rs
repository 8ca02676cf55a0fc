//! What stands between and passes on only some things.

use axum::Router;
use axum::routing::get;
use chatroom_tunnel::{Dial, DialError, Form, Settings, dial};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::picky::{Manners, Picky};
use crate::world::{Server, ask, refusal, soon, spawn_daemon, text};

/// A server behind something picky, and how to dial it.
async fn behind(manners: Manners) -> (Server, Picky, Dial) {
    let server = Server::start(Settings::default()).await;
    let picky = Picky::start(server.address, manners).await;
    let mut target = server.dial("/tunnel");
    target.url.set_port(Some(picky.address.port())).unwrap();
    (server, picky, target)
}

#[tokio::test]
async fn a_tunnel_comes_up_where_only_websockets_get_through() {
    for manners in [Manners::Refuses, Manners::Strips, Manners::HangsUp] {
        let (mut server, _picky, target) = behind(manners).await;
        let conn = soon(dial(&target)).await.unwrap();
        assert_eq!(conn.form(), Form::WebSocket, "{manners:?}");
        let (link, driver) = server.taken().await;
        tokio::spawn(driver);
        let router = Router::new().route("/ping", get(|| async { "pong" }));
        let _daemon = spawn_daemon(conn, router, &CancellationToken::new());
        let answer = soon(link.request(ask("/ping"))).await.unwrap();
        assert_eq!(text(answer).await, "pong");
    }
}

#[tokio::test]
async fn the_form_that_worked_is_tried_first_the_next_time() {
    let (mut server, picky, target) = behind(Manners::Refuses).await;
    let first = soon(dial(&target)).await.unwrap();
    assert_eq!(picky.asked(), 2);
    let _taken = server.taken().await;
    let again = Dial { form: first.form(), ..target };
    let _second = soon(dial(&again)).await.unwrap();
    assert_eq!(picky.asked(), 3);
}

#[tokio::test]
async fn the_servers_own_no_is_final() {
    let (_server, picky, mut target) = behind(Manners::Passes).await;
    target.url.set_path("/problem");
    match refusal(&target).await {
        DialError::Refused { status, .. } => assert_eq!(status, StatusCode::CONFLICT),
        other => panic!("{other:?}"),
    }
    assert_eq!(picky.asked(), 1);
}

#[tokio::test]
async fn who_passes_nothing_is_told_by_its_first_answer() {
    let (_server, _picky, target) = behind(Manners::RefusesAll).await;
    match refusal(&target).await {
        DialError::Refused { status, .. } => assert_eq!(status, StatusCode::BAD_GATEWAY),
        other => panic!("{other:?}"),
    }
}
