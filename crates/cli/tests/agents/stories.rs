//! Start, task, tool, hand-off; ask with allow and deny; follow-up, interrupt, stop.

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use serde_json::json;

use crate::laptop::{Desk, Laptop};

/// Hands on what the agent has, to people.
pub const HAND_OFF: &str =
    "[[run: echo the-result | chatroom handoff --chatroom-id=$CHATROOM_ROOM --role=$CHATROOM_ROLE --next-role=user]]";

async fn an_agent_does_a_task_in_auto(tool: &str) {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, tool, "auto", &["builder"]).await;

    let run = desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    desk.say(&format!("[[run: echo written-by-{tool} > out.txt]] {HAND_OFF}")).await;
    let handoff = desk.until_handoff("builder", "the-result").await;

    assert_eq!(handoff["sender"], "builder");
    assert_eq!(handoff["target"], "user");
    let written = std::fs::read_to_string(laptop.work_dir().join("out.txt")).expect("out.txt");
    assert_eq!(written.trim(), format!("written-by-{tool}"));
    let tasks = alice.get(&format!("/api/chatrooms/{}/tasks", desk.room)).await.body;
    assert_eq!(tasks["tasks"][0]["state"], "completed");
    desk.until_status("builder", "waiting").await;

    follow_up_interrupt_and_stop(&desk, &run).await;
}

async fn follow_up_interrupt_and_stop(desk: &Desk<'_>, run: &str) {
    let dir = desk.laptop.work_dir();
    let agents = format!("/api/chatrooms/{}/agents/builder", desk.room);

    // A follow-up reaches the same session.
    let sent =
        desk.user.post(&format!("{agents}/follow-up"), json!({ "text": "[[run: echo again > again.txt]]" })).await;
    assert!(sent.status < 300, "{}", sent.body);
    desk.laptop.until("the follow-up is done", async || dir.join("again.txt").exists()).await;
    desk.until_status("builder", "waiting").await;

    // An interrupt ends the turn, not the run.
    desk.say("[[run: touch began; python3 -c \"import time; time.sleep(300)\"]]").await;
    desk.laptop.until("the tool runs", async || dir.join("began").exists()).await;
    desk.until_status("builder", "working").await;
    let interrupted = desk.user.post(&format!("{agents}/interrupt"), json!({})).await;
    assert!(interrupted.status < 300, "{}", interrupted.body);
    desk.laptop
        .until("the turn is over", async || {
            ["waiting", "awaiting-handoff"]
                .contains(&desk.agent("builder").await["status"].as_str().unwrap_or_default())
        })
        .await;
    assert_eq!(desk.agent("builder").await["run"]["runId"], run);

    // A stop in the middle of a tool leaves nothing of the tree, the tool's own children included.
    let text = "[[run: touch second; python3 -c \"import time; time.sleep(300)\" & sleep 200 & wait]]";
    let sent = desk.user.post(&format!("{agents}/follow-up"), json!({ "text": text })).await;
    assert!(sent.status < 300, "{}", sent.body);
    desk.laptop.until("the second tool runs", async || dir.join("second").exists()).await;
    assert!(!Laptop::processes_of(run).is_empty(), "the mark reaches the tool's children");
    let stopped = desk.command("stop-agent", "builder").await;
    assert_eq!(stopped["status"], "completed", "{stopped}");
    assert_eq!(Laptop::processes_of(run), Vec::<i32>::new());
    let agent = desk.until_status("builder", "stopped").await;
    assert_eq!(agent["run"]["activity"], "exited");
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_does_a_task_in_auto() {
    an_agent_does_a_task_in_auto("claude").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_does_a_task_in_auto() {
    an_agent_does_a_task_in_auto("opencode").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pi_does_a_task_in_auto() {
    an_agent_does_a_task_in_auto("pi").await;
}

async fn an_agent_asks(tool: &str) {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    let desk = Desk::new(&alice, &laptop, tool, "ask", &["builder"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;

    // Denied: nothing is written, and the run lives on.
    desk.say("[[run: echo no > denied.txt]]").await;
    let denied = desk
        .answer_until("builder", "deny", async || desk.agent("builder").await["status"] == "awaiting-handoff")
        .await;
    assert_eq!(denied, 1);
    assert!(!laptop.work_dir().join("denied.txt").exists());

    // Allowed: it is written and handed on.
    let agents = format!("/api/chatrooms/{}/agents/builder", desk.room);
    let text = format!("[[run: echo yes > allowed.txt]] {HAND_OFF}");
    let sent = alice.post(&format!("{agents}/follow-up"), json!({ "text": text })).await;
    assert!(sent.status < 300, "{}", sent.body);
    let path = format!("/api/chatrooms/{}/messages?limit=200", desk.room);
    let allowed = desk
        .answer_until("builder", "allow", async || {
            let history = alice.get(&path).await.body;
            history["messages"].as_array().is_some_and(|all| all.iter().any(|message| message["kind"] == "handoff"))
        })
        .await;
    assert!(allowed >= 1, "the write was asked for");
    let written = std::fs::read_to_string(laptop.work_dir().join("allowed.txt")).expect("allowed.txt");
    assert_eq!(written, "yes\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_asks_and_is_denied_and_allowed() {
    an_agent_asks("claude").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_asks_and_is_denied_and_allowed() {
    an_agent_asks("opencode").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pi_is_refused_in_ask_and_the_message_says_what_to_do() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    let desk = Desk::new(&alice, &laptop, "pi", "ask", &["builder"]).await;

    let path = format!("/api/machines/{}/commands", laptop.id);
    let body = json!({ "type": "start-agent", "chatroomId": desk.room, "role": "builder" });
    let refused = alice.post(&path, body).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(refused.body["code"], "not_permitted");
    assert!(refused.body["detail"].as_str().unwrap_or_default().contains("chatroom machine allow --auto"));

    // In auto it is the machine that refuses, until its user permits it there.
    desk.configure("builder", "pi", "auto").await;
    let outcome = desk.command("start-agent", "builder").await;
    assert_eq!(outcome["status"], "failed", "{outcome}");
    assert!(outcome["result"].as_str().unwrap_or_default().contains("chatroom machine allow --auto"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_pass_work_on_and_back_to_a_person() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "pi", "auto", &["builder", "reviewer"]).await;
    desk.start("builder").await;
    desk.start("reviewer").await;

    let inner = "echo reviewed | chatroom handoff --chatroom-id=$CHATROOM_ROOM --role=$CHATROOM_ROLE --next-role=user";
    // The reviewer's own task text carries its script, which the builder writes into a file first.
    let pass = "chatroom handoff --chatroom-id=$CHATROOM_ROOM --role=$CHATROOM_ROLE --next-role=reviewer < pass.txt";
    std::fs::write(laptop.work_dir().join("pass.txt"), format!("please review [[run: {inner}]]")).expect("pass.txt");
    desk.say(&format!("[[run: {pass}]]")).await;

    let last = desk.until_handoff("reviewer", "reviewed").await;
    let first = desk.until_handoff("builder", "please review").await;
    assert_eq!((&first["target"], &last["target"]), (&json!("reviewer"), &json!("user")));
}
