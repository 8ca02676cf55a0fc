//! Transcripts of real agents, from their machine to whoever reads.

use std::process::Stdio;

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use crate::laptop::{Desk, Laptop};

/// What the official client has read so far; the sender goes when it has come to the end.
fn follow(world: &World, token: &str, run: &str, live: &str) -> watch::Receiver<Vec<Value>> {
    let (told, seen) = watch::channel(Vec::new());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/follow.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .env("PATH", chatroom_testkit::agents::path().expect("the agent programs"))
        .env("CLIENT", chatroom_testkit::agents::streams_client().expect("the client"))
        .env("URL", format!("{}/api/runs/{run}/transcript", world.url()))
        .env("TOKEN", token)
        .env("LIVE", live)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let event = serde_json::from_str(&line).expect("JSON");
            told.send_modify(|events| events.push(event));
        }
        assert!(child.wait().await.expect("an exit").success(), "the client failed");
    });
    seen
}

fn has(events: &[Value], text: &str) -> bool {
    events.iter().any(|event| event["event"]["text"].as_str().is_some_and(|said| said.contains(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_follows_a_live_run_to_its_end_across_restarts_of_the_server() {
    let (mut world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "claude", "auto", &["builder"]).await;
    let run = desk.start("builder").await;
    let mut readers = ["sse", "long-poll"].map(|live| follow(&world, alice.token(), &run, live));
    desk.until_status("builder", "waiting").await;
    for word in ["before", "between", "after"] {
        let path = format!("/api/chatrooms/{}/agents/builder/follow-up", desk.room);
        let sent = alice.post(&path, json!({ "text": format!("[[say: {word} the restart]]") })).await;
        assert!(sent.status < 300, "{}", sent.raw);
        for reader in &mut readers {
            let said = reader.wait_for(|events| has(events, &format!("{word} the restart")));
            let said = tokio::time::timeout(std::time::Duration::from_mins(2), said).await;
            assert!(said.is_ok_and(|said| said.is_ok()), "{word} never came: {}", laptop.daemon_log());
        }
        if word != "after" {
            world.restart().await;
            desk.until_status("builder", "waiting").await;
        }
    }
    desk.command("stop-agent", "builder").await;
    for reader in &mut readers {
        // Nothing changes any more once it has ended by itself.
        let ended = async { while reader.changed().await.is_ok() {} };
        tokio::time::timeout(std::time::Duration::from_mins(2), ended).await.expect("the end of the transcript");
    }
    let whole = alice.get(&format!("/api/runs/{run}/transcript")).await;
    assert_eq!(whole.header("stream-closed"), "true");
    let whole = whole.body.as_array().expect("events").clone();
    assert_eq!(whole.last().expect("an end")["event"]["type"], "exited");
    for reader in readers {
        assert_eq!(*reader.borrow(), whole, "every event, once and in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_week_without_a_server_one_message_reaches_the_same_session() {
    let (mut world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "claude", "auto", &["builder"]).await;
    let run = desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    let path = format!("/api/chatrooms/{}/agents/builder/follow-up", desk.room);
    let transcript = format!("/api/runs/{run}/transcript");
    let says = async |text: &str| {
        let sent = alice.post(&path, json!({ "text": format!("[[say: {text}]]") })).await;
        assert!(sent.status < 300, "{}", sent.raw);
        laptop
            .until(text, async || {
                let events = alice.get(&transcript).await.body;
                events.as_array().is_some_and(|events| has(events, text))
            })
            .await;
        desk.until_status("builder", "waiting").await;
    };
    says("the week begins").await;
    for days in [2, 5, 7] {
        // The server comes back that much later, for a moment.
        world.restart().await;
        world.clock().advance(days * 24 * 3600 * 1000);
        desk.until_status("builder", "waiting").await;
    }
    says("the week is over").await;

    let agent = desk.agent("builder").await;
    assert_eq!(agent["run"]["runId"], run, "{agent}");
    let events = alice.get(&transcript).await.body;
    let events = events.as_array().expect("events");
    let of = |kind: &str| events.iter().filter(|event| event["event"]["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("tool_started").len(), 1, "one process all the time");
    let sessions: std::collections::BTreeSet<_> =
        of("session").iter().map(|event| event["event"]["id"].as_str()).collect();
    assert_eq!(sessions.len(), 1, "one conversation all the time");
    let numbers: Vec<_> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "no gap and no double");
    let asked = model.requests();
    let last = asked.last().expect("a request").body.to_string();
    assert!(last.contains("the week begins") && last.contains("the week is over"), "it remembers: {last}");
}
