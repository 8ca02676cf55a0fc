//! Finding rooms and messages by text.

use chatroom_testkit::world::World;
use serde_json::{Value, json};

fn texts<'a>(found: &'a Value, kind: &str, field: &str) -> Vec<&'a str> {
    found[kind].as_array().unwrap().iter().map(|one| one[field].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_text_is_found_in_what_the_caller_may_see() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let mut rooms = Vec::new();
    for name in ["Login", "other"] {
        let made = alice.post("/api/chatrooms", json!({ "name": name, "roles": ["builder"] })).await;
        rooms.push(format!("/api/chatrooms/{}", made.text("chatroomId")));
    }
    for (room, text) in [
        (0, "the login page\nis 50% slower"),
        (1, "LOGIN_form, and a\\b"),
        (1, "loginXform 50 percent größe"),
        (0, "nothing"),
    ] {
        world.clock().advance(10);
        let body = json!({ "content": text, "targetRole": "user" });
        assert_eq!(alice.post(&format!("{}/messages", rooms[room]), body).await.status, 201);
    }
    world.clock().advance(10);
    let waits = alice.post(&format!("{}/messages", rooms[0]), json!({ "content": "x" })).await;
    let waits = alice.post(&format!("{}/messages", rooms[0]), json!({ "content": "a queued login" })).await.body["queued"]
        == waits.body["queued"];
    assert!(!waits, "the second one waits");

    let find = async |query: &str| alice.get(&format!("/api/search?{query}")).await.body;
    let found = find("q=login").await;
    assert_eq!(texts(&found, "chatrooms", "name"), ["Login"]);
    assert_eq!(
        texts(&found, "messages", "excerpt"),
        ["a queued login", "loginXform 50 percent größe", "LOGIN_form, and a\\b", "the login page is 50% slower"],
    );
    assert_eq!(
        (&found["messages"][3]["chatroomName"], &found["messages"][3]["sender"]),
        (&json!("Login"), &json!("user"))
    );
    for (query, expected) in [
        ("q=login_form", vec!["LOGIN_form, and a\\b"]),
        ("q=50%25", vec!["the login page is 50% slower"]),
        ("q=a%5Cb", vec!["LOGIN_form, and a\\b"]),
        ("q=gr%C3%B6%C3%9Fe", vec!["loginXform 50 percent größe"]),
        ("q=login&limit=1", vec!["a queued login"]),
        ("q='%20OR%201=1", vec![]),
    ] {
        assert_eq!(texts(&find(query).await, "messages", "excerpt"), expected, "{query}");
    }
    for query in ["", "q=", "q=%20", "q=a%00", "q=x&limit=0", "q=x&limit=101", &format!("q={}", "x".repeat(201))] {
        assert_eq!(alice.get(&format!("/api/search?{query}")).await.status, 400, "{query}");
    }
    let his = bob.get("/api/search?q=login").await.body;
    assert_eq!(his, json!({ "chatrooms": [], "messages": [] }));
    world.befriend(&alice, &bob).await;
    assert_eq!(bob.get("/api/search?q=login").await.body, find("q=login").await);
}
