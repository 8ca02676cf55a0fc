//! The loop of an agent that nobody manages: wait, work, hand on, wait again.

use std::time::Duration;

use chatroom_testkit::world::{User, World};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::desk::{Desk, Ended, Running, until};

async fn room(desk: &Desk, roles: &str) -> String {
    let roles: Vec<_> = roles.split(' ').map(|role| format!("--role={role}")).collect();
    desk.run(&format!("room create hello {}", roles.join(" "))).await.exits(0).out.trim().to_owned()
}

/// Starts a wait, and returns once it says that it waits.
pub async fn wait(desk: &Desk, room: &str, role: &str, more: &str) -> Running {
    let line = format!("wait-for-task --chatroom-id={room} --role={role} {more}");
    let running = desk.start(line.trim_end());
    running.until("it waits", |_, err| err.contains("Waiting for a task")).await;
    running
}

/// A wait that registers what it runs on, says that it waits, and is then left by Ctrl+C.
pub async fn visit(desk: &Desk, room: &str, role: &str, more: &str) -> Ended {
    let running = wait(desk, room, role, more).await;
    running.signal(Signal::SIGINT);
    running.ended().await.exits(0)
}

fn task_in(prompt: &str) -> String {
    let at = prompt.find("task_").expect("a task's id");
    prompt[at..at + 31].to_owned()
}

async fn tasks(user: &User, room: &str) -> Vec<Value> {
    let tasks = user.get(&format!("/api/chatrooms/{room}/tasks")).await;
    tasks.body["tasks"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_task_goes_from_a_person_through_two_shells_and_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder reviewer").await;

    let builder = wait(&desk, &room, "builder", "").await;
    assert!(builder.out().contains("You are `builder`"), "{}", builder.out());
    let machines = desk.run("machine list --json").await.exits(0).json();
    assert_eq!(machines["machines"][0]["machineId"], desk.file("machine.json")["machineId"]);
    let reviewer = wait(&desk, &room, "reviewer", "").await;

    desk.pipe(&format!("message send --chatroom-id={room}"), "Add a login page.").await.exits(0);
    let given = builder.ended().await.exits(0);
    assert!(given.out.contains("> Add a login page."), "{}", given.all());
    let task = task_in(given.out.split("> Add").next().and_then(|text| text.rsplit("Task ").next()).expect("a task"));
    let place = format!("--chatroom-id={room} --role=builder");
    let started = desk.run(&format!("task-started {place} --task-id={task} --no-classify")).await.exits(0);
    assert!(started.out.contains("in progress"), "{}", started.all());
    desk.pipe(&format!("report-progress {place}"), "half done").await.exits(0);

    let line = format!("handoff {place} --task-id={task} --next-role=reviewer");
    let handed = desk.pipe(&line, "Login page is there.").await.exits(0);
    assert!(handed.out.contains("chatroom wait-for-task"), "{}", handed.all());
    // Repeated, it is answered as the first time and makes no second task.
    desk.pipe(&line, "Login page is there.").await.exits(0);

    let given = reviewer.ended().await.exits(0);
    assert!(given.out.contains("> Login page is there.") && given.out.contains("`builder`"), "{}", given.all());
    let place = format!("--chatroom-id={room} --role=reviewer");
    let refused = desk.pipe(&format!("handoff {place} --next-role=painter"), "x").await.exits(1);
    assert!(refused.err.contains("builder, reviewer") && refused.err.contains("unknown_role"), "{}", refused.all());
    desk.pipe(&format!("handoff {place} --next-role=user"), "Reviewed; it is fine.").await.exits(0);

    let history = desk.run(&format!("messages --chatroom-id={room}")).await.exits(0).out;
    for said in ["Add a login page.", "half done", "Login page is there.", "Reviewed; it is fine."] {
        assert_eq!(history.matches(said).count(), 1, "{said}\n{history}");
    }
    assert!(tasks(&ada, &room).await.iter().all(|task| task["state"] == "completed"));
    let context = desk.run(&format!("context read {place}")).await.exits(0);
    assert!(context.out.contains("You are `reviewer`"), "{}", context.all());
}

#[tokio::test]
async fn the_newer_wait_supersedes_the_older_which_says_how_to_come_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    let older = wait(&desk, &room, "builder", "").await;
    let newer = wait(&desk, &room, "builder", "").await;
    let ended = older.ended().await.exits(0);
    for part in
        ["Event: superseded", "Time: ", "What it means: ", "What to do: ", "chatroom wait-for-task --chatroom-id="]
    {
        assert!(ended.err.contains(part), "{part}\n{}", ended.all());
    }
    desk.run(&format!("message send --chatroom-id={room} --content=go")).await.exits(0);
    let given = newer.ended().await.exits(0);
    assert!(given.out.contains("> go"), "{}", given.all());
}

#[tokio::test]
async fn a_wait_ends_by_time_or_signal_with_how_to_come_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    let ended = desk.run(&format!("wait-for-task --chatroom-id={room} --role=builder --duration=1s")).await.exits(0);
    assert!(ended.err.contains("Event: time-up"), "{}", ended.all());
    let ended = desk.run(&format!("wait-for-task --chatroom-id={room} --role=builder --timeout 500")).await.exits(0);
    assert!(ended.err.contains("Event: time-up"), "{}", ended.all());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let running = wait(&desk, &room, "builder", "").await;
        running.signal(signal);
        let ended = running.ended().await.exits(0);
        assert!(ended.err.contains("Event: stopped") && ended.err.contains("Come back with"), "{}", ended.all());
    }
}

#[tokio::test]
async fn a_wait_outlives_a_restart_of_the_server() {
    let mut world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    let running = wait(&desk, &room, "builder", "").await;
    world.restart().await;
    desk.run(&format!("message send --chatroom-id={room} --content=go")).await.exits(0);
    let given = running.ended().await.exits(0);
    assert!(given.out.contains("> go"), "{}", given.all());
    assert_eq!(given.err.matches("Trying again").count(), 1, "{}", given.all());
    assert_eq!(given.err.matches("reachable again").count(), 1, "{}", given.all());
}

#[tokio::test]
async fn a_task_that_cannot_be_printed_goes_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    let mut running = wait(&desk, &room, "builder", "").await;
    running.close_stdout().await;
    desk.run(&format!("message send --chatroom-id={room} --content=go")).await.exits(0);
    let ended = running.ended().await.exits(1);
    assert!(ended.err.contains("went back") && ended.err.contains("chatroom wait-for-task"), "{}", ended.all());
    assert_eq!(tasks(&ada, &room).await[0]["state"], "pending");
    let again = wait(&desk, &room, "builder", "").await.ended().await.exits(0);
    assert!(again.out.contains("> go"), "{}", again.all());
}

#[tokio::test]
async fn a_stranger_and_an_unknown_role_are_refused() {
    let world = World::start().await;
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    let line = format!("wait-for-task --chatroom-id={room} --role=painter --duration=20s");
    let unknown = desk.run(&line).await.exits(1);
    assert!(unknown.err.contains("unknown_role") && unknown.err.contains("builder"), "{}", unknown.all());
    let stranger = Desk::of(&world, &eve).await;
    let line = format!("wait-for-task --chatroom-id={room} --role=builder --agent-type=claude --duration=20s");
    let refused = stranger.run(&line).await.exits(1);
    assert!(refused.err.contains("not_found"), "{}", refused.all());
}

#[tokio::test]
async fn a_later_wait_tells_the_difference_and_keeps_what_is_saved() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    let unnamed = visit(&desk, &room, "builder", "").await;
    assert!(unnamed.err.contains("no agent program is seen"), "{}", unnamed.all());
    visit(&desk, &room, "builder", "--agent-type=claude").await;
    let other = visit(&desk, &room, "builder", "--agent-type=opencode").await;
    assert!(other.err.contains("claude in") && other.err.contains("stays saved"), "{}", other.all());
    let agents = ada.get(&format!("/api/chatrooms/{room}/agents")).await;
    assert_eq!(agents.body["agents"][0]["configs"][0]["agentType"], "claude", "{}", agents.raw);
    // What really ran is what the machine's own file says.
    assert_eq!(desk.file("machine.json")["chatroomAgents"][&room]["builder"]["agentType"], "opencode");
}

#[tokio::test]
async fn a_message_in_the_instant_of_waiting_is_not_missed() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    for _ in 0..5 {
        let room = room(&desk, "builder").await;
        let running = desk.start(&format!("wait-for-task --chatroom-id={room} --role=builder"));
        desk.run(&format!("message send --chatroom-id={room} --content=go")).await.exits(0);
        let given = running.ended().await.exits(0);
        assert!(given.out.contains("> go"), "{}", given.all());
    }
}

#[tokio::test]
async fn a_wait_waits_for_a_server_that_is_away() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = room(&desk, "builder").await;
    world.stop().await;
    let running = desk.start(&format!("wait-for-task --chatroom-id={room} --role=builder --duration=8s"));
    running.until("it says so", |_, err| err.contains("cannot reach")).await;
    let ended = running.ended().await.exits(0);
    assert_eq!(ended.err.matches("cannot reach").count(), 1, "{}", ended.all());
    assert!(ended.err.contains("Event: time-up"), "{}", ended.all());
}

#[tokio::test]
async fn parallel_first_waits_make_one_machine() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let roles: Vec<_> = (0..6).map(|n| format!("role{n}")).collect();
    let room = room(&desk, &roles.join(" ")).await;
    let waits: Vec<_> = roles
        .iter()
        .map(|role| desk.start(&format!("wait-for-task --chatroom-id={room} --role={role} --agent-type=claude")))
        .collect();
    for running in &waits {
        running.until("it waits", |_, err| err.contains("Waiting for a task")).await;
    }
    until("all roles are saved", async || {
        desk.file("machine.json")["chatroomAgents"][&room].as_object().is_some_and(|saved| saved.len() == 6)
    })
    .await;
    let machines = desk.run("machine list --json").await.exits(0).json();
    assert_eq!(machines["machines"].as_array().map(Vec::len), Some(1), "{machines}");
    for running in waits {
        running.signal(Signal::SIGTERM);
        running.ended().await.exits(0);
    }
    tokio::time::timeout(Duration::from_secs(10), world.stop()).await.expect("the server stops");
}
