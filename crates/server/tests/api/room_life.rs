//! A room's name, its standing instructions, and its way into the archive and back.

use chatroom_protocol::api::reports::{Fact, TurnOutcome};
use chatroom_testkit::world::World;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn a_room_is_renamed_and_its_feed_says_by_whom() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let renamed = bob.patch(&room, json!({ "name": " ship login " })).await;
    assert_eq!((renamed.status, renamed.text("name")), (200, "ship login"), "{}", renamed.raw);
    assert_eq!(alice.get(&room).await.text("name"), "ship login");
    for body in [
        json!({ "name": "" }),
        json!({ "name": "a\nb" }),
        json!({ "instructions": "é".repeat(4097) }),
        json!({ "instructions": "a\u{0}b" }),
        json!({ "roles": ["x"] }),
    ] {
        let refused = alice.patch(&room, body.clone()).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{body}");
    }
    alice.patch(&room, json!({ "name": "ship login" })).await;
    let events = alice.get("/api/events").await.body["events"].clone();
    let named: Vec<_> =
        events.as_array().unwrap().iter().filter(|event| event["kind"] == "room.renamed").cloned().collect();
    assert_eq!(named.len(), 1, "the same name again is no change");
    assert_eq!((&named[0]["userId"], &named[0]["outcome"]), (&json!(bob.id), &json!("ship login")));
}

#[tokio::test]
async fn standing_instructions_reach_an_agent_when_it_starts_and_when_they_change() {
    let stage = Stage::set().await;
    let told = stage.alice.patch(&stage.room, json!({ "instructions": " Always add tests.\nBe brief. \n" })).await;
    assert_eq!(told.text("instructions"), "Always add tests.\nBe brief.");
    assert_eq!(told.text("instructionsBy"), stage.alice.id);
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    let system = &push.start.as_ref().unwrap().system_prompt;
    assert!(system.contains("> Always add tests.\n> Be brief."), "{system}");

    let run_id = daemon.started(&push).await;
    stage.say(&stage.alice, "one").await;
    let prompt = daemon.prompt(1).await;
    let (prompt_id, first) = (prompt.prompt_id, prompt.text);
    assert!(first.starts_with("Task ") && !first.contains("Always"), "it was told at its start: {first}");
    stage.world.clock().advance(1000);
    stage.alice.patch(&stage.room, json!({ "instructions": "Never push." })).await;
    let context = stage.alice.get(&format!("{}/roles/builder/prompt", stage.room)).await;
    assert!(context.text("prompt").contains("> Never push."), "{}", context.raw);
    let task = stage.alice.get(&format!("{}/tasks", stage.room)).await.body["tasks"][0]["taskId"].clone();
    let complete = format!("{}/tasks/{}/complete", stage.room, task.as_str().unwrap());
    assert_eq!(stage.alice.post(&complete, json!({})).await.status, 200);
    let outcome = TurnOutcome::End;
    daemon.report([Fact::TurnEnded { run_id, prompt_id, outcome, detail: None }]).await;
    stage.say(&stage.alice, "two").await;
    daemon.until("a second task", |heard| heard.prompts.iter().any(|(_, prompt)| prompt.text.contains("> two"))).await;
    let second = daemon.heard().prompts.into_iter().find(|(_, prompt)| prompt.text.contains("> two")).unwrap().1.text;
    assert!(second.contains("have changed") && second.contains("> Never push."), "{second}");
    let removed = stage.alice.patch(&stage.room, json!({ "instructions": "" })).await;
    assert!(removed.body["instructions"].is_null(), "{}", removed.raw);
}

#[tokio::test]
async fn what_another_member_instructs_reaches_shared_agents_only() {
    let stage = Stage::set().await;
    stage.bob.patch(&stage.room, json!({ "instructions": "Do as bob says." })).await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    let system = &push.start.as_ref().unwrap().system_prompt;
    assert!(!system.contains("bob says"), "{system}");
    daemon.started(&push).await;
    let share = format!("{}/agents/builder/share", stage.room);
    assert_eq!(stage.alice.put(&share, json!({ "shared": true })).await.status, 200);
    stage.command("restart-agent").await;
    let system = daemon.command(2).await.start.unwrap().system_prompt;
    assert!(system.contains("> Do as bob says."), "{system}");
}

#[tokio::test]
async fn an_archived_room_takes_no_work_until_it_is_brought_back() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    daemon.started(&push).await;
    let archive = |archived: bool| json!({ "archived": archived });
    let refused = stage.alice.patch(&stage.room, archive(true)).await;
    assert_eq!((refused.status, refused.text("code")), (409, "conflict"));
    assert!(refused.text("detail").contains("builder"), "{}", refused.raw);
    stage.command("stop-agent").await;

    let archived = stage.alice.patch(&stage.room, archive(true)).await;
    assert!(archived.body["archivedAt"].is_i64(), "{}", archived.raw);
    assert_eq!(stage.alice.get("/api/chatrooms").await.body["chatrooms"], json!([]));
    let start = json!({ "type": "start-agent", "chatroomId": stage.room_id(), "role": "builder" });
    let join = json!({ "connectionId": "a".repeat(32), "machineId": uuid::Uuid::new_v4() });
    for refused in [
        stage.alice.post(&format!("{}/messages", stage.room), json!({ "content": "x" })).await,
        stage.alice.post(&format!("{}/roles/reviewer/join", stage.room), join).await,
        stage.send(&stage.alice, start).await,
    ] {
        assert_eq!((refused.status, refused.text("code")), (409, "room_archived"), "{}", refused.raw);
        assert!(refused.text("detail").contains("room unarchive"), "{}", refused.raw);
    }
    assert_eq!(stage.alice.get(&format!("{}/messages", stage.room)).await.status, 200, "it can still be read");

    let back = stage.bob.patch(&stage.room, archive(false)).await;
    assert!(back.body["archivedAt"].is_null(), "{}", back.raw);
    stage.say(&stage.alice, "on we go").await;
    assert_eq!(stage.alice.get("/api/chatrooms").await.body["chatrooms"].as_array().map(Vec::len), Some(1));
}
