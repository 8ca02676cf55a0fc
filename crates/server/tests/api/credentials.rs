//! A machine's credential: replaced without an interruption, ended at once, and what a copied home comes to.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chatroom_protocol::Problem;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::machines::MachineCredential;
use chatroom_server::machines::renewal;
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon, Manner};
use chatroom_testkit::world::Answer;
use chatroom_tunnel::DialError;
use serde_json::{Value, json};

use crate::stage::Stage;

/// How soon a tunnel must be gone after a revocation.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Dials and returns the problem it is refused with.
async fn refusal(computer: &Computer, epoch: u64) -> Problem {
    match computer.dial(epoch, 1).await {
        Err(DialError::Refused { body, .. }) => serde_json::from_slice(&body).unwrap(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a tunnel was opened"),
    }
}

fn rotation(stage: &Stage) -> String {
    format!("{}/credential/rotate", stage.laptop.path())
}

/// Shows a credential as a daemon does that has nothing else to say.
async fn show(computer: &Computer, epoch: u64) -> Answer {
    let body = json!({ "epoch": epoch, "journalId": computer.journal, "reports": [] });
    computer.client.post(&format!("{}/reports", computer.path()), body).await
}

/// Rotates, while the daemon shows what it was given. Returns the new credential.
async fn rotate(stage: &Stage, daemon: &FakeDaemon, computer: &Computer) -> MachineCredential {
    let before = daemon.heard().credentials.len();
    let path = rotation(stage);
    let asked = stage.alice.post(&path, json!({}));
    let showing = async {
        let heard = daemon.until("a credential", |heard| heard.credentials.len() > before).await;
        let next = heard.credentials[before].clone();
        let shown = show(&computer.with_credential(&next), 1).await;
        assert_eq!(shown.status, 200, "{}", shown.raw);
        next
    };
    let (asked, next) = tokio::join!(asked, showing);
    assert_eq!(asked.status, 200, "{}", asked.raw);
    next
}

async fn kinds(stage: &Stage) -> Vec<(String, String)> {
    let page = stage.alice.get(&format!("/api/events?instance={}&after=0&limit=500", stage.alice.instance)).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = page.body["events"].as_array().unwrap();
    events.iter().map(|event| (text(&event["kind"]), text(&event["outcome"]))).collect()
}

#[tokio::test]
async fn twenty_rotations_lose_no_command_and_each_ends_the_credential_before() {
    let stage = Stage::set().await;
    let manner = Manner { outcome: Some((CommandStatus::Completed, "pong")), ..Manner::default() };
    let daemon = stage.connect_with(1, manner).await;
    let mut computer = stage.laptop.clone();
    for _ in 0..20 {
        let pinging = async {
            let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
            assert_eq!(ping.status, 201, "{}", ping.raw);
            stage.settled(&ping, "completed").await;
        };
        let (next, ()) = tokio::join!(rotate(&stage, &daemon, &computer), pinging);
        assert_eq!(show(&computer, 1).await.status, 401, "the one before is dead");
        computer = computer.with_credential(&next);
    }
    assert!(daemon.is_connected(), "the tunnel was never closed");
    daemon.cut();
    stage.online(false).await;
    assert_eq!(refusal(&stage.laptop, 1).await.code.as_str(), "not_signed_in");
    let again = computer.connect(1).await;
    stage.online(true).await;
    drop(again);
    let rotated = kinds(&stage).await.into_iter().filter(|(_, outcome)| outcome == "rotated").count();
    assert_eq!(rotated, 20);
}

#[tokio::test]
async fn a_rotation_that_is_interrupted_anywhere_leaves_a_pair_that_works() {
    let mut stage = Stage::set().await;
    // The machine could not write it down: it stays with the old one.
    let daemon = stage.connect().await;
    drop(daemon);
    stage.online(false).await;
    let offline = stage.alice.post(&rotation(&stage), json!({})).await;
    assert_eq!((offline.status, offline.text("code")), (409, "machine_offline"));

    // Taken, and the server gone before it was shown.
    let daemon = stage.connect().await;
    let path = rotation(&stage);
    let asked = tokio::spawn({
        let alice = stage.alice.request(reqwest::Method::POST, &path).json(&json!({}));
        async move { alice.send().await.map(|answer| answer.status().as_u16()) }
    });
    let heard = daemon.until("a credential", |heard| !heard.credentials.is_empty()).await;
    let next = heard.credentials[0].clone();
    assert_eq!(show(&stage.laptop, 1).await.status, 200, "until the new one is shown the old one works");
    stage.world.restart().await;
    let _ = asked.await;
    drop(daemon);

    // The daemon that had not taken it comes back with the old one, and is offered the same again.
    let old = stage.laptop.connect(1).await;
    let heard = old.until("the same credential", |heard| !heard.credentials.is_empty()).await;
    assert_eq!(heard.credentials[0].machine_token, next.machine_token);
    drop(old);

    // The daemon that had comes back with the new one, which ends the old one.
    let new = stage.laptop.with_credential(&next);
    let daemon = new.connect(1).await;
    stage.online(true).await;
    assert_eq!(show(&stage.laptop, 1).await.status, 401);
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    assert!(daemon.is_connected() && daemon.heard().credentials.is_empty());
    let stranger = stage.carol.post(&rotation(&stage), json!({})).await;
    assert_eq!(stranger.status, 404);
}

#[tokio::test]
async fn a_removed_machine_is_cut_off_within_a_second_also_in_the_middle_of_a_request() {
    let stage = Stage::set().await;
    let manner = Manner { slow: Some(("ping", Duration::from_secs(30))), ..Manner::default() };
    let mut daemon = stage.connect_with(1, manner).await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    assert_eq!(ping.status, 201);
    daemon.command(1).await;
    let begun = Instant::now();
    let removed = stage.alice.delete(&stage.laptop.path()).await;
    assert_eq!(removed.status, 200, "{}", removed.raw);
    daemon.ended().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(refusal(&stage.laptop, 2).await.code.as_str(), "not_signed_in");
    assert_eq!(show(&stage.laptop, 1).await.status, 401, "nothing it reports is heard");
}

#[tokio::test]
async fn a_new_credential_cuts_the_old_ones_tunnel_within_a_second() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    let begun = Instant::now();
    let issued = stage.alice.post(&format!("{}/credential", stage.laptop.path()), json!({})).await;
    daemon.ended().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let renewed = Computer::issued(&stage.alice, &issued, &[]);
    let _daemon = renewed.connect(1).await;
    stage.online(true).await;
}

#[tokio::test]
async fn a_copied_home_locks_the_machine_for_both_until_its_owner_decides() {
    let stage = Stage::set().await;
    let mut original = stage.connect().await;
    stage.command("start-agent").await;
    let push = original.command(1).await;
    original.started(&push).await;
    let inside = stage.alice.with_token(&push.start.unwrap().run_token);
    assert_eq!(inside.get(&stage.room).await.status, 200);

    // The copy has the newest count, and starts later: it wins, and is given the next count.
    let copied = stage.laptop.copy();
    let mut copy = copied.connect(2).await;
    original.ended().await;
    // The original dials again, as a daemon does. It was here all along, and its count is old.
    let locked = refusal(&stage.laptop, 1).await;
    assert_eq!((locked.status, locked.code.as_str()), (423, "machine_locked"));
    assert!(locked.detail.contains("chatroom machine unlock"), "{}", locked.detail);
    copy.ended().await;
    assert_eq!(refusal(&copied, 2).await.code.as_str(), "machine_locked");
    for computer in [&copied, &stage.laptop] {
        let late = show(computer, 9).await;
        assert_eq!((late.status, late.text("code")), (423, "machine_locked"));
    }
    let view = stage.alice.get(&stage.laptop.path()).await;
    assert_eq!(view.body["daemonConnected"], false);
    assert!(view.body["lockedAt"].is_i64(), "{}", view.raw);
    let refused = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    assert_eq!(refused.text("code"), "machine_locked");
    let refused = stage.alice.post(&rotation(&stage), json!({})).await;
    assert_eq!(refused.text("code"), "machine_locked");
    assert_eq!(inside.get(&stage.room).await.status, 401, "its agents speak for nobody any more");
    assert_eq!(stage.status().await, "stopped");
    assert!(kinds(&stage).await.iter().any(|(kind, _)| kind == "machine.locked"));

    // The owner decides on the right computer: everything issued before is dead for good.
    let issued = stage.alice.post(&format!("{}/credential", stage.laptop.path()), json!({})).await;
    let right = Computer::issued(&stage.alice, &issued, &[]);
    let _daemon = right.connect(1).await;
    stage.online(true).await;
    assert!(stage.alice.get(&stage.laptop.path()).await.body["lockedAt"].is_null());
    assert_eq!(refusal(&copied, 99).await.code.as_str(), "not_signed_in");
    assert!(kinds(&stage).await.iter().any(|(kind, _)| kind == "machine.unlocked"));
}

#[tokio::test]
async fn yesterdays_backup_of_a_home_locks_the_machine() {
    let stage = Stage::set().await;
    let daemon = stage.connect().await;
    let backup = stage.laptop.copy();
    drop(daemon);
    stage.online(false).await;
    let daemon = stage.connect_with(2, Manner::default()).await;
    drop(daemon);
    stage.online(false).await;
    assert_eq!(refusal(&backup, 2).await.code.as_str(), "machine_locked");
    assert_eq!(refusal(&stage.laptop, 3).await.code.as_str(), "machine_locked");
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_renewal_locks_nobody() {
    let mut stage = Stage::set().await;
    let count = |stage: &Stage| stage.laptop.renewal.load(Ordering::SeqCst);
    let first = stage.connect().await;
    assert_eq!(count(&stage), 1);
    // Not written down on the machine: it is not let in, and tries again with what it has.
    drop(first);
    stage.online(false).await;
    let full = Manner { disk_is_full: true, ..Manner::default() };
    let mut refused = stage.laptop.connect_with(1, full).await;
    refused.ended().await;
    assert_eq!(count(&stage), 1);
    // Written down on the machine, but the server did not live to hear it.
    for epoch in 2..5 {
        stage.laptop.renewal.fetch_add(1, Ordering::SeqCst);
        let daemon = stage.connect_with(epoch, Manner::default()).await;
        drop(daemon);
        stage.online(false).await;
    }
    // While it is connected it is counted on too; a restarted server knows where it was.
    let daemon = stage.connect_with(6, Manner::default()).await;
    let before = count(&stage);
    renewal::renew(stage.world.app().clone()).await.unwrap();
    assert_eq!(count(&stage), before + 1);
    stage.world.restart().await;
    drop(daemon);
    let daemon = stage.connect_with(7, Manner::default()).await;
    assert!(daemon.is_connected());
    assert!(stage.alice.get(&stage.laptop.path()).await.body["lockedAt"].is_null());
}
