//! Signing in and out, and telling apart what can go wrong.

use chatroom_testkit::world::World;
use serde_json::json;

use crate::desk::{Desk, mode};

const ROOM: &str = "room_01HF7YAT00000000000000000A";

#[tokio::test]
async fn a_person_signs_a_computer_in_and_out() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::new().with("CHATROOM_URL", &world.url());
    let before = desk.run("auth status").await.exits(1);
    assert!(before.out.contains("chatroom auth login"), "{}", before.all());

    let login = desk.sign_in(&ada).await;
    assert!(login.err.contains("as ada"), "{}", login.all());
    assert_eq!(mode(&desk.home()), 0o700);
    assert_eq!(mode(&desk.home().join("auth.json")), 0o600);
    let status = desk.run("auth status --json").await.exits(0).json();
    assert_eq!(status["name"], "ada");
    assert_eq!(status["signedIn"], true);

    let again = desk.run("auth login").await.exits(0);
    assert!(again.err.contains("Already signed in"), "{}", again.all());
    assert!(again.out.is_empty(), "{}", again.all());

    desk.run("auth logout").await.exits(0);
    desk.run("auth status").await.exits(1);
    desk.run("room list").await.exits(1);
    desk.run("auth logout").await.exits(0);
}

#[tokio::test]
async fn a_revoked_sign_in_is_renewed() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let sessions = ada.get("/api/auth/sessions").await;
    for session in sessions.body["sessions"].as_array().expect("sessions") {
        if session["current"] == false && session["kind"] == "cli" {
            ada.delete(&format!("/api/auth/sessions/{}", session["sessionId"].as_str().expect("an id"))).await;
        }
    }
    let ended = desk.run("room list").await.exits(1);
    assert!(ended.err.contains("auth login") && ended.err.contains("not_signed_in"), "{}", ended.all());
    let login = desk.sign_in(&ada).await;
    assert!(login.err.contains("no longer good"), "{}", login.all());
    desk.run("room list").await.exits(0);
}

#[tokio::test]
async fn a_refused_sign_in_says_so() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::new().with("CHATROOM_URL", &world.url());
    let login = desk.start("auth login");
    login.until("the code is shown", |out, _| out.contains("The code there must be")).await;
    let text = login.out();
    let code = text.split("The code there must be ").nth(1).and_then(|rest| rest.split('.').next()).expect("a code");
    let path = format!("/api/auth/device/{code}");
    ada.send(ada.browser(reqwest::Method::POST, &path).json(&json!({ "decision": "deny" }))).await;
    let ended = login.ended().await.exits(1);
    assert!(ended.err.contains("refused"), "{}", ended.all());
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;

    let unknown = desk.run(&format!("room show --chatroom-id={ROOM}")).await.exits(1);
    assert!(unknown.err.contains("not_found"), "{}", unknown.all());

    let signed_out = Desk::new().with("CHATROOM_URL", &world.url()).run("room list").await.exits(1);
    assert!(signed_out.err.contains("auth login"), "{}", signed_out.all());

    world.stop().await;
    let away = desk.run("room list").await.exits(1);
    assert!(away.err.contains("cannot reach") && !away.err.contains("auth login"), "{}", away.all());
    // Without a network the saved sign-in counts.
    let kept = desk.run("auth login").await.exits(0);
    assert!(kept.err.contains("is kept"), "{}", kept.all());
    let status = desk.run("auth status").await.exits(0);
    assert!(status.out.contains("cannot be asked"), "{}", status.all());
}

#[tokio::test]
async fn a_session_is_never_shown_to_another_server() {
    let world = World::start().await;
    let other = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await.with("CHATROOM_URL", &other.url());
    let ended = desk.run("room list").await.exits(1);
    assert!(ended.err.contains("another CHATROOM_HOME"), "{}", ended.all());
}

#[tokio::test]
async fn owner_verbs_refuse_inside_a_run() {
    let desk = Desk::new()
        .with("CHATROOM_URL", "http://127.0.0.1:9")
        .with("CHATROOM_RUN", "run_01HF7YAT00000000000000000A")
        .with("CHATROOM_RUN_TOKEN", "crr_nobody")
        .with("CHATROOM_ROOM", ROOM)
        .with("CHATROOM_ROLE", "builder");
    for line in [
        "auth login",
        "auth logout",
        "room create x --role b",
        "agent start --chatroom-id=ROOM --role=builder",
        "agent allow --chatroom-id=ROOM --role=builder",
        "machine allow /tmp",
        "machine allow --auto",
        "machine daemon stop",
        "machine list",
        "up",
        "server",
    ] {
        let ended = desk.run(&line.replace("ROOM", ROOM)).await.exits(1);
        assert!(ended.err.contains("is for people"), "{line}: {}", ended.all());
    }
    assert!(!desk.home().join("policy.json").exists());
    let status = desk.run("auth status").await.exits(0);
    assert!(status.out.contains("`builder`"), "{}", status.all());

    // The tasks of a managed run come by themselves: a wait there ends at once and says so.
    let wait = desk.run(&format!("wait-for-task --chatroom-id={ROOM} --role=builder")).await.exits(0);
    assert!(wait.out.contains("come to you as messages") && wait.out.contains("chatroom handoff"), "{}", wait.all());
}
