//! Signing up, in and out; sessions; instances and their members.

use chatroom_server::config::Flags;
use chatroom_testkit::world::{PASSWORD, World};
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};

fn somebody(name: &str, code: Option<&str>) -> Value {
    let mut body = json!({ "email": format!("{name}@example.org"), "name": name, "password": PASSWORD });
    if let Some(code) = code {
        body["code"] = code.into();
    }
    body
}

#[tokio::test]
async fn the_first_account_needs_the_secret_and_the_next_an_invitation() {
    let world = World::start_with(Flags::default()).await;
    let nobody = world.anonymous();
    let refused = nobody.post("/api/auth/sign-up", somebody("alice", None)).await;
    assert_snapshot!(refused.snapshot(), @r#"
    403
    {
      "code": "sign_up_closed",
      "detail": "signing up needs the secret printed when the server started, or an invitation",
      "requestId": "…",
      "status": 403,
      "title": "Forbidden",
      "type": "about:blank"
    }
    "#);
    let old = world.running().sign_up_secret().await.unwrap().unwrap();
    let secret = world.running().sign_up_secret().await.unwrap().unwrap();
    assert_eq!(nobody.post("/api/auth/sign-up", somebody("alice", Some(&old))).await.status, 403, "replaced");
    let alice = world.sign_up("alice", Some(secret.clone())).await;
    assert_eq!(world.running().sign_up_secret().await.unwrap(), None);

    let refused = nobody.post("/api/auth/sign-up", somebody("bob", Some(&secret))).await;
    assert_eq!((refused.status, refused.text("code")), (400, "code_expired"), "the secret works once");
    assert_eq!(nobody.post("/api/auth/sign-up", somebody("bob", None)).await.status, 403);
    let invited = alice.post(&format!("/api/instances/{}/invitations", alice.instance), json!({})).await;
    assert!(invited.text("link").ends_with(&format!("/sign-up?code={}", invited.text("code"))));
    let bob = world.sign_up("bob", Some(invited.text("code").to_owned())).await;
    let refused = nobody.post("/api/auth/sign-up", somebody("carol", Some(invited.text("code")))).await;
    assert_eq!(refused.text("code"), "code_expired", "an invitation works once");

    let me = bob.get("/api/auth/session").await;
    assert_snapshot!(me.snapshot(), @r#"
    200
    {
      "email": "bob@example.org",
      "instances": [
        {
          "instanceId": "inst_…",
          "name": "bob",
          "owner": true
        },
        {
          "instanceId": "inst_…",
          "name": "alice",
          "owner": false
        }
      ],
      "name": "bob",
      "sessionId": "ses_…",
      "userId": "usr_…"
    }
    "#);
}

#[tokio::test]
async fn open_sign_up_is_open_once_there_is_an_owner() {
    let world = World::start().await;
    let refused = world.anonymous().post("/api/auth/sign-up", somebody("mallory", None)).await;
    assert_eq!(refused.text("code"), "sign_up_closed", "the first account still needs the secret");
    world.user("alice").await;
    let bob = world.anonymous().post("/api/auth/sign-up", somebody("bob", None)).await;
    assert_eq!(bob.status, 200);
    let cookie = bob.header("set-cookie");
    assert!(cookie.starts_with("chatroom_session=crs_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000"), "{cookie}");
    let taken = world.anonymous().post("/api/auth/sign-up", somebody("bob", None)).await;
    assert_eq!((taken.status, taken.text("code")), (409, "email_taken"));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_name() {
    let world = World::start().await;
    world.user("alice").await;
    for (body, detail) in [
        (json!({ "email": "x", "name": "x", "password": PASSWORD }), "an e-mail must have the form name@host"),
        (json!({ "email": "x@y", "name": " ", "password": PASSWORD }), "a name must be 1 to 80 characters"),
        (json!({ "email": "x@y", "name": "x", "password": "short" }), "a password must be 10 to 200 characters"),
        (json!({ "email": "x@y", "name": "x" }), "missing field `password`"),
        (json!({ "email": "x@y", "name": "x", "password": PASSWORD, "owner": true }), "unknown field `owner`"),
    ] {
        let refused = world.anonymous().post("/api/auth/sign-up", body.clone()).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{body}");
        assert!(refused.text("detail").contains(detail), "{body}: {}", refused.text("detail"));
    }
}

#[tokio::test]
async fn one_signs_in_and_out_by_cookie() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let nobody = world.anonymous();
    let body = json!({ "email": "Alice@Example.org ", "password": PASSWORD });
    let me = nobody.post("/api/auth/sign-in", body).await;
    assert_eq!((me.status, me.text("name")), (200, "alice"));
    let cookie = me.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let with_cookie = |method, path: &str| nobody.request(method, path).header("cookie", &cookie);
    assert_eq!(nobody.send(with_cookie(Method::GET, "/api/auth/session")).await.status, 200);

    let out = with_cookie(Method::POST, "/api/auth/sign-out").header("sec-fetch-site", "same-origin");
    let out = nobody.send(out).await;
    assert_eq!((out.status, &out.body), (200, &json!({ "changed": true })));
    assert!(out.header("set-cookie").starts_with("chatroom_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
    let over = nobody.send(with_cookie(Method::GET, "/api/auth/session")).await;
    assert_eq!((over.status, over.header("www-authenticate")), (401, "Bearer realm=\"chatroom\""));
    assert_eq!(alice.get("/api/auth/session").await.status, 200, "the other sign-in goes on");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_says_for_how_long() {
    let world = World::start().await;
    world.user("alice").await;
    let nobody = world.anonymous();
    let try_one = async |email: &str, password: &str| {
        nobody.post("/api/auth/sign-in", json!({ "email": email, "password": password })).await
    };
    for _ in 0..10 {
        let wrong = try_one("alice@example.org", "wrong wrong").await;
        assert_eq!((wrong.status, wrong.text("code")), (401, "wrong_credentials"));
    }
    let refused = try_one("alice@example.org", PASSWORD).await;
    assert_eq!((refused.status, refused.text("code")), (429, "too_many_requests"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((800..=900).contains(&wait), "{wait}");
    let unknown = try_one("nobody@example.org", "wrong wrong").await;
    assert_eq!((unknown.status, unknown.text("code")), (401, "wrong_credentials"), "like a known one");
    world.clock().advance(15 * 60 * 1000);
    assert_eq!(try_one("alice@example.org", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_by_their_person_alone() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let laptop = alice.sign_cli_in("laptop").await;
    let listed = alice.get("/api/auth/sessions").await;
    assert_snapshot!(listed.snapshot(), @r#"
    200
    {
      "sessions": [
        {
          "createdAt": "<time>",
          "current": false,
          "expiresAt": "<time>",
          "kind": "cli",
          "label": "laptop (chatroom 0.1.0)",
          "lastUsedAt": "<time>",
          "sessionId": "ses_…"
        },
        {
          "createdAt": "<time>",
          "current": true,
          "expiresAt": "<time>",
          "kind": "cli",
          "label": "test (chatroom 0.1.0)",
          "lastUsedAt": "<time>",
          "sessionId": "ses_…"
        },
        {
          "createdAt": "<time>",
          "current": false,
          "expiresAt": "<time>",
          "kind": "web",
          "label": "a browser",
          "lastUsedAt": "<time>",
          "sessionId": "ses_…"
        }
      ]
    }
    "#);
    let id = listed.body["sessions"][0]["sessionId"].as_str().unwrap();
    let path = format!("/api/auth/sessions/{id}");
    assert_eq!(bob.delete(&path).await.status, 404);
    assert_eq!(laptop.get("/api/auth/session").await.status, 200);
    assert_eq!(alice.delete(&path).await.body, json!({ "changed": true }));
    assert_eq!(laptop.get("/api/auth/session").await.status, 401);
    assert_eq!(alice.delete(&path).await.status, 404);

    assert_eq!(alice.delete("/api/auth/sessions").await.body, json!({ "changed": true }));
    let cookie = alice.send(alice.browser(Method::GET, "/api/auth/session")).await;
    assert_eq!(cookie.status, 401);
    assert_eq!(alice.get("/api/auth/session").await.status, 200, "the one it was done with stays");
    assert_eq!(bob.get("/api/auth/session").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_and_its_use_is_known_to_the_minute() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let used = async || {
        let all = alice.get("/api/auth/sessions").await.body["sessions"].clone();
        all.as_array().unwrap().iter().find(|one| one["current"] == true).unwrap()["lastUsedAt"].as_i64().unwrap()
    };
    let first = used().await;
    world.clock().advance(61_000);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while used().await == first {
        assert!(tokio::time::Instant::now() < deadline, "the use was never noted");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.clock().advance(30 * 24 * 3600 * 1000);
    assert_eq!(alice.get("/api/auth/session").await.status, 401);
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sign_ins() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let laptop = alice.sign_cli_in("laptop").await;
    let change = async |current: &str, new: &str| {
        alice.post("/api/auth/password", json!({ "current": current, "new": new })).await
    };
    assert_eq!(change("wrong wrong", "another horse").await.text("code"), "wrong_credentials");
    assert_eq!(change(PASSWORD, "short").await.status, 400);
    assert_eq!(laptop.get("/api/auth/session").await.status, 200);
    assert_eq!(change(PASSWORD, "another horse").await.status, 200);
    assert_eq!(laptop.get("/api/auth/session").await.status, 401);
    assert_eq!(alice.get("/api/auth/session").await.status, 200);
    let sign_in = async |password: &str| {
        let body = json!({ "email": "alice@example.org", "password": password });
        world.anonymous().post("/api/auth/sign-in", body).await.status
    };
    assert_eq!((sign_in(PASSWORD).await, sign_in("another horse").await), (401, 200));
}

#[tokio::test]
async fn the_owner_invites_and_removes_and_nobody_else() {
    let world = World::start().await;
    let (alice, bob, carol) = (world.user("alice").await, world.user("bob").await, world.user("carol").await);
    world.befriend(&alice, &bob).await;
    let instance = format!("/api/instances/{}", alice.instance);
    let members = bob.get(&format!("{instance}/members")).await;
    assert_snapshot!(members.snapshot(), @r#"
    200
    {
      "members": [
        {
          "name": "alice",
          "owner": true,
          "userId": "usr_…"
        },
        {
          "name": "bob",
          "owner": false,
          "userId": "usr_…"
        }
      ]
    }
    "#);
    assert_eq!(carol.get(&format!("{instance}/members")).await.status, 404);
    assert_eq!(bob.post(&format!("{instance}/invitations"), json!({})).await.status, 403);
    assert_eq!(carol.post(&format!("{instance}/invitations"), json!({})).await.status, 404);
    assert_eq!(bob.delete(&format!("{instance}/members/{}", alice.id)).await.status, 403);
    assert_eq!(alice.delete(&format!("{instance}/members/{}", alice.id)).await.status, 403, "the owner stays");

    let room = world.room(&alice, &["builder"]).await;
    assert_eq!(bob.get(&room).await.status, 200);
    let removed = alice.delete(&format!("{instance}/members/{}", bob.id)).await;
    assert_eq!((removed.status, &removed.body), (200, &json!({ "changed": true })));
    assert_eq!(bob.get(&room).await.status, 404);
    assert_eq!(bob.get("/api/instances").await.body["instances"].as_array().map(Vec::len), Some(1));
    let again = alice.delete(&format!("{instance}/members/{}", bob.id)).await;
    assert_eq!(again.body, json!({ "changed": false }));
}

#[tokio::test]
async fn up_has_an_owner_without_a_password_and_signs_in_by_link_once() {
    let world = World::start_with(Flags::default()).await;
    let app = world.app();
    let owner = chatroom_server::accounts::local_owner(app, "Ada L").await.unwrap();
    assert_eq!(chatroom_server::accounts::local_owner(app, "someone else").await.unwrap(), owner);
    assert_eq!(world.running().sign_up_secret().await.unwrap(), None);
    let nobody = world.anonymous();
    let body = json!({ "email": "AdaL@localhost", "password": "" });
    assert_eq!(nobody.post("/api/auth/sign-in", body).await.status, 401, "there is no password to know");

    let link = chatroom_server::accounts::sign_in_link(app, owner).await.unwrap();
    let path = link.strip_prefix(&app.config.public_url.to_string()).unwrap().to_owned();
    for site in ["cross-site", "same-site"] {
        let led = nobody.send(nobody.request(Method::GET, &path).header("sec-fetch-site", site)).await;
        assert_eq!((led.status, led.header("set-cookie")), (403, ""), "{site}");
    }
    let followed = nobody.send(nobody.request(Method::GET, &path).header("sec-fetch-site", "none")).await;
    assert_eq!((followed.status, followed.header("location")), (303, "/"));
    let cookie = followed.header("set-cookie").split(';').next().unwrap_or_default();
    let me = nobody.send(nobody.request(Method::GET, "/api/auth/session").header("cookie", cookie)).await;
    assert_eq!((me.text("name"), me.text("email")), ("Ada L", "adal@localhost"));
    let again = nobody.get(&path).await;
    assert_eq!((again.status, again.header("set-cookie")), (400, ""));

    let old = chatroom_server::accounts::sign_in_link(app, owner).await.unwrap();
    world.clock().advance(15 * 60 * 1000);
    let path = old.strip_prefix(&app.config.public_url.to_string()).unwrap();
    assert_eq!(nobody.get(path).await.status, 400, "too old");

    let cli = chatroom_server::accounts::cli_session(app, owner, "this computer").await.unwrap();
    let cli = nobody.with_token(&cli.token);
    assert_eq!(cli.post("/api/auth/password", json!({ "new": "first password" })).await.status, 200);
    let body = json!({ "email": "adal@localhost", "password": "first password" });
    assert_eq!(nobody.post("/api/auth/sign-in", body).await.status, 200);
}
