//! A room as a document.

use chatroom_protocol::api::rooms::Export;
use chatroom_testkit::world::World;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_room_is_written_down_from_its_first_message_to_its_queue() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    alice.patch(&room, json!({ "name": "ship it", "instructions": "Be brief." })).await;
    let file = alice.request(Method::POST, &format!("{room}/attachments?name=notes.txt")).body("x");
    let file = alice.send(file).await.text("attachmentId").to_owned();
    let note = |text: String| json!({ "content": text, "targetRole": "user" });
    alice.post(&format!("{room}/messages"), json!({ "content": "# build **it**", "attachments": [file] })).await;
    for n in 0..450 {
        bob.post(&format!("{room}/messages"), note(format!("note {n}"))).await;
    }
    alice.post(&format!("{room}/messages"), json!({ "content": "and then this" })).await;

    let whole = bob.get(&format!("{room}/export?format=json")).await;
    assert_eq!(whole.header("content-type"), "application/json");
    assert!(whole.header("content-disposition").ends_with(".json\""), "{:?}", whole.headers);
    let export: Export = serde_json::from_str(&whole.raw).unwrap();
    assert_eq!(export.chatroom.name, "ship it");
    let said: Vec<_> = export.messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!((said.len(), said[0], said[1], said[450]), (451, "# build **it**", "note 0", "note 449"));
    assert_eq!(export.messages[0].attachments[0].name, "notes.txt");
    assert_eq!(export.queue[0].content, "and then this");

    let text = bob.get(&format!("{room}/export")).await;
    assert_eq!(text.header("content-type"), "text/markdown; charset=utf-8");
    assert!(text.raw.starts_with("# ship it\n\nRoles: builder. Made "), "{}", text.raw);
    for part in [
        "> Be brief.\n",
        "## alice → builder · ",
        "# build **it**\n\n- notes.txt (text/plain, 1 bytes",
        "## bob → user · ",
    ] {
        assert!(text.raw.contains(part), "{part:?} is not in\n{}", &text.raw[..2000]);
    }
    assert!(text.raw.ends_with("and then this\n\n") && text.raw.contains("# Queue\n"), "the queue is its end");

    let empty = world.room(&alice, &["builder"]).await;
    let export: Export = serde_json::from_str(&alice.get(&format!("{empty}/export?format=json")).await.raw).unwrap();
    assert!(export.messages.is_empty() && export.queue.is_empty());
    assert_eq!(alice.get(&format!("{room}/export?format=pdf")).await.status, 400);
}
