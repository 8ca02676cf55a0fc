//! Agents that stop by themselves, and what is kept from them and from others.

use std::time::Duration;

use chatroom_protocol::RunId;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::reports::{Fact, TurnOutcome};
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon, Manner};
use serde_json::json;

use crate::stage::Stage;

/// Sets the stage with a builder that runs.
async fn running() -> (Stage, FakeDaemon, RunId) {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let run = daemon.started(&daemon.command(1).await).await;
    (stage, daemon, run)
}

fn crashed(run_id: RunId) -> Fact {
    Fact::RunExited { run_id, requested: false, reason: "exit code 7".into() }
}

/// Lets time pass while the daemon goes on answering.
async fn pass(stage: &Stage, seconds: i64) {
    stage.world.clock().advance(seconds * 1000);
    let app = stage.world.app();
    chatroom_server::machines::lease::renew(app, app.links.keys()).await.expect("the lease is renewed");
}

#[tokio::test]
async fn a_crashing_agent_is_started_again_ever_slower_and_then_given_up() {
    let (stage, mut daemon, mut run) = running().await;
    for crash in 1..=10_u64 {
        daemon.report([crashed(run)]).await;
        let agent = stage.agent(&stage.alice, "builder").await;
        assert_eq!((&agent["status"], &agent["crashes"]), (&json!("starting"), &json!(crash)), "{agent}");
        let wait = [0, 30, 60].get(usize::try_from(crash - 1).unwrap()).copied().unwrap_or(60);
        if wait > 0 {
            let why = agent["reason"].as_str().unwrap();
            assert!(why.contains("started again in") && why.ends_with(": exit code 7"), "{why}");
            let others = stage.agent(&stage.bob, "builder").await;
            assert!(!others.to_string().contains("exit code 7"), "{others}");
            pass(&stage, wait - 15).await;
            let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
            stage.settled(&ping, "processing").await;
            let starts = daemon.heard().commands.iter().filter(|push| push.start.is_some()).count();
            assert_eq!(u64::try_from(starts).unwrap(), crash, "not before its time");
            pass(&stage, 15).await;
        }
        let heard = daemon
            .until("the next start", |heard| {
                heard.commands.iter().filter(|push| push.start.is_some()).count() as u64 > crash
            })
            .await;
        let next = heard.commands.into_iter().rfind(|push| push.start.is_some()).unwrap();
        let again = daemon.started(&next).await;
        assert_ne!(again, run, "each start is a run of its own");
        run = again;
    }
    daemon.report([crashed(run)]).await;
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!((&agent["status"], &agent["reason"]), (&json!("gave-up"), &json!("exit code 7")));
    let last = stage.notices().await.pop().unwrap();
    assert!(last.contains("too often"), "{last}");

    // A person starts it, and its crashes count anew.
    stage.command("start-agent").await;
    let heard = daemon
        .until("a person's start", |heard| heard.commands.iter().filter(|push| push.start.is_some()).count() == 12)
        .await;
    let run = daemon.started(&heard.commands.into_iter().rfind(|push| push.start.is_some()).unwrap()).await;
    assert_eq!(stage.agent(&stage.alice, "builder").await["crashes"], 0);
    daemon.report([crashed(run)]).await;
    assert_eq!(stage.status().await, "starting");
}

#[tokio::test]
async fn a_stop_wins_over_a_restart_that_is_due() {
    let (stage, mut daemon, run) = running().await;
    daemon.report([crashed(run)]).await;
    let second = daemon.started(&daemon.command(2).await).await;
    daemon.report([crashed(second)]).await;
    assert_eq!(stage.status().await, "starting");
    let stop = stage.command("stop-agent").await;
    stage.settled(&stop, "completed").await;
    assert_eq!(stage.status().await, "stopped");
    pass(&stage, 40).await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    let kinds: Vec<_> = daemon.heard().commands.into_iter().map(|push| push.kind).collect();
    assert_eq!(kinds, ["start-agent", "start-agent", "ping"]);
    assert_eq!(stage.status().await, "stopped");
}

#[tokio::test]
async fn a_machine_that_is_locked_brings_no_restart_back_with_it() {
    let (stage, mut daemon, run) = running().await;
    daemon.report([crashed(run)]).await;
    let second = daemon.started(&daemon.command(2).await).await;
    daemon.report([crashed(second)]).await;
    assert_eq!(stage.status().await, "starting");
    let copy = stage.laptop.copy().connect(2).await;
    daemon.ended().await;
    assert!(stage.laptop.dial(1, 1).await.is_err(), "both are locked out");
    drop(copy);
    assert_eq!(stage.status().await, "stopped");
    let issued = stage.alice.post(&format!("{}/credential", stage.laptop.path()), json!({})).await;
    let right = Computer::issued(&stage.alice, &issued, &[]).connect(1).await;
    stage.online(true).await;
    pass(&stage, 40).await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    let kinds: Vec<_> = right.heard().commands.into_iter().map(|push| push.kind).collect();
    assert_eq!(kinds, ["ping"]);
    assert_eq!(stage.status().await, "stopped");
}

#[tokio::test]
async fn a_restart_waits_for_a_machine_that_is_away_and_for_a_server_that_restarts() {
    let (mut stage, mut daemon, run) = running().await;
    daemon.report([crashed(run)]).await;
    let second = daemon.started(&daemon.command(2).await).await;
    daemon.report([crashed(second)]).await;
    daemon.cut();
    stage.online(false).await;
    stage.world.restart().await;
    stage.world.clock().advance(3_600_000);
    assert_eq!(stage.status().await, "offline");
    let again = stage.connect_with(2, Manner::default()).await;
    assert_eq!(again.command(1).await.kind, "start-agent");
    assert_eq!(stage.status().await, "starting");
}

#[tokio::test]
async fn a_restart_that_missed_its_machine_is_made_when_it_returns() {
    let (stage, mut daemon, run) = running().await;
    daemon.behave(Manner { slow: Some(("start-agent", Duration::from_mins(5))), ..Manner::default() });
    daemon.report([crashed(run)]).await;
    let push = daemon.command(2).await;
    daemon.cut();
    stage.online(false).await;
    stage.world.clock().advance(121_000);
    let path = format!("{}/commands/{}", stage.laptop.path(), push.command_id);
    while stage.alice.get(&path).await.text("status") != "expired" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stage.status().await, "offline");
    stage.world.clock().advance(31_000);
    let again = stage.connect_with(2, Manner::default()).await;
    let next = again.command(1).await;
    assert_eq!(next.kind, "start-agent");
    assert_ne!(next.command_id, push.command_id);
}

#[tokio::test]
async fn what_a_machine_refuses_to_start_is_not_tried_again() {
    let stage = Stage::set().await;
    let manner = Manner { outcome: Some((CommandStatus::Failed, "claude is not installed")), ..Manner::default() };
    let daemon = stage.connect_with(1, manner).await;
    let start = stage.command("start-agent").await;
    stage.settled(&start, "failed").await;
    assert_eq!(stage.status().await, "gave-up");
    pass(&stage, 40).await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "failed").await;
    assert_eq!(daemon.heard().commands.len(), 2, "one start and one ping");
}

#[tokio::test]
async fn a_run_that_turns_up_after_it_was_given_up_is_ended() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    let start = stage.command("start-agent").await;
    stage.settled(&start, "processing").await;
    stage.world.clock().advance(121_000);
    stage.settled(&start, "failed").await;
    let run_id = daemon.command(1).await.start.unwrap().run_id;
    daemon.report([Fact::RunStarted { run_id, pid: 4242, start_time: 77 }]).await;
    let order = daemon.command(2).await;
    assert_eq!((order.kind.as_str(), order.slot.is_some()), ("stop-agent", true));
}

#[tokio::test]
async fn what_a_tool_says_of_an_error_is_for_the_machines_user_alone() {
    let (stage, mut daemon, run_id) = running().await;
    stage.say(&stage.alice, "build it").await;
    let prompt_id = daemon.prompt(1).await.prompt_id;
    let detail = Some("Please run /login as ada@example.com".to_owned());
    daemon.report([Fact::TurnEnded { run_id, prompt_id, outcome: TurnOutcome::Error, detail }]).await;
    let mine = stage.agent(&stage.alice, "builder").await;
    assert_eq!(mine["status"], "awaiting-handoff");
    assert_eq!(mine["reason"], "its last turn ended with an error: Please run /login as ada@example.com");
    let theirs = stage.agent(&stage.bob, "builder").await;
    assert_eq!(theirs["reason"], "its last turn ended with an error");
    let room = stage.bob.get(&format!("{}/messages?limit=500", stage.room)).await;
    let feed = stage.bob.get(&format!("/api/events?instance={}", stage.instance().await)).await;
    assert_eq!(feed.status, 200, "{}", feed.raw);
    assert!(!room.raw.contains("ada@example.com") && !feed.raw.contains("ada@example.com"), "{}", room.raw);
}

#[tokio::test]
async fn a_prompt_that_waits_is_not_given_once_its_agent_is_private_again() {
    let (stage, daemon, run_id) = running().await;
    daemon.cut();
    stage.online(false).await;
    let share = format!("{}/agents/builder/share", stage.room);
    stage.alice.put(&share, json!({ "shared": true })).await;
    stage.say(&stage.bob, "do this for me").await;
    stage.alice.put(&share, json!({ "shared": false })).await;
    let manner = Manner { runs: vec![stage.live(run_id)], ..Manner::default() };
    let again = stage.connect_with(2, manner).await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    assert_eq!(again.heard().prompts.len(), 0);
    assert_eq!(stage.tasks().await, ["pending"]);
}

#[tokio::test]
async fn a_transcript_followed_on_its_machine_ends_with_the_sign_in() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect_with(1, Manner { log_stays: true, ..Manner::default() }).await;
    stage.command("start-agent").await;
    let run = daemon.started(&daemon.command(1).await).await;
    let path = format!("{}/runs/{run}/transcript?offset=-1&live=sse", stage.laptop.path());
    let request = stage.alice.request(reqwest::Method::GET, &path);
    let mut log = request.send().await.unwrap();
    let first = log.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"[{\"run\""), "{first:?}");
    let sessions = stage.alice.get("/api/auth/sessions").await;
    let own = sessions.body["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    let revoked = stage.alice.delete(&format!("/api/auth/sessions/{}", own["sessionId"].as_str().unwrap())).await;
    assert_eq!(revoked.status, 200, "{}", revoked.raw);
    let rest = async { while log.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    assert!(tokio::time::timeout(Duration::from_secs(1), rest).await.is_ok(), "it ends within a second");
}

#[tokio::test]
async fn a_follow_up_is_held_to_what_a_message_may_be() {
    let (stage, _daemon, _) = running().await;
    let path = format!("{}/agents/builder/follow-up", stage.room);
    for text in ["", "  ", "a\0b", &"x".repeat(100_001)] {
        let refused = stage.alice.post(&path, json!({ "text": text })).await;
        assert_eq!(refused.status, 400, "{}", refused.raw);
    }
}
