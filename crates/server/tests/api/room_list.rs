//! The list of rooms: what is new, what waits for the caller, and how far they have read.

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{PermissionId, Timestamp};
use chatroom_testkit::fake_daemon::Manner;
use chatroom_testkit::world::{User, World};
use serde_json::{Value, json};

use crate::stage::{Stage, computer, configure};

/// Returns the only room somebody sees in their list.
async fn only(who: &User) -> Value {
    let listed = who.get("/api/chatrooms").await;
    assert_eq!(listed.status, 200, "{}", listed.raw);
    let rooms = listed.body["chatrooms"].as_array().unwrap();
    assert_eq!(rooms.len(), 1, "{}", listed.raw);
    rooms[0].clone()
}

fn nothing() -> Value {
    json!({ "asks": 0, "gaveUp": 0, "handoffs": 0, "approvals": 0 })
}

#[tokio::test]
async fn what_others_said_is_new_until_it_is_read() {
    let world = World::start().await;
    let (alice, bob, carol) = (world.user("alice").await, world.user("bob").await, world.user("carol").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let before = only(&bob).await["lastActivityAt"].as_i64().unwrap();
    world.clock().advance(5_000);
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let note = alice.post(&format!("{room}/messages"), json!({ "content": text, "targetRole": "user" })).await;
        ids.push(note.text("messageId").to_owned());
    }
    assert_eq!(only(&alice).await["unread"], 0, "what one said oneself is not new");
    let seen = only(&bob).await;
    assert_eq!(seen["unread"], 3);
    assert!(seen["lastActivityAt"].as_i64().unwrap() >= before + 5_000, "{seen}");

    let read = format!("{room}/read");
    let mark = |id: &str| json!({ "messageId": id });
    for (at, changed, left) in [(1, true, 1), (0, false, 1), (1, false, 1), (2, true, 0)] {
        let marked = bob.put(&read, mark(&ids[at])).await;
        assert_eq!((marked.status, &marked.body["changed"]), (200, &json!(changed)), "{}", marked.raw);
        assert_eq!(only(&bob).await["unread"], left);
    }
    let told = |events: Value| {
        let all = events["events"].as_array().unwrap().clone();
        all.into_iter().filter(|event| event["kind"] == "room.read").map(|event| event["subject"].clone()).collect()
    };
    let feed = format!("/api/events?instance={}", alice.instance);
    let his: Vec<Value> = told(bob.get(&feed).await.body);
    assert_eq!(his, [json!(ids[1]), json!(ids[2])], "his other windows learn of it");
    let hers: Vec<Value> = told(alice.get(&feed).await.body);
    assert!(hers.is_empty(), "nobody else does");

    world.clock().advance(5_000);
    world.befriend(&alice, &carol).await;
    assert_eq!(only(&carol).await["unread"], 0, "what was said before one came is not new");
    for wrong in ["msg_01HF7YAT000000000000000007", "nonsense"] {
        assert!(matches!(bob.put(&read, mark(wrong)).await.status, 400 | 404), "{wrong}");
    }
}

#[tokio::test]
async fn what_waits_in_the_queue_is_neither_new_nor_read() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    alice.post(&format!("{room}/messages"), json!({ "content": "one" })).await;
    let queued = alice.post(&format!("{room}/messages"), json!({ "content": "two" })).await;
    assert_eq!(queued.body["queued"], true);
    assert_eq!(only(&bob).await["unread"], 1);
    let refused = bob.put(&format!("{room}/read"), json!({ "messageId": queued.text("messageId") })).await;
    assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"));
}

#[tokio::test]
async fn rooms_are_found_by_name_and_read_page_by_page() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let mut ids = Vec::new();
    for name in ["Ship Login", "ship 100%", "docs_old", "docsXold", "Straße"] {
        world.clock().advance(10);
        let made = alice.post("/api/chatrooms", json!({ "name": name, "roles": ["a"] })).await;
        ids.push(made.text("chatroomId").to_owned());
    }
    let names = |body: &Value| -> Vec<String> {
        body["chatrooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("?search=SHIP", vec!["ship 100%", "Ship Login"]),
        ("?search=%25", vec!["ship 100%"]),
        ("?search=docs_old", vec!["docs_old"]),
        ("?search=Stra%C3%9Fe", vec!["Straße"]),
        ("?search=%5C", vec![]),
        ("?archived=true", vec![]),
    ] {
        assert_eq!(names(&alice.get(&format!("/api/chatrooms{query}")).await.body), expected, "{query}");
    }
    alice.patch(&format!("/api/chatrooms/{}", ids[0]), json!({ "archived": true })).await;
    assert_eq!(names(&alice.get("/api/chatrooms?archived=true&search=login").await.body), ["Ship Login"]);

    let first = alice.get("/api/chatrooms?limit=3").await;
    assert_eq!(names(&first.body), ["Straße", "docsXold", "docs_old"]);
    let rest = alice.get(&format!("/api/chatrooms?limit=3&after={}", first.text("next"))).await;
    assert_eq!((names(&rest.body), &rest.body["next"]), (vec!["ship 100%".to_owned()], &Value::Null));
    assert_eq!(alice.get("/api/chatrooms?search=a%00b").await.text("code"), "invalid_request");
    assert_eq!(alice.get("/api/chatrooms?limit=501").await.text("code"), "invalid_request");
}

#[tokio::test]
async fn the_list_says_what_waits_for_whom() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.say(&stage.bob, "from bob").await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    let run_id = daemon.started(&push).await;
    let hers = only(&stage.alice).await;
    assert_eq!(hers["needsYou"], json!({ "asks": 0, "gaveUp": 0, "handoffs": 0, "approvals": 1 }), "{hers}");
    assert_eq!(only(&stage.bob).await["needsYou"], nothing());
    let task = stage.alice.get(&format!("{}/tasks", stage.room)).await.body["tasks"][0]["taskId"].clone();
    let task = task.as_str().unwrap();
    stage.alice.post(&format!("{}/tasks/{task}/approve", stage.room), json!({})).await;
    assert_eq!(only(&stage.alice).await["needsYou"], nothing());

    let prompt_id = daemon.prompt(1).await.prompt_id;
    let active = |activity| Fact::RunActivity { run_id, activity };
    daemon.report([active(RunActivity::Working), Fact::PromptStarted { run_id, prompt_id }]).await;
    for who in [&stage.alice, &stage.bob] {
        assert_eq!(only(who).await["working"], 1);
    }
    let asked = Fact::PermissionAsked {
        run_id,
        permission_id: PermissionId::from_parts(Timestamp(1), 1),
        title: "bash: ls".into(),
        input: "{}".into(),
        always: None,
        digest: "d".into(),
    };
    daemon.report([active(RunActivity::WaitingPermission), asked]).await;
    assert_eq!(only(&stage.alice).await["needsYou"]["asks"], 1);
    assert_eq!((&only(&stage.bob).await["needsYou"], &only(&stage.bob).await["working"]), (&nothing(), &json!(0)));

    daemon.report([active(RunActivity::Working)]).await;
    let agent = stage.alice.with_token(&push.start.unwrap().run_token);
    let handed = agent
        .post(&format!("{}/roles/builder/handoff", stage.room), json!({ "nextRole": "user", "content": "done" }))
        .await;
    assert_eq!(handed.status, 200, "{}", handed.raw);
    let message = handed.body["message"]["messageId"].clone();
    for who in [&stage.alice, &stage.bob] {
        assert_eq!(only(who).await["needsYou"]["handoffs"], 1);
        who.put(&format!("{}/read", stage.room), json!({ "messageId": message })).await;
        assert_eq!(only(who).await["needsYou"], nothing());
    }
}

#[tokio::test]
async fn an_agent_that_was_given_up_needs_the_user_of_its_machine() {
    let stage = Stage::set().await;
    let manner = Manner { outcome: Some((CommandStatus::Failed, "no")), ..Manner::default() };
    let _daemon = stage.connect_with(1, manner).await;
    let start = stage.command("start-agent").await;
    stage.settled(&start, "failed").await;
    assert_eq!(only(&stage.alice).await["needsYou"]["gaveUp"], 1);
    assert_eq!(only(&stage.bob).await["needsYou"], nothing());
    // A second agent of somebody else is not hers to mend.
    let pc = computer(&stage.bob, "pc").await;
    configure(&stage.bob, &pc, &stage.room, "reviewer").await;
    assert_eq!(only(&stage.alice).await["needsYou"]["gaveUp"], 1);
}

#[tokio::test]
async fn a_thousand_rooms_are_listed_in_two_requests() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let me = alice.id.parse().unwrap();
    let app = world.app();
    for _ in 0..20 {
        let mut work = app.begin().await.unwrap();
        for n in 0..50 {
            let body = chatroom_protocol::api::rooms::CreateRoom {
                name: format!("room {n}"),
                roles: vec!["builder".parse().unwrap()],
                entry: None,
                instance_id: None,
            };
            chatroom_server::rooms::create(&mut work, me, body).await.unwrap();
        }
        work.commit().await.unwrap();
    }
    let first = alice.get("/api/chatrooms?limit=500").await;
    let second = alice.get(&format!("/api/chatrooms?limit=500&after={}", first.text("next"))).await;
    let count = |body: &Value| body["chatrooms"].as_array().unwrap().len();
    assert_eq!((count(&first.body), count(&second.body), &second.body["next"]), (500, 500, &Value::Null));
}
