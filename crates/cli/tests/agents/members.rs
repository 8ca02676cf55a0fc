//! A room member who is not the machine's user cannot make an agent on that machine act.

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use serde_json::json;

use crate::laptop::{Desk, Laptop};

#[tokio::test(flavor = "multi_thread")]
async fn another_member_cannot_make_my_agent_act() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let bob = world.user("bob").await;
    world.befriend(&alice, &bob).await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "pi", "auto", &["builder"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    let room = &desk.room;
    let machine = &laptop.id;

    // Not by configuration, command, interrupt, follow-up or sharing: each looks like nothing is there.
    let config = json!({ "agentType": "pi", "workingDir": "/", "mode": "auto" });
    let answers = [
        bob.put(&format!("/api/machines/{machine}/agents/{room}/builder"), config).await,
        bob.post(
            &format!("/api/machines/{machine}/commands"),
            json!({ "type": "stop-agent", "chatroomId": room, "role": "builder" }),
        )
        .await,
        bob.post(&format!("/api/chatrooms/{room}/agents/builder/interrupt"), json!({})).await,
        bob.post(&format!("/api/chatrooms/{room}/agents/builder/follow-up"), json!({ "text": "hi" })).await,
        bob.put(&format!("/api/chatrooms/{room}/agents/builder/share"), json!({ "shared": true })).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 404, "{}", answer.body);
    }

    // Not by message: it waits for alice.
    let said =
        bob.post(&format!("/api/chatrooms/{room}/messages"), json!({ "content": "[[run: echo bob > bob.txt]]" })).await;
    assert_eq!(said.status, 201, "{}", said.body);
    let tasks = alice.get(&format!("/api/chatrooms/{room}/tasks")).await.body;
    assert_eq!(tasks["tasks"][0]["heldForOwner"], json!(true), "{tasks}");
    let task = tasks["tasks"][0]["taskId"].as_str().expect("a task").to_owned();
    let approve = format!("/api/chatrooms/{room}/tasks/{task}/approve");
    assert_eq!(bob.post(&approve, json!({})).await.status, 403);
    assert_eq!(model.requests().len(), 0, "no word of bob's reached the model");
    assert_eq!(desk.agent("builder").await["status"], "waiting");

    // Until alice lets it through.
    let approved = alice.post(&approve, json!({})).await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    laptop.until("bob's task is done", async || laptop.work_dir().join("bob.txt").exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_members_hand_off_and_answer_do_not_reach_my_agent() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let bob = world.user("bob").await;
    world.befriend(&alice, &bob).await;
    let laptop = Laptop::start(&alice, &model).await;
    let desk = Desk::new(&alice, &laptop, "claude", "ask", &["builder", "helper"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    let room = &desk.room;

    // A permission that alice's agent asks for is not bob's to see or to answer.
    desk.say("[[run: echo mine > mine.txt]]").await;
    let asked = desk.until_status("builder", "needs-you").await["permissions"][0].clone();
    let seen = bob.get(&format!("/api/chatrooms/{room}/agents")).await.body;
    assert!(!seen.to_string().contains("mine.txt"), "{seen}");
    let id = asked["permissionId"].as_str().expect("an id");
    let answer = json!({ "decision": "allow", "digest": asked["digest"] });
    let path = format!("/api/chatrooms/{room}/agents/builder/permissions/{id}");
    assert_eq!(bob.post(&path, answer).await.status, 404);
    assert!(!laptop.work_dir().join("mine.txt").exists());
    let denied = alice.post(&path, json!({ "decision": "deny", "digest": asked["digest"] })).await;
    assert_eq!(denied.status, 200, "{}", denied.body);
    desk.until_status("builder", "awaiting-handoff").await;
    let tasks = alice.get(&format!("/api/chatrooms/{room}/tasks")).await.body;
    let task = tasks["tasks"][0]["taskId"].as_str().expect("a task").to_owned();
    let forced = alice.post(&format!("/api/chatrooms/{room}/tasks/{task}/complete"), json!({})).await;
    assert_eq!(forced.status, 200, "{}", forced.body);

    // Bob works the other role from a shell of his, and hands on to alice's agent.
    let connection = "b".repeat(32);
    let join = json!({ "connectionId": connection, "machineId": "00000000-0000-4000-8000-000000000001" });
    let joined = bob.post(&format!("/api/chatrooms/{room}/roles/helper/join"), join).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    let to_helper = json!({ "content": "for the helper", "targetRole": "helper" });
    assert_eq!(bob.post(&format!("/api/chatrooms/{room}/messages"), to_helper).await.status, 201);
    let wait = json!({ "connectionId": connection });
    let got = bob.post(&format!("/api/chatrooms/{room}/roles/helper/wait"), wait).await.body;
    assert_eq!(got["event"], "task", "{got}");
    let pass = json!({ "nextRole": "builder", "content": "[[run: echo passed > passed.txt]]" });
    let passed = bob.post(&format!("/api/chatrooms/{room}/roles/helper/handoff"), pass).await;
    assert_eq!(passed.status, 200, "{}", passed.body);
    let tasks = alice.get(&format!("/api/chatrooms/{room}/tasks")).await.body;
    assert_eq!(tasks["tasks"][0]["heldForOwner"], json!(true), "{tasks}");
    // The agent itself may still be told to hand its own task on.
    let read = model.requests().iter().any(|request| request.body.to_string().contains("passed.txt"));
    assert!(!read, "no word of bob's reached the model");
    assert!(!laptop.work_dir().join("passed.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_refuses_what_its_policy_does_not_permit_whoever_asks() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    let desk = Desk::new(&alice, &laptop, "claude", "auto", &["builder"]).await;

    // Mode auto was never permitted on the machine.
    let outcome = desk.command("start-agent", "builder").await;
    assert_eq!(outcome["status"], "failed", "{outcome}");
    assert!(outcome["result"].as_str().unwrap_or_default().contains("chatroom machine allow --auto"), "{outcome}");

    // Nor was any other directory; a link does not get around it.
    let outside = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(outside.path(), laptop.work_dir().join("link")).expect("a link");
    for dir in [outside.path().to_path_buf(), laptop.work_dir().join("link"), "/".into(), laptop.folder().to_path_buf()]
    {
        let path = format!("/api/machines/{}/agents/{}/builder", laptop.id, desk.room);
        let saved = alice.put(&path, json!({ "agentType": "claude", "workingDir": dir, "mode": "ask" })).await;
        assert_eq!(saved.status, 200, "{}", saved.body);
        let outcome = desk.command("start-agent", "builder").await;
        assert_eq!(outcome["status"], "failed", "{dir:?}: {outcome}");
        assert!(outcome["result"].as_str().unwrap_or_default().contains("chatroom machine allow"), "{outcome}");
    }
    assert_eq!(model.requests().len(), 0);
}
