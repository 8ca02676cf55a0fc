//! Waiting, claiming, handing on, over HTTP: the unmanaged agent's side of a room.

use std::time::Duration;

use chatroom_testkit::world::{User, World};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::Stage;

/// Joins a role as a fresh connection and returns its id.
async fn join(user: &User, room: &str, role: &str) -> String {
    let connection = Uuid::new_v4().simple().to_string();
    let body = json!({ "connectionId": connection, "machineId": Uuid::new_v4() });
    let joined = user.post(&format!("{room}/roles/{role}/join"), body).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    assert!(joined.body["prompt"].as_str().unwrap_or_default().contains("wait-for-task"));
    connection
}

async fn wait(user: &User, room: &str, role: &str, connection: &str) -> Value {
    let answer = user.post(&format!("{room}/roles/{role}/wait"), json!({ "connectionId": connection })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn say(user: &User, room: &str, text: &str) {
    let sent = user.post(&format!("{room}/messages"), json!({ "content": text })).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
}

async fn states(user: &User, room: &str) -> Vec<(String, String)> {
    let tasks = user.get(&format!("{room}/tasks")).await.body;
    let word = |task: &Value, name: &str| task[name].as_str().unwrap_or_default().to_owned();
    tasks["tasks"].as_array().expect("tasks").iter().map(|task| (word(task, "role"), word(task, "state"))).collect()
}

#[tokio::test]
async fn a_waiter_gets_a_message_sent_while_it_waits() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let connection = join(&alice, &room, "builder").await;
    let (got, ()) = tokio::join!(wait(&alice, &room, "builder", &connection), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        say(&alice, &room, "do it").await;
    });
    assert_eq!(got["event"], "task");
    assert_eq!(got["task"]["state"], "acknowledged");
    let prompt = got["prompt"].as_str().expect("a prompt");
    assert!(prompt.contains("> do it"), "{prompt}");
    assert!(prompt.contains(&format!("--task-id={}", got["task"]["taskId"].as_str().expect("an id"))), "{prompt}");

    // The answer got lost on the way: the same connection asks again and gets the same task.
    assert_eq!(wait(&alice, &room, "builder", &connection).await["task"]["taskId"], got["task"]["taskId"]);
}

#[tokio::test]
async fn a_newer_waiter_supersedes_the_older_and_exactly_one_claims() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let old = join(&alice, &room, "builder").await;
    let (superseded, new) = tokio::join!(wait(&alice, &room, "builder", &old), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        join(&alice, &room, "builder").await
    });
    assert_eq!(superseded["event"], "superseded");
    say(&alice, &room, "once").await;
    let (first, second) = tokio::join!(wait(&alice, &room, "builder", &old), wait(&alice, &room, "builder", &new));
    assert_eq!((&first["event"], &second["event"]), (&json!("superseded"), &json!("task")));
}

#[tokio::test]
async fn a_handoff_moves_work_on_and_repeats_its_first_answer() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder", "reviewer"]).await;
    let builder = join(&alice, &room, "builder").await;
    say(&alice, &room, "build it").await;
    say(&alice, &room, "and then this").await;
    let task = wait(&alice, &room, "builder", &builder).await["task"]["taskId"].clone();

    let unknown = json!({ "taskId": task, "nextRole": "nobody", "content": "done" });
    let refused = alice.post(&format!("{room}/roles/builder/handoff"), unknown).await;
    assert_eq!((refused.status, &refused.body["allowed"]), (404, &json!(["builder", "reviewer", "user"])));

    let body = json!({ "taskId": task, "nextRole": "reviewer", "content": "built it" });
    let first = alice.post(&format!("{room}/roles/builder/handoff"), body.clone()).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let again = alice.post(&format!("{room}/roles/builder/handoff"), body).await;
    assert_eq!(again.body, first.body);
    assert_eq!(
        states(&alice, &room).await,
        [("reviewer".into(), "pending".into()), ("builder".into(), "completed".into())]
    );

    // Back to the people: the queue moves.
    let reviewer = join(&alice, &room, "reviewer").await;
    let got = wait(&alice, &room, "reviewer", &reviewer).await;
    assert!(got["prompt"].as_str().unwrap_or_default().contains("from the agent `builder`"));
    let to_user = json!({ "nextRole": "user", "content": "fine" });
    let done = alice.post(&format!("{room}/roles/reviewer/handoff"), to_user).await;
    assert_eq!((done.status, &done.body["nextTask"]), (200, &json!(null)), "{}", done.body);
    let got = wait(&alice, &room, "builder", &join(&alice, &room, "builder").await).await;
    assert!(got["prompt"].as_str().unwrap_or_default().contains("> and then this"));
}

#[tokio::test]
async fn who_does_not_hold_a_task_cannot_move_it() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let connection = join(&alice, &room, "builder").await;
    say(&alice, &room, "mine").await;
    let task = wait(&alice, &room, "builder", &connection).await["task"]["taskId"].as_str().expect("an id").to_owned();
    let path = format!("{room}/tasks/{task}");
    for (answer, code) in [
        (bob.post(&format!("{path}/start"), json!({ "role": "builder" })).await, "not_the_holder"),
        (bob.post(&format!("{path}/complete"), json!({ "role": "builder" })).await, "not_the_holder"),
        (bob.post(&format!("{path}/release"), json!({})).await, "not_the_holder"),
        (
            bob.post(
                &format!("{room}/roles/builder/handoff"),
                json!({ "taskId": task, "nextRole": "user", "content": "x" }),
            )
            .await,
            "not_the_holder",
        ),
    ] {
        assert_eq!((answer.status, answer.body["code"].as_str()), (409, Some(code)), "{}", answer.body);
    }
    let started = alice.post(&format!("{path}/start"), json!({ "role": "builder" })).await;
    assert_eq!((started.status, &started.body["task"]["state"]), (200, &json!("in_progress")), "{}", started.body);
    let finished = alice.post(&format!("{path}/complete"), json!({ "role": "builder" })).await;
    assert_eq!(finished.body["state"], "completed");
    let late = alice.post(&format!("{path}/start"), json!({ "role": "builder" })).await;
    assert_eq!(
        (late.status, &late.body["code"], &late.body["state"]),
        (409, &json!("task_state"), &json!("completed"))
    );
}

#[tokio::test]
async fn a_claim_that_is_never_started_goes_back_after_a_minute() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let lost = join(&alice, &room, "builder").await;
    say(&alice, &room, "who does it").await;
    assert_eq!(wait(&alice, &room, "builder", &lost).await["event"], "task");
    assert_eq!(states(&alice, &room).await, [("builder".into(), "acknowledged".into())]);
    world.clock().advance(61_000);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while states(&alice, &room).await != [("builder".into(), "pending".into())] {
        assert!(std::time::Instant::now() < until, "it never went back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn two_agents_cannot_pass_work_back_and_forth_for_ever() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["a", "b"]).await;
    say(&alice, &room, "play").await;
    let mut hops = 0;
    let refused = loop {
        let (role, next) = if hops % 2 == 0 { ("a", "b") } else { ("b", "a") };
        let connection = join(&alice, &room, role).await;
        assert_eq!(wait(&alice, &room, role, &connection).await["event"], "task");
        let answer =
            alice.post(&format!("{room}/roles/{role}/handoff"), json!({ "nextRole": next, "content": "ball" })).await;
        if answer.status != 200 {
            break answer;
        }
        hops += 1;
        assert!(hops < 100, "no limit");
    };
    assert_eq!((hops, refused.status, &refused.body["code"]), (30, 409, &json!("handoff_limit")));
    let history = alice.get(&format!("{room}/messages?limit=500&senderRole=system")).await.body;
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1), "a person is asked, once: {history}");
    let to_user = json!({ "nextRole": "user", "content": "enough" });
    assert_eq!(alice.post(&format!("{room}/roles/a/handoff"), to_user).await.status, 200);
}

#[tokio::test]
async fn another_members_words_wait_for_the_agents_user() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let connection = join(&alice, &room, "builder").await;
    say(&bob, &room, "do this for me").await;
    let tasks = alice.get(&format!("{room}/tasks")).await.body;
    assert_eq!(tasks["tasks"][0]["heldForOwner"], true, "{tasks}");
    let approve = format!("{room}/tasks/{}/approve", tasks["tasks"][0]["taskId"].as_str().expect("an id"));
    assert_eq!(bob.post(&approve, json!({})).await.status, 403);
    let (got, ()) = tokio::join!(wait(&alice, &room, "builder", &connection), async {
        let approved = alice.post(&approve, json!({})).await;
        assert_eq!(approved.status, 200, "{}", approved.body);
    });
    assert_eq!(got["event"], "task");
}

#[tokio::test]
async fn context_is_printed_again_with_the_current_task() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let context = format!("{room}/roles/builder/prompt");
    let before = alice.get(&context).await.body["prompt"].as_str().expect("text").to_owned();
    assert!(before.contains("No task is yours"), "{before}");
    let connection = join(&alice, &room, "builder").await;
    say(&alice, &room, "remember me").await;
    wait(&alice, &room, "builder", &connection).await;
    let after = alice.get(&context).await.body["prompt"].as_str().expect("text").to_owned();
    assert!(after.contains("> remember me"), "{after}");
}

#[tokio::test]
async fn a_wait_ends_with_its_membership() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let connection = join(&bob, &room, "builder").await;
    let path = format!("{room}/roles/builder/wait");
    let me = bob.get("/api/auth/session").await.body;
    let member = format!("/api/instances/{}/members/{}", alice.instance, me["userId"].as_str().expect("an id"));
    let (waited, ()) = tokio::join!(bob.post(&path, json!({ "connectionId": connection })), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(alice.delete(&member).await.status, 200);
    });
    assert_eq!(waited.status, 404, "{}", waited.body);
}

#[tokio::test]
async fn a_wait_ends_with_its_session() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let connection = join(&alice, &room, "builder").await;
    let me = alice.get("/api/auth/session").await.body;
    let session = format!("/api/auth/sessions/{}", me["sessionId"].as_str().expect("an id"));
    let path = format!("{room}/roles/builder/wait");
    let (waited, ()) = tokio::join!(alice.post(&path, json!({ "connectionId": connection })), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(alice.delete(&session).await.status, 200);
    });
    assert_eq!(waited.status, 401, "{}", waited.body);
}

#[tokio::test]
async fn unfinished_work_of_a_shell_that_died_comes_back_first() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let died = join(&alice, &room, "builder").await;
    say(&alice, &room, "half done").await;
    let task = wait(&alice, &room, "builder", &died).await["task"]["taskId"].clone();
    let start = format!("{room}/tasks/{}/start", task.as_str().expect("an id"));
    assert_eq!(alice.post(&start, json!({ "role": "builder" })).await.status, 200);
    let next = join(&alice, &room, "builder").await;
    assert_eq!(wait(&alice, &room, "builder", &next).await["task"]["taskId"], task);
}

#[tokio::test]
async fn a_hand_off_does_not_launder_another_members_words() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder", "reviewer"]).await;
    let builder = join(&alice, &room, "builder").await;
    say(&bob, &room, "tell the reviewer to do X").await;
    let tasks = alice.get(&format!("{room}/tasks")).await.body;
    let id = tasks["tasks"][0]["taskId"].as_str().expect("an id");
    assert_eq!(alice.post(&format!("{room}/tasks/{id}/approve"), json!({})).await.status, 200);
    assert_eq!(wait(&alice, &room, "builder", &builder).await["event"], "task");
    let pass = json!({ "nextRole": "reviewer", "content": "do X" });
    assert_eq!(alice.post(&format!("{room}/roles/builder/handoff"), pass).await.status, 200);
    join(&alice, &room, "reviewer").await;
    let tasks = alice.get(&format!("{room}/tasks")).await.body;
    assert_eq!(tasks["tasks"][0]["heldForOwner"], true, "{tasks}");
}

#[tokio::test]
async fn an_agent_that_loops_cannot_flood_its_room() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    daemon.started(&push).await;
    let start = push.start.expect("what to start");
    let agent = stage.world.anonymous().with_token(&start.run_token);
    let path = format!("/api/chatrooms/{}/messages", start.slot.chatroom_id);
    let mut written = 0;
    let refused = loop {
        let answer = agent.post(&path, json!({ "content": "again" })).await;
        if answer.status != 201 {
            break answer;
        }
        written += 1;
        assert!(written <= 600, "no limit");
    };
    assert_eq!((written, refused.status), (600, 429), "{}", refused.body);
    assert_eq!(refused.body["code"], "too_many_requests");
    assert!(!refused.header("retry-after").is_empty());
}
