//! How a tunnel ends, and that each end knows why.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chatroom_tunnel::{Closed, Ended, LinkError, ServeError, Settings};
use futures_util::stream;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use crate::world::{Tunnel, ask, endless, impatient, soon, text};

fn ping() -> Router {
    Router::new().route("/ping", get(|| async { "pong" }))
}

#[tokio::test]
async fn a_frozen_network_is_noticed_by_both_ends() {
    let tunnel = Tunnel::through_proxy(ping(), impatient(), impatient()).await;
    assert_eq!(tunnel.text("/ping").await, "pong");
    let begun = Instant::now();
    tunnel.proxy.as_ref().unwrap().freeze();
    let in_flight = tunnel.get("/ping").await;
    assert!(matches!(in_flight, Err(LinkError::Interrupted(_))), "{in_flight:?}");
    assert!(matches!(soon(tunnel.driver).await.unwrap(), Closed::Silent));
    let served = soon(tunnel.daemon).await.unwrap();
    assert!(matches!(served, Err(ServeError::Silent)), "{served:?}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700), "nobody had that little patience: {took:?}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(matches!(tunnel.link.request(ask("/ping")).await, Err(LinkError::Closed)));
}

#[tokio::test]
async fn a_frozen_network_is_noticed_while_sending_is_stuck() {
    let router = Router::new().route("/endless", get(|| async { endless() }));
    // The server has all the patience there is: the daemon must notice alone.
    let tunnel = Tunnel::through_proxy(router, Settings::default(), impatient()).await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let mut body = tunnel.get("/endless").await.unwrap().into_body();
        readers.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
    }
    tunnel.proxy.as_ref().unwrap().freeze();
    let served = soon(tunnel.daemon).await.unwrap();
    assert!(matches!(served, Err(ServeError::Silent)), "{served:?}");
}

#[tokio::test]
async fn a_peer_that_never_takes_the_tunnel_up_is_noticed() {
    let mut server = crate::world::Server::start(impatient()).await;
    let _never_served = chatroom_tunnel::dial(&server.dial("/tunnel")).await.unwrap();
    let (_link, driver) = server.taken().await;
    assert!(matches!(soon(driver).await, Closed::Silent));
}

#[tokio::test]
async fn an_idle_tunnel_stays() {
    let tunnel = Tunnel::with(ping(), impatient(), impatient()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!tunnel.driver.is_finished());
    assert_eq!(tunnel.text("/ping").await, "pong");
}

/// What drops connections idle for a minute, in small.
#[tokio::test]
async fn an_idle_tunnel_stays_where_idle_connections_are_dropped() {
    let tunnel = Tunnel::through_impatience(ping(), impatient(), Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!tunnel.driver.is_finished());
    assert_eq!(tunnel.text("/ping").await, "pong");
}

#[test]
fn the_ordinary_settings_speak_often_enough_and_notice_soon_enough() {
    let settings = Settings::default();
    assert!(settings.keep_alive_interval * 2 < Duration::from_mins(1), "what is idle for a minute may be dropped");
    assert!(settings.patience() < Duration::from_secs(25));
}

#[tokio::test]
async fn a_cut_is_seen_at_once() {
    let router = ping().route("/forever", get(std::future::pending::<()>));
    let tunnel = Tunnel::through_proxy(router, Settings::default(), Settings::default()).await;
    assert_eq!(tunnel.text("/ping").await, "pong");
    let link = tunnel.link.clone();
    let in_flight = tokio::spawn(async move { link.request(ask("/forever")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    tunnel.proxy.as_ref().unwrap().cut();
    let closed = soon(tunnel.driver).await.unwrap();
    assert!(matches!(closed, Closed::ByPeer | Closed::Broken(_)), "{closed:?}");
    let served = soon(tunnel.daemon).await.unwrap();
    assert!(matches!(served, Ok(Ended::ByPeer) | Err(ServeError::Broken(_))), "{served:?}");
    let in_flight = soon(in_flight).await.unwrap();
    assert!(matches!(in_flight, Err(LinkError::Interrupted(_))), "{in_flight:?}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");
}

#[tokio::test]
async fn a_daemon_that_is_gone_is_seen_at_once() {
    let tunnel = Tunnel::open(ping()).await;
    tunnel.daemon.abort();
    let closed = soon(tunnel.driver).await.unwrap();
    assert!(matches!(closed, Closed::ByPeer | Closed::Broken(_)), "{closed:?}");
    assert!(tunnel.link.is_closed());
}

#[tokio::test]
async fn closing_a_link_ends_it_within_moments() {
    let router = ping().route("/forever", get(std::future::pending::<()>));
    let tunnel = Tunnel::open(router).await;
    let link = tunnel.link.clone();
    let in_flight = tokio::spawn(async move { link.request(ask("/forever")).await });
    assert_eq!(tunnel.text("/ping").await, "pong");
    let begun = Instant::now();
    tunnel.link.close();
    assert!(tunnel.link.is_closed());
    assert!(matches!(soon(tunnel.driver).await.unwrap(), Closed::Here));
    assert!(soon(in_flight).await.unwrap().is_err());
    let served = soon(tunnel.daemon).await.unwrap();
    assert!(matches!(served, Ok(Ended::ByPeer) | Err(ServeError::Broken(_))), "{served:?}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    let after = tunnel.link.request(ask("/ping")).await;
    assert!(matches!(after, Err(LinkError::Closed)), "{after:?}");
}

#[tokio::test]
async fn dropping_the_last_link_lets_its_answers_finish() {
    let tunnel = Tunnel::open(ping()).await;
    let response = tunnel.get("/ping").await.unwrap();
    drop(tunnel.link);
    assert_eq!(text(response).await, "pong");
    assert!(matches!(soon(tunnel.driver).await.unwrap(), Closed::Here));
    assert!(matches!(soon(tunnel.daemon).await.unwrap(), Ok(Ended::ByPeer)));
}

/// A daemon whose `/slow` answers what it is told, once it is told.
async fn slow(settings: Settings) -> (Tunnel, mpsc::UnboundedSender<&'static str>) {
    let (tell, told) = mpsc::unbounded_channel::<&'static str>();
    let told = std::sync::Arc::new(tokio::sync::Mutex::new(told));
    let router = ping().route(
        "/slow",
        get(move || async move {
            Body::from_stream(stream::unfold(told, |told| async {
                let word = told.lock().await.recv().await?;
                Some((Ok::<_, Infallible>(word), told))
            }))
        }),
    );
    let tunnel = Tunnel::with(router, Settings::default(), settings).await;
    (tunnel, tell)
}

#[tokio::test]
async fn a_daemon_that_shuts_down_finishes_what_is_in_flight() {
    let (tunnel, tell) = slow(Settings::default()).await;
    let mut body = tunnel.get("/slow").await.unwrap().into_body();
    tell.send("first ").unwrap();
    soon(body.frame()).await.unwrap().unwrap();
    tunnel.shutdown.cancel();
    // New requests are told, as soon as the goodbye is here.
    soon(async {
        loop {
            match tunnel.link.request(ask("/ping")).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(LinkError::Closed) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert!(tunnel.link.is_closed());
    tell.send("last").unwrap();
    drop(tell);
    let rest = soon(body.collect()).await.unwrap().to_bytes();
    assert_eq!(rest, "last");
    let served = soon(tunnel.daemon).await.unwrap();
    assert!(matches!(served, Ok(Ended::ShutDown)), "{served:?}");
    assert!(matches!(soon(tunnel.driver).await.unwrap(), Closed::ByPeer));
}

#[tokio::test]
async fn a_daemon_that_shuts_down_does_not_wait_for_ever() {
    let settings = Settings { drain: Duration::from_millis(300), ..Settings::default() };
    let (tunnel, _tell) = slow(settings).await;
    let body = tunnel.get("/slow").await.unwrap().into_body();
    tunnel.shutdown.cancel();
    let served = soon(tunnel.daemon).await.unwrap();
    assert!(matches!(served, Ok(Ended::ShutDown)), "{served:?}");
    assert!(soon(body.collect()).await.is_err(), "a cut answer looks whole");
    assert!(matches!(soon(tunnel.driver).await.unwrap(), Closed::ByPeer));
}
