//! Proxies that open ways by `CONNECT`.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use chatroom_tunnel::{Dial, DialError, Proxies, Settings, dial};
use tokio_util::sync::CancellationToken;

use crate::connect_proxy::{ConnectProxy, Rules};
use crate::dialling::certificates;
use crate::world::{Server, ask, refusal, soon, spawn_daemon, text};

/// Dials a name that only the proxy can reach.
fn through(proxy: &ConnectProxy, login: &str, scheme: &str) -> Dial {
    let address = format!("http://{login}{}", proxy.address);
    let url = format!("{scheme}://server.example:4180/tunnel").parse().unwrap();
    let proxies = Proxies::read(move |name| (name == "ALL_PROXY").then(|| address.clone()));
    Dial { proxies: Arc::new(proxies), ..Dial::new(url) }
}

#[tokio::test]
async fn a_tunnel_goes_through_a_proxy_with_a_login() {
    let mut server = Server::start(Settings::default()).await;
    let rules = Rules { login: Some("Basic dXNlcjpzZWNyZXQ="), ..Rules::default() };
    let proxy = ConnectProxy::start(server.address, rules).await;
    let conn = soon(dial(&through(&proxy, "user:secret@", "http"))).await.unwrap();
    let (link, driver) = server.taken().await;
    tokio::spawn(driver);
    let router = Router::new().route("/ping", get(|| async { "pong" }));
    let _daemon = spawn_daemon(conn, router, &CancellationToken::new());
    let answer = soon(link.request(ask("/ping"))).await.unwrap();
    assert_eq!(text(answer).await, "pong");
    assert_eq!(proxy.asked(), ["CONNECT server.example:4180 HTTP/1.1"]);
}

#[tokio::test]
async fn tls_is_spoken_with_the_server_and_not_with_the_proxy() {
    let (tls, trusting) = certificates();
    let server = Server::with_tls(Settings::default(), Some(tls)).await;
    let proxy = ConnectProxy::start(server.address, Rules::default()).await;
    let target = Dial { tls: Some(trusting), ..through(&proxy, "", "https") };
    assert!(soon(dial(&target)).await.is_ok());
    assert_eq!(proxy.asked(), ["CONNECT server.example:4180 HTTP/1.1"]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let server = Server::start(Settings::default()).await;
    let wants = Rules { login: Some("Basic b3RoZXI6b3RoZXI="), ..Rules::default() };
    let broken = Rules { refusal: Some("502 Bad Gateway"), ..Rules::default() };
    for (rules, login, expected) in [
        (wants, "", "it wants a user and a password (status 407)"),
        (wants, "user:secret@", "it refuses the user and password in its address (status 407)"),
        (broken, "user:secret@", "it answered 502 Bad Gateway when asked for server.example:4180"),
    ] {
        let proxy = ConnectProxy::start(server.address, rules).await;
        let error = refusal(&through(&proxy, login, "http")).await;
        assert!(matches!(error, DialError::Proxy { .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains(&format!("http://{}", proxy.address)) && words.contains(expected), "{words}");
        assert!(!words.contains("secret"), "{words}");
        assert_eq!(proxy.asked().len(), 1, "asking in another form changes nothing");
    }
    let gone = ConnectProxy::start(server.address, Rules::default()).await;
    let target = through(&gone, "", "http");
    drop(gone);
    let words = refusal(&target).await.to_string();
    assert!(words.contains("does not let this through"), "{words}");
}
