//! What every route has in common, and how the server starts and stops.

use std::time::{Duration, Instant};

use chatroom_protocol::Timestamp;
use chatroom_server::config::{Config, Flags, Purpose};
use chatroom_server::serve::{Server, StartError};
use chatroom_store::StoreError;
use chatroom_testkit::world::World;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let big = json!({ "name": "x".repeat(1024 * 1024), "roles": ["a"] });
    let text = alice.request(Method::POST, "/api/chatrooms").header("content-type", "text/plain").body("{}");
    let cut = alice.request(Method::POST, "/api/chatrooms").header("content-type", "application/json").body("{");
    for (answer, status, code) in [
        (alice.get("/api/nothing").await, 404, "not_found"),
        (alice.get("/nothing").await, 404, "not_found"),
        (alice.delete("/api/chatrooms").await, 405, "invalid_request"),
        (alice.get("/api/chatrooms/nonsense").await, 400, "invalid_request"),
        (alice.get("/api/events?limit=many").await, 400, "invalid_request"),
        (alice.post("/api/chatrooms", big).await, 413, "too_large"),
        (alice.send(text).await, 400, "invalid_request"),
        (alice.send(cut).await, 400, "invalid_request"),
        (world.anonymous().get("/api/chatrooms").await, 401, "not_signed_in"),
    ] {
        assert_eq!((answer.status, answer.text("code")), (status, code), "{}", answer.raw);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.body["requestId"], answer.header("x-request-id"), "the log knows it by this id");
        assert_eq!(answer.body["status"], status);
    }
    assert!(alice.delete("/api/chatrooms").await.header("allow").contains("POST"), "it says what it takes");
    let page = alice.request(Method::GET, "/nothing").header("accept", "text/html");
    let page = alice.send(page).await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with_if_it_is_one() {
    let world = World::start().await;
    let nobody = world.anonymous();
    for (given, kept) in [("abcd-1234_x", true), ("short", false), ("has space in it", false)] {
        let answer = nobody.send(nobody.request(Method::GET, "/healthz").header("x-request-id", given)).await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
    }
}

#[tokio::test]
async fn health_and_metrics_are_there_for_operators() {
    let flags = Flags { trusted_proxy: Some("127.0.0.1".into()), ..Flags::default() };
    let world = World::start_with(flags).await;
    let nobody = world.anonymous();
    assert_eq!(nobody.get("/healthz").await.raw, "ok\n");
    assert_eq!(nobody.get("/readyz").await.raw, "ready\n");
    nobody.get("/api/chatrooms/room_01HF7YAT000000000000000007").await;
    let metrics = nobody.get("/metrics").await;
    for line in [
        "chatroom_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1",
        "chatroom_http_requests_total{method=\"GET\",route=\"/api/chatrooms/{chatroomId}\",status=\"401\"} 1",
        "chatroom_http_request_seconds_bucket{method=\"GET\",route=\"/readyz\",status=\"200\",le=\"+Inf\"} 1",
        "chatroom_tunnels_open 0",
        "# TYPE chatroom_descriptors_open gauge",
    ] {
        assert!(metrics.raw.contains(line), "{line} is not in\n{}", metrics.raw);
    }
    let outside = nobody.request(Method::GET, "/metrics").header("x-forwarded-for", "203.0.113.7");
    assert_eq!(nobody.send(outside).await.status, 404);
}

#[tokio::test]
async fn metrics_are_read_from_elsewhere_with_the_token_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    std::fs::write(&file, "metrics_token = \"0123456789abcdef\"").unwrap();
    let world = World::start_with(Flags { config: Some(file), ..Flags::default() }).await;
    let nobody = world.anonymous();
    for (token, status) in [("0123456789abcdef", 200), ("0123456789abcdee", 404)] {
        let outside = nobody.with_token(token).request(Method::GET, "/metrics");
        let answer = nobody.send(outside.header("x-forwarded-for", "203.0.113.7")).await;
        assert_eq!(answer.status, status, "{token}");
    }
}

#[tokio::test]
async fn it_speaks_tls_and_http_2_with_a_certificate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let flags = Flags { tls_cert: Some(cert.clone()), tls_key: Some(key), ..Flags::default() };
    let world = World::start_with(flags.clone()).await;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()])
        .no_proxy()
        .build()
        .unwrap();
    let url = world.app().config.public_url.to_string();
    assert!(url.starts_with("https://localhost:"), "{url}");
    let answer = client.get(format!("{url}/healthz")).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    let body = json!({ "device": "laptop", "version": "0.1.0" });
    for (origin, status) in [(url.as_str(), 200), ("http://localhost", 403)] {
        let request = client.post(format!("{url}/api/auth/device")).header("origin", origin).json(&body);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{origin}");
    }

    let swapped = Flags {
        tls_cert: flags.tls_key,
        tls_key: Some(cert),
        data_dir: Some(folder.path().into()),
        ..Flags::default()
    };
    let refused = Server::start(Config::load(Purpose::Server, swapped, []).unwrap()).await.err().unwrap();
    assert!(refused.to_string().starts_with("cannot speak TLS with "), "{refused}");
}

#[tokio::test]
async fn the_description_and_its_page_need_nothing_from_elsewhere() {
    let world = World::start().await;
    let nobody = world.anonymous();
    let description = nobody.get("/api/openapi.json").await;
    assert_eq!(description.body["info"]["title"], "chatroom");
    let printed = chatroom_server::http::description().to_pretty_json().unwrap();
    assert_eq!(description.raw, printed, "the printed one is the served one");
    let docs = nobody.get("/api/docs").await;
    assert!(docs.raw.contains("<code>POST /api/auth/device</code>"));
    assert!(docs.raw.contains("id=\"body-Problem\""));
    assert!(!docs.raw.contains("<script") && !docs.raw.contains("src="), "no script");
    for link in docs.raw.split("href=\"").skip(1) {
        assert!(link.starts_with('/') || link.starts_with('#'), "{}", &link[..40]);
    }
}

#[tokio::test]
async fn one_server_per_database() {
    let world = World::start().await;
    let flags = Flags { port: Some(0), ..world.flags().clone() };
    let second = Server::start(Config::load(Purpose::Server, flags, []).unwrap()).await;
    assert!(matches!(second.err(), Some(StartError::Store(StoreError::InUse(_)))));
    assert_eq!(world.anonymous().get("/readyz").await.status, 200, "the first goes on");
}

#[tokio::test]
async fn a_taken_address_names_the_flag() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let flags = Flags {
        port: Some(world.running().addr.port()),
        data_dir: Some(folder.path().join("data")),
        ..Flags::default()
    };
    let refused = Server::start(Config::load(Purpose::Server, flags, []).unwrap()).await.err().unwrap().to_string();
    assert!(refused.starts_with("cannot listen on 127.0.0.1:"), "{refused}");
    assert!(refused.ends_with("choose another with --port or --listen"), "{refused}");
}

#[tokio::test]
async fn what_was_there_is_there_after_a_restart() {
    let mut world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    world.restart().await;
    assert_eq!(alice.get(&room).await.status, 200);
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_is_made_for_its_owner_alone_and_a_bad_one_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::start().await;
    let key = world.data_dir().join("secret.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&key).unwrap();
    let mut world = world;
    world.restart().await;
    assert_eq!(std::fs::read_to_string(&key).unwrap(), first, "made once");

    let folder = tempfile::tempdir().unwrap();
    for bad in ["k1:c2hvcnQ=", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        let flags = Flags { data_dir: Some(folder.path().to_owned()), port: Some(0), ..Flags::default() };
        let env = [("CHATROOM_SECRET_KEYS".to_owned(), bad.to_owned())];
        let refused = Server::start(Config::load(Purpose::Server, flags, env).unwrap()).await;
        let said = refused.err().unwrap().to_string();
        assert!(said.starts_with("CHATROOM_SECRET_KEYS: key 1 is") && !said.contains(bad), "{said}");
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let machine = uuid::Uuid::new_v4();
    let connection = uuid::Uuid::new_v4().simple().to_string();
    let join = json!({ "connectionId": connection, "machineId": machine });
    assert_eq!(alice.post(&format!("{room}/roles/builder/join"), join).await.status, 200);
    let joined_at = seen_at(&world, &room).await;
    world.clock().advance(1000);
    let wait = {
        let (alice, room) = (alice.clone(), room.clone());
        tokio::spawn(async move {
            alice.post(&format!("{room}/roles/builder/wait"), json!({ "connectionId": connection })).await
        })
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while seen_at(&world, &room).await == joined_at {
        assert!(Instant::now() < deadline, "the wait never began");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    world.stop().await;
    let answer = wait.await.unwrap();
    assert_snapshot!(answer.snapshot(), @r#"
    200
    {
      "event": "reconnect"
    }
    "#);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Returns when the waiter of a room was last heard of.
async fn seen_at(world: &World, room: &str) -> Option<Timestamp> {
    let room = room.rsplit('/').next().unwrap_or_default().parse().unwrap();
    let role = "builder".parse().unwrap();
    let waiter = chatroom_store::waiters::find(&world.app().reader(), room, &role).await.unwrap();
    waiter.map(|waiter| waiter.seen_at)
}
