//! Steering the real programs from afar: what waits, an interrupt, a daemon that is killed, and a conversation that
//! goes on. All of it is in the transcript, in one order.

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use serde_json::{Value, json};

use crate::laptop::{Desk, Laptop};
use crate::stories::HAND_OFF;

/// Returns what happened in a run: when, `type` and what tells it from others.
async fn transcript(desk: &Desk<'_>, run: &str) -> Vec<(i64, String, String)> {
    let there = desk.user.get(&format!("/api/machines/{}/runs/{run}/transcript", desk.laptop.id)).await;
    assert_eq!(there.status, 200, "{}", there.raw);
    let each = there.body.as_array().expect("events").iter().map(|line| {
        let event = &line["event"];
        let about = [&event["text"], &event["outcome"], &event["by"]["name"], &event["input"], &event["id"]];
        let about = about.into_iter().find_map(Value::as_str).unwrap_or_default();
        (line["at"].as_i64().expect("a time"), event["type"].as_str().expect("a type").to_owned(), about.to_owned())
    });
    each.collect()
}

async fn steered(tool: &str) {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let mut laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, tool, "auto", &["builder"]).await;
    let first = desk.start("builder").await;
    let agent = format!("/api/chatrooms/{}/agents/builder", desk.room);
    let follow = |text: &str| json!({ "text": text });
    let file = |name: &str| laptop.work_dir().join(name);

    // It is busy; what is said meanwhile waits, and is changed while it does.
    let busy = "[[run: touch began; until test -e go; do sleep 0.1; done]]";
    desk.say(&format!("the word is plum {busy} {HAND_OFF}")).await;
    laptop.until("it is busy", async || file("began").exists()).await;
    let told = alice.post(&format!("{agent}/follow-up"), follow("[[run: touch wrong]]")).await;
    let prompt = format!("{agent}/prompts/{}", told.text("promptId"));
    let edited = alice.put(&prompt, follow("[[run: touch right]]")).await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    let gone = alice.post(&format!("{agent}/follow-up"), follow("[[run: touch never]]")).await;
    let gone = alice.delete(&format!("{agent}/prompts/{}", gone.text("promptId"))).await;
    assert_eq!(gone.status, 200, "{}", gone.body);

    // The daemon dies, and the one after it goes on with all that.
    let room = desk.room.clone();
    laptop.crash_daemon().await;
    laptop.start_daemon(&alice).await;
    let desk = Desk { user: &alice, laptop: &laptop, room };
    let file = |name: &str| laptop.work_dir().join(name);
    std::fs::write(file("go"), "").expect("the file it waits for");
    laptop.until("it is told what waited", async || file("right").exists()).await;
    assert!(!file("wrong").exists() && !file("never").exists());
    let late = alice.put(&prompt, follow("too late")).await;
    assert_eq!((late.status, late.text("code")), (409, "prompt_settled"), "{}", late.body);

    let text = "[[run: touch long; python3 -c \"import time; time.sleep(300)\"]]";
    alice.post(&format!("{agent}/follow-up"), follow(text)).await;
    laptop.until("the tool runs", async || file("long").exists()).await;
    assert_eq!(alice.post(&format!("{agent}/interrupt"), json!({})).await.status, 200);
    let steered = ["prompt_sent", "interrupt_asked", "turn_ended", "stop_asked"];
    laptop
        .until("the turn is over", async || {
            let ended = |(_, kind, how): &(i64, String, String)| kind == "turn_ended" && how == "interrupted";
            transcript(&desk, &first).await.iter().any(ended)
        })
        .await;
    let stopped = desk.command("stop-agent", "builder").await;
    assert_eq!(stopped["status"], "completed", "{stopped}");
    let told = transcript(&desk, &first).await;
    let at = |wanted: &str| told.iter().filter(|(_, kind, _)| kind == wanted).map(|(at, ..)| *at).next_back();
    let interrupt = at("turn_ended").zip(at("interrupt_asked")).map(|(end, asked)| end - asked).expect("both");
    println!("{tool}: an interrupt ended the turn after {interrupt} ms");
    assert!(interrupt < 10_000, "took {interrupt} ms");
    let order: Vec<_> = told.iter().filter(|(_, kind, _)| steered.contains(&kind.as_str())).collect();
    let order: Vec<_> = order.into_iter().map(|(_, kind, about)| (kind.as_str(), about.as_str())).collect();
    let texts = |about: &str| about.lines().last().unwrap_or_default().to_owned();
    assert_eq!(order[0].0, "prompt_sent");
    assert!(order[0].1.contains("the word is plum"), "{order:?}");
    let rest: Vec<_> = order[1..].iter().map(|(kind, about)| (*kind, texts(about))).collect();
    let expected = [
        ("turn_ended", "end"),
        ("prompt_sent", "[[run: touch right]]"),
        ("turn_ended", "end"),
        ("prompt_sent", text),
        ("interrupt_asked", "alice"),
        ("turn_ended", "interrupted"),
        ("stop_asked", "alice"),
    ];
    let rest: Vec<_> = rest.iter().map(|(kind, about)| (*kind, about.as_str())).collect();
    assert_eq!(rest, expected);

    // A new run goes on with that conversation, where its user wants it.
    let path = format!("/api/machines/{}/commands", laptop.id);
    let body = json!({ "type": "start-agent", "chatroomId": desk.room, "role": "builder", "resume": true });
    let started = alice.post(&path, body).await;
    assert_eq!(started.status, 201, "{}", started.body);
    assert_ne!(started.text("runId"), first);
    desk.until_status("builder", "waiting").await;
    alice.post(&format!("{agent}/follow-up"), follow("which word? [[run: touch resumed]]")).await;
    laptop.until("it goes on", async || file("resumed").exists()).await;
    let heard = model.requests();
    let last = heard.iter().rev().find(|request| request.prompt().contains("which word?")).expect("heard");
    assert!(last.body.to_string().contains("the word is plum"), "{}", last.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_is_steered() {
    steered("claude").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_is_steered() {
    steered("opencode").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pi_is_steered() {
    steered("pi").await;
}
