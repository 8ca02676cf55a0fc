//! The daemon: one per home, started, asked and stopped from the terminal.

use chatroom_testkit::world::{User, World};
use nix::sys::signal::Signal;

use crate::desk::{Desk, until};

/// A computer that joined by code. It is stopped at the end of a test by [`stop`].
pub async fn joined(world: &World, user: &User) -> Desk {
    let enrolment = user.post("/api/enrolments", serde_json::json!({})).await;
    let desk = Desk::new();
    desk.run(&format!("machine join --url {} {}", world.url(), enrolment.text("code"))).await.exits(0);
    desk
}

/// Stops the daemon; it must have run.
pub async fn stop(desk: &Desk) {
    let stopped = desk.run("machine daemon stop --json").await.exits(0).json();
    assert_eq!(stopped["stopped"], true);
}

#[tokio::test]
async fn a_daemon_waits_quietly_for_a_credential() {
    let desk = Desk::new();
    let started = desk.run("machine daemon start").await.exits(0);
    assert!(started.out.contains("waits"), "{}", started.all());
    let status = desk.run("machine daemon status --json").await.exits(0).json();
    assert_eq!(status["connected"], false, "{status}");
    stop(&desk).await;
}

#[tokio::test]
async fn signing_in_and_starting_the_daemon_is_all_it_takes() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let started = desk.run("machine daemon start").await.exits(0);
    assert!(started.out.contains("is connected"), "{}", started.all());
    // The server writes it down once it has asked the daemon who it is.
    until("the machine is online", async || {
        ada.get("/api/machines").await.body["machines"][0]["daemonConnected"] == true
    })
    .await;
    stop(&desk).await;
}

#[tokio::test]
async fn what_a_machine_permits_is_shown_to_its_user_alone() {
    let world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let desk = Desk::of(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    until("the machine is online", async || {
        ada.get("/api/machines").await.body["machines"][0]["daemonConnected"] == true
    })
    .await;
    let idle = desk.run("machine runs").await.exits(0);
    assert!(idle.out.is_empty() && idle.err.contains("Nothing runs there"), "{}", idle.all());
    let before = desk.run("machine policy").await.exits(0);
    assert!(before.out.contains("no folder yet") && before.out.contains("not permitted"), "{}", before.all());
    desk.run("machine allow .").await.exits(0);
    desk.run("machine allow --auto").await.exits(0);
    let id = ada.get("/api/machines").await.body["machines"][0]["machineId"].as_str().unwrap().to_owned();
    let path = format!("/api/machines/{id}/policy");
    let folder = std::fs::canonicalize(desk.work_dir()).unwrap();
    let shown = ada.get(&path).await;
    assert_eq!(
        shown.body,
        serde_json::json!({
            "allowedDirectories": [folder], "trustedDirectories": [], "allowAuto": true, "allowTerminal": false
        })
    );
    assert_eq!(bob.get(&path).await.status, 404);
    stop(&desk).await;
    let away = desk.run("machine policy").await.exits(1);
    assert!(away.err.contains("machine_offline"), "{}", away.all());
}

#[tokio::test]
async fn the_journal_of_a_machine_is_read_and_followed_also_while_one_of_both_is_away() {
    let mut world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let desk = Desk::of(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    let id = desk.file("machine.json")["machineId"].as_str().expect("an id").to_owned();
    let ping = async || {
        let sent = ada.post(&format!("/api/machines/{id}/commands"), serde_json::json!({ "type": "ping" })).await;
        assert_eq!(sent.status, 201, "{}", sent.raw);
        sent.text("commandId").to_owned()
    };
    let first = ping().await;
    let has = async |what: &str| desk.run("machine journal").await.out.contains(what);
    until("its outcome", async || has(&format!("completed  {first}: pong")).await).await;
    let lines = desk.run("machine journal").await.exits(0);
    assert!(lines.out.contains(&format!("command    ping ({first})")), "{}", lines.all());
    assert!(lines.err.is_empty(), "{}", lines.all());
    let all = desk.run("machine journal --json").await.exits(0).out;

    let follower = desk.start(&format!("machine journal {id} --follow --json"));
    follower.until("what there is", |out, _| out.contains(&first)).await;
    world.restart().await;
    until("the machine is online", async || {
        ada.get("/api/machines").await.body["machines"][0]["daemonConnected"] == true
    })
    .await;
    let second = ping().await;
    follower.until("what comes", |out, _| out.matches(&second).count() >= 4).await;
    stop(&desk).await;
    until("the machine is away", async || {
        ada.get("/api/machines").await.body["machines"][0]["daemonConnected"] == false
    })
    .await;
    let away = desk.run("machine journal --json").await.exits(0).out;
    assert!(away.starts_with(&all) && away.len() > all.len(), "it is read on while the machine is away: {away}");
    follower.until("the rest", |out, _| out == away).await;
    let seqs: Vec<u64> = away
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "each once, in order");
    follower.signal(Signal::SIGINT);
    follower.ended().await;
    for secret in ["crm_", "crp_", "crs_"] {
        assert!(!away.contains(secret), "{away}");
    }
    let other = Desk::of(&world, &bob).await;
    let refused = other.run(&format!("machine journal {id}")).await.exits(1);
    assert!(refused.out.is_empty(), "{}", refused.all());
}

#[tokio::test]
async fn a_daemon_in_the_foreground_ends_with_ctrl_c() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let running = desk.start("machine daemon start --foreground");
    until("it is connected", async || desk.run("machine daemon status --json").await.json()["connected"] == true).await;
    let second = desk.run("machine daemon start --foreground").await.exits(1);
    assert!(second.err.contains("runs already"), "{}", second.all());
    running.signal(Signal::SIGINT);
    running.ended().await.exits(0);
    desk.run("machine daemon status").await.exits(3);
}

#[tokio::test]
async fn a_removed_machine_s_daemon_says_what_to_do() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    let id = desk.file("machine.json")["machineId"].as_str().expect("an id").to_owned();
    let removed = ada.delete(&format!("/api/machines/{id}")).await;
    assert!(removed.status < 300, "{}", removed.raw);
    until("the daemon notices", async || {
        let status = desk.run("machine daemon status --json").await.exits(0).json();
        status["connected"] == false && status["lastError"].is_string()
    })
    .await;
    stop(&desk).await;
}
