//! Who may ask the daemon.

use chatroom_daemon::local_api::ROUTES;
use chatroom_daemon::status::{self, PidFile};
use chatroom_protocol::{ErrorCode, PROTOCOL_VERSION, Problem, RunId, Timestamp};
use http::StatusCode;

use crate::world::{CRM, CRP, CRR, World, until};

async fn port(world: &World) -> u16 {
    until("the local port", async || PidFile::load(&world.home)).await.port
}

#[tokio::test]
async fn every_route_but_liveness_demands_the_platform_s_credential() {
    let world = World::new().await;
    let daemon = world.daemon();
    let port = port(&world).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let run = RunId::from_parts(Timestamp(1), 1).to_string();
    let wrong = format!("{}2", &CRP[..CRP.len() - 1]);
    let routes = ROUTES.iter().copied().chain([("GET", "/"), ("DELETE", "/commands"), ("GET", "/no/such/route")]);
    for (method, path) in routes {
        let path = path.replace("{run}", &run).replace("{permission}", "perm_x");
        let url = format!("http://127.0.0.1:{port}{path}");
        let request = || client.request(method.parse().unwrap(), &url);
        for credential in [None, Some(""), Some(CRM), Some(CRR), Some(wrong.as_str())] {
            let request = match credential {
                Some(credential) => request().bearer_auth(credential),
                None => request(),
            };
            let answer = request.send().await.unwrap();
            if path == "/platform/live" {
                assert_eq!(answer.status(), StatusCode::NO_CONTENT);
                continue;
            }
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path} {credential:?}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert_eq!(answer.json::<Problem>().await.unwrap().code, ErrorCode::NotSignedIn);
        }
        let answer = request().bearer_auth(CRP).send().await.unwrap();
        assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        if !answer.status().is_success() {
            answer.json::<Problem>().await.unwrap();
        }
    }
    daemon.stop().await;
    assert!(client.get(format!("http://127.0.0.1:{port}/platform/live")).send().await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_page_of_somewhere_else_is_refused_on_the_local_port() {
    let world = World::new().await;
    let daemon = world.daemon();
    let port = port(&world).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let own = format!("http://127.0.0.1:{port}");
    let named = format!("localhost:{port}");
    for (host, origin, expected) in [
        (None, None, StatusCode::OK),
        (Some(named.as_str()), None, StatusCode::OK),
        (None, Some(own.as_str()), StatusCode::OK),
        (Some("evil.example"), None, StatusCode::MISDIRECTED_REQUEST),
        (Some("localhost.evil.example"), None, StatusCode::MISDIRECTED_REQUEST),
        (Some("127.0.0.1.evil.example:80"), None, StatusCode::MISDIRECTED_REQUEST),
        (None, Some("https://evil.example"), StatusCode::FORBIDDEN),
        (None, Some("null"), StatusCode::FORBIDDEN),
        (None, Some("http://127.0.0.1:1"), StatusCode::FORBIDDEN),
    ] {
        let mut request = client.get(format!("{own}/agents")).bearer_auth(CRP);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{host:?} {origin:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn the_server_pings_and_the_person_asks_for_the_status() {
    let world = World::new().await;
    assert!(status::query(&world.home).await.is_none());
    let daemon = world.daemon();
    let ping = serde_json::json!({ "protocolVersion": PROTOCOL_VERSION, "serverVersion": "9.9.9" });
    let (code, body) = world.server.ask("POST", "/platform/ping", Some(ping.to_string())).await;
    assert_eq!(code, StatusCode::OK);
    let told: chatroom_protocol::api::daemon::Pong = serde_json::from_str(&body).unwrap();
    assert_eq!((told.protocol_version, told.epoch), (PROTOCOL_VERSION, 1));
    let run = world.started().await;
    let told = status::query(&world.home).await.unwrap();
    assert!(told.connected && told.last_error.is_none());
    assert_eq!(told.pid, std::process::id());
    assert_eq!(told.agents[0].run_id, run);
    world.server.refuse(Some((StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn)));
    world.server.cut();
    until("the trouble is told", async || {
        let status = status::query(&world.home).await?;
        status.last_error.filter(|why| !status.connected && why.contains("chatroom machine add"))
    })
    .await;
    let bad = world.server.ask("POST", "/commands", Some("{".to_owned()));
    world.server.refuse(None);
    let (code, problem) = bad.await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert_eq!(serde_json::from_str::<Problem>(&problem).unwrap().code, ErrorCode::InvalidRequest);
    daemon.stop().await;
    assert!(status::query(&world.home).await.is_none());
}
