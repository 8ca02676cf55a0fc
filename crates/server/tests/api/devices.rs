//! How a CLI signs in.

use chatroom_testkit::world::{Client, World};
use insta::assert_snapshot;
use serde_json::{Value, json};

async fn start(client: &Client) -> (String, String) {
    let codes = client.post("/api/auth/device", json!({ "device": "laptop", "version": "0.1.0" })).await;
    (codes.text("deviceCode").to_owned(), codes.text("userCode").to_owned())
}

async fn poll(client: &Client, device: &str) -> (u16, Value) {
    let answer = client.post("/api/auth/device/token", json!({ "deviceCode": device })).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_device_is_let_in_once_by_somebody_who_sees_what_asks() {
    let world = World::start().await;
    let (alice, nobody) = (world.user("alice").await, world.anonymous());
    let codes = nobody.post("/api/auth/device", json!({ "device": "laptop", "version": "0.1.0" })).await;
    assert_snapshot!(codes.snapshot(), @r#"
    200
    {
      "deviceCode": "crd_…",
      "expiresIn": 300,
      "interval": 2,
      "userCode": "…",
      "verificationUri": "…",
      "verificationUriComplete": "…"
    }
    "#);
    let (device, code) = (codes.text("deviceCode"), codes.text("userCode"));
    assert!(codes.text("verificationUriComplete").ends_with(&format!("/cli?code={code}")));
    assert_eq!(poll(&nobody, device).await.1["code"], "authorization_pending");
    assert_eq!(poll(&nobody, device).await.1["code"], "slow_down");
    world.clock().advance(2000);
    assert_eq!(poll(&nobody, device).await.1["code"], "authorization_pending");

    let shown = alice.get(&format!("/api/auth/device/{}", code.to_lowercase())).await;
    assert_eq!((shown.text("device"), shown.text("version")), ("laptop", "0.1.0"));
    let path = format!("/api/auth/device/{code}");
    assert_eq!(nobody.post(&path, json!({ "decision": "allow" })).await.status, 401);
    assert_eq!(alice.post(&path, json!({ "decision": "allow" })).await.status, 200);
    assert_eq!(alice.post(&path, json!({ "decision": "deny" })).await.text("code"), "code_expired");

    let (status, session) = poll(&nobody, device).await;
    assert_eq!((status, &session["name"]), (200, &json!("alice")));
    let cli = nobody.with_token(session["token"].as_str().unwrap());
    assert_eq!(cli.get("/api/auth/session").await.text("name"), "alice");
    assert_eq!(poll(&nobody, device).await.1["code"], "code_expired", "picked up once");
}

#[tokio::test]
async fn a_device_that_is_denied_or_late_stays_out() {
    let world = World::start().await;
    let (alice, nobody) = (world.user("alice").await, world.anonymous());
    let (device, code) = start(&nobody).await;
    alice.post(&format!("/api/auth/device/{code}"), json!({ "decision": "deny" })).await;
    assert_eq!(poll(&nobody, &device).await.1["code"], "access_denied");
    assert_eq!(poll(&nobody, &device).await.1["code"], "code_expired");

    let (device, code) = start(&nobody).await;
    world.clock().advance(5 * 60 * 1000);
    let late = alice.post(&format!("/api/auth/device/{code}"), json!({ "decision": "allow" })).await;
    assert_eq!((late.status, late.text("code")), (400, "code_expired"));
    assert_eq!(poll(&nobody, &device).await.1["code"], "code_expired");
    for nonsense in ["", "crd_x", &code, alice.token()] {
        assert_eq!(poll(&nobody, nonsense).await.1["code"], "code_expired", "{nonsense}");
    }
}

#[tokio::test]
async fn codes_cannot_be_guessed_nor_starts_flooded() {
    let world = World::start().await;
    let (alice, bob, nobody) = (world.user("alice").await, world.user("bob").await, world.anonymous());
    let (_, code) = start(&nobody).await;
    for n in 0..20_u8 {
        let guess = format!("BBBB-BBB{}", char::from(b'A' + n));
        assert_eq!(bob.get(&format!("/api/auth/device/{guess}")).await.text("code"), "code_expired");
    }
    let refused = bob.get(&format!("/api/auth/device/{code}")).await;
    assert_eq!((refused.status, refused.text("code")), (429, "too_many_requests"));
    assert_eq!(alice.get(&format!("/api/auth/device/{code}")).await.status, 200);

    let mut last = 200;
    for _ in 0..40 {
        last = nobody.post("/api/auth/device", json!({ "device": "x", "version": "1" })).await.status;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 429);
    world.clock().advance(15 * 60 * 1000);
    assert_eq!(nobody.post("/api/auth/device", json!({ "device": "x\ny", "version": "1" })).await.status, 400);
    assert_eq!(nobody.post("/api/auth/device", json!({ "device": "x".repeat(101), "version": "1" })).await.status, 400);
}
