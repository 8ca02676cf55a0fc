//! Rooms and messages over HTTP.

use chatroom_testkit::world::World;
use serde_json::json;

#[tokio::test]
async fn a_room_belongs_to_its_members() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let made = alice.post("/api/chatrooms", json!({ "name": " ship it ", "roles": ["builder", "reviewer"] })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!((&made.body["name"], &made.body["entry"]), (&json!("ship it"), &json!("builder")));
    let room = format!("/api/chatrooms/{}", made.body["chatroomId"].as_str().expect("an id"));

    assert_eq!(alice.get(&room).await.status, 200);
    let unknown = bob.get("/api/chatrooms/room_01HF7YAT000000000000000007").await;
    let foreign = bob.get(&room).await;
    assert_eq!(
        (foreign.status, &foreign.body["code"], &foreign.body["detail"]),
        (404, &unknown.body["code"], &unknown.body["detail"])
    );
    assert_eq!(bob.post(&format!("{room}/messages"), json!({ "content": "hi" })).await.status, 404);
    assert_eq!(bob.get("/api/chatrooms").await.body, json!({ "chatrooms": [] }));

    world.befriend(&alice, &bob).await;
    assert_eq!(bob.get(&room).await.status, 200);
}

#[tokio::test]
async fn what_is_not_a_room_is_refused_with_what_would_be() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let many: Vec<_> = (0..21).map(|n| format!("r{n}")).collect();
    for (body, code) in [
        (json!({ "name": "", "roles": ["a"] }), "invalid_request"),
        (json!({ "name": "x", "roles": [] }), "invalid_request"),
        (json!({ "name": "x", "roles": ["a", "a"] }), "invalid_request"),
        (json!({ "name": "x", "roles": ["a", "A"] }), "invalid_request"),
        (json!({ "name": "x", "roles": ["user"] }), "invalid_request"),
        (json!({ "name": "x", "roles": ["a"], "entry": "b" }), "invalid_request"),
        (json!({ "name": "x", "roles": ["-a"] }), "invalid_request"),
        (json!({ "name": "x", "roles": many }), "invalid_request"),
        (json!({ "name": "x", "roles": ["a"], "command": "rm" }), "invalid_request"),
    ] {
        let refused = alice.post("/api/chatrooms", body.clone()).await;
        assert_eq!((refused.status, refused.body["code"].as_str()), (400, Some(code)), "{body}: {}", refused.body);
    }
    assert_eq!(alice.get("/api/chatrooms").await.body, json!({ "chatrooms": [] }), "nothing is half-written");
}

#[tokio::test]
async fn a_message_becomes_a_task_at_once_and_the_next_ones_queue() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder", "reviewer"]).await;
    let messages = format!("{room}/messages");
    let first = alice.post(&messages, json!({ "content": "one" })).await;
    assert_eq!((first.status, &first.body["queued"], &first.body["target"]), (201, &json!(false), &json!("builder")));
    let second = alice.post(&messages, json!({ "content": "two" })).await;
    assert_eq!(second.body["queued"], true);
    let third = alice.post(&messages, json!({ "content": "three", "targetRole": "reviewer" })).await;
    assert_eq!(third.body["queued"], true);
    let note = alice.post(&messages, json!({ "content": "to people", "targetRole": "user" })).await;
    assert_eq!((&note.body["queued"], &note.body["taskId"]), (&json!(false), &json!(null)));

    let seen = alice.get(&messages).await.body;
    assert_eq!(contents(&seen["messages"]), ["one", "to people"]);
    assert_eq!(contents(&seen["queue"]), ["two", "three"]);

    // A queued message can be taken back by who sent it, once.
    let path = format!("{messages}/{}", second.body["messageId"].as_str().expect("an id"));
    assert_eq!(alice.delete(&path).await.body, json!({ "changed": true }));
    assert_eq!(alice.delete(&path).await.status, 404);
    let path = format!("{messages}/{}", first.body["messageId"].as_str().expect("an id"));
    assert_eq!(alice.delete(&path).await.body, json!({ "changed": false }), "it is work already");

    // When nothing is active any more, the queue moves: an idle room with a waiting queue never exists.
    let task = first.body["taskId"].as_str().expect("a task");
    let done = alice.post(&format!("{room}/tasks/{task}/complete"), json!({})).await;
    assert_eq!((done.status, &done.body["state"]), (200, &json!("completed")));
    let seen = alice.get(&messages).await.body;
    assert_eq!(contents(&seen["messages"]), ["one", "to people", "three"]);
    assert_eq!(contents(&seen["queue"]), Vec::<String>::new());
    let tasks = alice.get(&format!("{room}/tasks")).await.body;
    assert_eq!((&tasks["tasks"][0]["role"], &tasks["tasks"][0]["state"]), (&json!("reviewer"), &json!("pending")));
}

#[tokio::test]
async fn a_queued_message_is_changed_by_who_sent_it_until_it_is_work() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder", "reviewer"]).await;
    let messages = format!("{room}/messages");
    let first = alice.post(&messages, json!({ "content": "one" })).await;
    let second = alice.post(&messages, json!({ "content": "two" })).await;
    let path = format!("{messages}/{}", second.text("messageId"));

    let edited = alice.put(&path, json!({ "content": " better two", "targetRole": "reviewer" })).await;
    assert_eq!((edited.status, edited.text("target"), &edited.body["queued"]), (200, "reviewer", &json!(true)));
    let kept = alice.put(&path, json!({ "content": "best two" })).await;
    assert_eq!((kept.text("content"), kept.text("target")), ("best two", "reviewer"));
    assert_eq!(bob.put(&path, json!({ "content": "mine" })).await.status, 404, "it is not his");
    for (body, status, code) in [
        (json!({ "content": "" }), 400, "invalid_message"),
        (json!({ "content": "x", "targetRole": "nobody" }), 404, "unknown_role"),
        (json!({ "content": "x", "targetRole": "user" }), 404, "unknown_role"),
    ] {
        let refused = alice.put(&path, body.clone()).await;
        assert_eq!((refused.status, refused.text("code")), (status, code), "{body}");
    }

    let task = format!("{room}/tasks/{}/complete", first.text("taskId"));
    assert_eq!(alice.post(&task, json!({})).await.status, 200);
    let late = alice.put(&path, json!({ "content": "too late" })).await;
    assert_eq!((late.status, late.text("code")), (409, "message_delivered"));
    let seen = alice.get(&messages).await.body;
    assert_eq!(contents(&seen["messages"]), ["one", "best two"]);
    let tasks = alice.get(&format!("{room}/tasks")).await.body;
    assert_eq!(tasks["tasks"][0]["role"], "reviewer");
}

#[tokio::test]
async fn history_is_read_in_order_and_in_parts() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let messages = format!("{room}/messages");
    let mut ids = Vec::new();
    for n in 0..5 {
        let sent = alice.post(&messages, json!({ "content": format!("m{n}"), "targetRole": "user" })).await;
        ids.push(sent.body["messageId"].as_str().expect("an id").to_owned());
    }
    for (query, expected) in [
        (String::new(), vec!["m0", "m1", "m2", "m3", "m4"]),
        ("?limit=2".into(), vec!["m3", "m4"]),
        (format!("?sinceMessageId={}", ids[2]), vec!["m3", "m4"]),
        (format!("?sinceMessageId={}&limit=1", ids[1]), vec!["m2"]),
        ("?senderRole=builder".into(), vec![]),
        ("?senderRole=user&limit=1".into(), vec!["m4"]),
    ] {
        let seen = alice.get(&format!("{messages}{query}")).await;
        assert_eq!(contents(&seen.body["messages"]), expected, "{query}");
    }
    assert_eq!(alice.get(&format!("{messages}?senderRole=nobody")).await.body["code"], "unknown_role");
    assert_eq!(alice.get(&format!("{messages}?sinceMessageId=msg_01HF7YAT000000000000000007")).await.status, 404);
}

#[tokio::test]
async fn a_message_that_was_cut_is_refused() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    for content in ["", "  \n", "a\nCHATROOM_HANDOFF_END\nb", "a\u{0}b"] {
        let refused = alice.post(&format!("{room}/messages"), json!({ "content": content })).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("invalid_message")), "{content:?}");
    }
    let refused = alice.post(&format!("{room}/messages"), json!({ "content": "x", "targetRole": "nobody" })).await;
    assert_eq!((refused.status, &refused.body["code"]), (404, &json!("unknown_role")));
    assert_eq!(refused.body["allowed"], json!(["builder", "user"]));
    assert_eq!(alice.get(&format!("{room}/messages")).await.body, json!({ "messages": [], "queue": [] }));
}

fn contents(messages: &serde_json::Value) -> Vec<String> {
    let all = messages.as_array().cloned().unwrap_or_default();
    all.iter().map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
}
