//! Which hosts the server answers for, and which pages may make it act.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use chatroom_server::config::Flags;
use chatroom_testkit::world::World;
use reqwest::Method;
use serde_json::json;

/// Sends a head as written and returns the status.
async fn raw(world: &World, head: String) -> u16 {
    let address = world.running().addr;
    let read = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(head.replace('\n', "\r\n").as_bytes()).unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap();
        String::from_utf8_lossy(&begin).into_owned()
    });
    read.await.unwrap()[9..].parse().unwrap()
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_told_so_on_every_route() {
    let flags = Flags { public_url: Some("https://chat.example.org".into()), ..Flags::default() };
    let world = World::start_with(flags).await;
    let port = world.running().addr.port();
    for (host, status) in [
        ("chat.example.org".to_owned(), 200),
        ("CHAT.example.org:443".to_owned(), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("chatroom.localhost:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("127.0.0.1".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        (format!("localhost.evil.example:{port}"), 421),
        (format!("localhost:{port}@evil.example"), 421),
        ("localhost:1".to_owned(), 421),
        (String::new(), 421),
    ] {
        for path in ["/healthz", "/", "/api/openapi.json"] {
            let head = format!("GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n\n");
            assert_eq!(raw(&world, head).await, status, "{host} {path}");
        }
    }
    let head = format!("GET http://evil.example/ HTTP/1.1\nHost: localhost:{port}\nConnection: close\n\n");
    assert_eq!(raw(&world, head).await, 421);
    let refused = world.anonymous().request(Method::GET, "/api/nothing").header("host", "evil.example");
    let refused = world.anonymous().send(refused).await;
    assert_eq!((refused.status, refused.text("code")), (421, "unknown_host"));
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_act_listen_or_upgrade() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let port = world.running().addr.port();
    let own = world.url();
    let other_port = format!("http://127.0.0.1:{}", port.wrapping_add(1));
    let foreign =
        ["http://evil.example", "null", other_port.as_str(), &format!("https://127.0.0.1:{port}"), "http://127.0.0.1"];
    let body = json!({ "name": "x", "roles": ["a"] });
    let nobody = world.anonymous();
    let cookie = |method: Method, path: &str| nobody.request(method, path).header("cookie", &alice.cookie);

    for origin in foreign {
        let acts = cookie(Method::POST, "/api/chatrooms").header("origin", origin).json(&body);
        let listens = cookie(Method::GET, "/api/events").header("accept", "text/event-stream").header("origin", origin);
        let upgrades = cookie(Method::GET, "/api/tunnel")
            .header("connection", "upgrade")
            .header("upgrade", "chatroom-tunnel/1")
            .header("origin", origin);
        let signs_in = nobody.request(Method::POST, "/api/auth/sign-in").header("origin", origin);
        let signs_in = signs_in.json(&json!({ "email": "alice@example.org", "password": "x" }));
        let with_bearer = alice.request(Method::POST, "/api/chatrooms").header("origin", origin).json(&body);
        for request in [acts, listens, upgrades, signs_in, with_bearer] {
            let refused = nobody.send(request).await;
            assert_eq!((refused.status, refused.text("code")), (403, "foreign_origin"), "{origin}");
        }
    }
    for site in ["cross-site", "same-site"] {
        let acts = cookie(Method::POST, "/api/chatrooms").header("sec-fetch-site", site).json(&body);
        let listens =
            cookie(Method::GET, "/api/events").header("accept", "text/event-stream").header("sec-fetch-site", site);
        for request in [acts, listens] {
            assert_eq!(nobody.send(request).await.text("code"), "foreign_origin", "{site}");
        }
    }
    let bare = cookie(Method::POST, "/api/chatrooms").json(&body);
    assert_eq!(nobody.send(bare).await.text("code"), "foreign_origin", "a cookie needs to show where it comes from");

    let from_page = cookie(Method::POST, "/api/chatrooms").header("origin", &own).json(&body);
    assert_eq!(nobody.send(from_page).await.status, 201);
    let fetched = cookie(Method::POST, "/api/chatrooms").header("sec-fetch-site", "same-origin").json(&body);
    assert_eq!(nobody.send(fetched).await.status, 201);
    assert_eq!(alice.post("/api/chatrooms", body).await.status, 201, "a program has no origin");
}

#[tokio::test]
async fn no_page_elsewhere_is_ever_let_to_read() {
    let world = World::start().await;
    let nobody = world.anonymous();
    for method in [Method::GET, Method::OPTIONS] {
        let asked = nobody
            .request(method, "/api/openapi.json")
            .header("origin", "http://evil.example")
            .header("access-control-request-method", "POST");
        let answer = nobody.send(asked).await;
        let cors: Vec<_> = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
        assert!(cors.is_empty(), "{cors:?}");
    }
    for path in ["/sign-in?code=x", "/api/nothing", "/style.css"] {
        let answer = nobody.get(path).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("strict-transport-security"), "");
    }
    assert_eq!(nobody.get("/api/nothing").await.header("referrer-policy"), "no-referrer");
    let flags = Flags { public_url: Some("https://chat.example.org".into()), ..Flags::default() };
    let behind_tls = World::start_with(flags).await;
    assert_eq!(behind_tls.anonymous().get("/").await.header("strict-transport-security"), "max-age=31536000");
    let secret = behind_tls.running().sign_up_secret().await.unwrap();
    let body = json!({ "email": "a@b", "name": "a", "password": "long enough", "code": secret });
    let signed_up = behind_tls.anonymous().post("/api/auth/sign-up", body).await;
    assert!(signed_up.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn only_a_trusted_proxy_says_who_calls() {
    for (trusted, expected) in [(None, 429), (Some("127.0.0.1".to_owned()), 401)] {
        let flags = Flags { trusted_proxy: trusted, open_sign_up: Some(true), ..Flags::default() };
        let world = World::start_with(flags).await;
        world.user("alice").await;
        let nobody = world.anonymous();
        let guess = async |from: &str| {
            let body = json!({ "email": "alice@example.org", "password": "wrong wrong" });
            let request = nobody.request(Method::POST, "/api/auth/sign-in").json(&body);
            nobody.send(request.header("x-forwarded-for", from)).await.status
        };
        for _ in 0..10 {
            // What a caller writes in front of the proxy's own word does not count.
            assert_eq!(guess("9.9.9.9, 203.0.113.7").await, 401);
        }
        assert_eq!(guess("8.8.8.8, 203.0.113.7").await, 429);
        assert_eq!(guess("203.0.113.8").await, expected);
    }
}
