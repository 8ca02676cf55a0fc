//! A machine's credential on a real computer: rotated under load, revoked, copied, and won back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chatroom_daemon::lock;
use chatroom_daemon::process::tree::{Root, find};
use chatroom_protocol::{RunId, Tool};
use chatroom_testkit::fake_daemon::Computer;
use chatroom_testkit::world::{Answer, User, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::daemon::{joined, stop};
use crate::desk::{Desk, until};

fn path(desk: &Desk) -> String {
    format!("/api/machines/{}", desk.file("machine.json")["machineId"].as_str().expect("an id"))
}

async fn connected(desk: &Desk) {
    until("the daemon is connected", async || {
        desk.run("machine daemon status --json").await.json()["connected"] == true
    })
    .await;
}

async fn ping(user: &User, desk: &Desk) -> Answer {
    let sent = user.post(&format!("{}/commands", path(desk)), json!({ "type": "ping" })).await;
    assert_eq!(sent.status, 201, "{}", sent.raw);
    sent
}

async fn settled(user: &User, desk: &Desk, command: &Answer) -> Value {
    let place = format!("{}/commands/{}", path(desk), command.text("commandId"));
    let begun = Instant::now();
    loop {
        let seen = user.get(&place).await.body;
        if !["pending", "processing"].contains(&seen["status"].as_str().unwrap_or_default()) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{seen}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ends the daemon as a power cut would, and waits until it is gone.
async fn power_cut(desk: &Desk) {
    let pid = desk.file("daemon.pid")["pid"].as_i64().expect("a process id");
    kill(Pid::from_raw(pid.try_into().expect("a process id")), Signal::SIGKILL).expect("it ran");
    let home = chatroom_daemon::home::Home::open(desk.home()).expect("a home");
    until("it is gone", async || !lock::is_taken(&home).expect("a look")).await;
}

/// Copies a home as somebody does who moves to another computer.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a home").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().expect("a kind") {
            kind if kind.is_dir() => copy(&source, &target),
            kind if kind.is_file() => drop(std::fs::copy(&source, &target).expect("a copy")),
            _ => {}
        }
    }
}

#[tokio::test]
async fn twenty_rotations_of_a_real_daemon_lose_no_request() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    // The daemon knows of its tunnel some milliseconds before the server has written it down.
    until("the server sees it", async || ada.get(&path(&desk)).await.body["daemonConnected"] == true).await;
    let first = desk.file("credentials.json")["machineToken"].as_str().expect("a token").to_owned();
    let done = AtomicBool::new(false);
    let pinging = async {
        let mut pings = 0;
        while !done.load(Ordering::SeqCst) {
            let sent = ping(&ada, &desk).await;
            assert_eq!(settled(&ada, &desk, &sent).await["status"], "completed");
            pings += 1;
        }
        pings
    };
    let asking = async {
        while !done.load(Ordering::SeqCst) {
            let status = desk.run("machine daemon status --json").await.exits(0).json();
            assert_eq!((&status["connected"], &status["lastError"]), (&json!(true), &json!(null)), "{status}");
        }
    };
    let rotating = async {
        for _ in 0..20 {
            let rotated = ada.post(&format!("{}/credential/rotate", path(&desk)), json!({})).await;
            assert_eq!(rotated.status, 200, "{}", rotated.raw);
        }
        done.store(true, Ordering::SeqCst);
    };
    let (pings, (), ()) = tokio::join!(pinging, asking, rotating);
    assert!(pings > 0);
    let old = ada.with_token(&first).get("/api/tunnel").await;
    assert_eq!(old.status, 401, "{}", old.raw);
    let now = desk.file("credentials.json")["machineToken"].as_str().expect("a token").to_owned();
    assert_ne!(first, now);
    assert_eq!(ada.get(&path(&desk)).await.body["epoch"], 1, "it never had to begin anew");
    stop(&desk).await;
}

#[tokio::test]
async fn whatever_dies_during_a_rotation_comes_back_with_a_credential_that_works() {
    let mut world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    for round in 0..6_u64 {
        let rotation = ada.request(reqwest::Method::POST, &format!("{}/credential/rotate", path(&desk)));
        let rotating = tokio::spawn(rotation.json(&json!({})).send());
        // Somewhere in it: each round a little later.
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        if round % 2 == 0 {
            power_cut(&desk).await;
            desk.run("machine daemon start").await.exits(0);
        } else {
            world.restart().await;
        }
        let _ = rotating.await;
        connected(&desk).await;
        let sent = ping(&ada, &desk).await;
        assert_eq!(settled(&ada, &desk, &sent).await["status"], "completed", "round {round}");
    }
    assert!(ada.get(&path(&desk)).await.body["lockedAt"].is_null());
    stop(&desk).await;
}

#[tokio::test]
async fn a_copied_home_is_locked_and_won_back_on_the_right_computer() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    let other = Desk::new().with("CHATROOM_URL", &world.url());
    copy(&desk.home(), &other.home());
    std::fs::remove_file(other.home().join("daemon.pid")).expect("it is not its own");
    let _ = other.run("machine daemon start").await;
    for place in [&desk, &other] {
        until("both are locked", async || {
            let status = place.run("machine daemon status --json").await.json();
            status["locked"] == true && status["connected"] == false
        })
        .await;
        let status = place.run("machine daemon status").await.exits(0);
        assert!(status.out.contains("no: locked") && status.out.contains("two places"), "{}", status.all());
    }
    let list = desk.run("machine list").await.exits(0);
    assert!(list.out.contains("locked") && list.err.contains("chatroom machine unlock"), "{}", list.all());
    let log = desk.run("machine daemon logs").await.exits(0);
    assert!(log.out.contains("used from two places"), "{}", log.all());
    let elsewhere = Desk::of(&world, &ada).await;
    let id = path(&desk).rsplit('/').next().expect("an id").to_owned();
    let refused = elsewhere.run(&format!("machine unlock {id}")).await.exits(1);
    assert!(refused.err.contains("on the computer itself"), "{}", refused.all());

    desk.run(&format!("machine unlock {id}")).await.exits(0);
    connected(&desk).await;
    until("the copy is refused", async || {
        let status = other.run("machine daemon status --json").await.json();
        status["connected"] == false && status["lastError"].as_str().is_some_and(|why| why.contains("refuses"))
    })
    .await;
    let again = desk.run("machine rotate").await.exits(0);
    assert!(again.err.contains("new credential"), "{}", again.all());
    stop(&other).await;
    stop(&desk).await;
}

#[tokio::test]
async fn a_home_put_back_from_a_backup_is_locked_and_goes_on_where_its_owner_unlocks_it() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = equipped(Desk::of(&world, &ada).await).await;
    stop(&desk).await;
    let backup = desk.work_dir().join("backup");
    copy(&desk.home(), &backup);
    desk.run("machine daemon start").await.exits(0);
    // The server hears more than the backup will ever have said.
    let (room, run) = agent(&world, &ada, &desk).await;
    for _ in 0..2 {
        let sent = ping(&ada, &desk).await;
        assert_eq!(settled(&ada, &desk, &sent).await["status"], "completed");
        power_cut(&desk).await;
        desk.run("machine daemon start").await.exits(0);
        // It runs as soon as it is let in: the server has yet to write down the count it gave.
        let status = desk.run("machine daemon status --json").await.json();
        until("the server knows this start", async || ada.get(&path(&desk)).await.body["epoch"] == status["epoch"])
            .await;
    }
    power_cut(&desk).await;
    for process in find(Root::Nowhere, run) {
        let _ = kill(Pid::from_raw(process.pid.try_into().expect("a process id")), Signal::SIGKILL);
    }
    let last = history(&desk).await;
    std::fs::remove_dir_all(desk.home()).expect("a disk that broke");
    copy(&backup, &desk.home());
    let started = desk.run("machine daemon start").await.exits(0);
    assert!(started.out.contains("an old copy of it was put back"), "{}", started.all());
    desk.run("machine unlock").await.exits(0);
    connected(&desk).await;

    // What it says from now on is heard, though it counts from where the backup was.
    let sent = ping(&ada, &desk).await;
    assert_eq!(settled(&ada, &desk, &sent).await["status"], "completed");
    let id = room.rsplit('/').next().expect("an id");
    let start = json!({ "type": "start-agent", "chatroomId": id, "role": "builder" });
    let sent = ada.post(&format!("{}/commands", path(&desk)), start).await;
    assert_eq!(settled(&ada, &desk, &sent).await["status"], "completed");
    until("its agent is at work again", async || {
        let agents = ada.get(&format!("{room}/agents")).await.body;
        let agent = &agents["agents"][0];
        agent["status"] == "waiting" && agent["run"]["runId"] != run.to_string()
    })
    .await;
    until("the history goes on behind what the server had", async || {
        let now = history(&desk).await;
        now.starts_with(&last) && now[last.len()..].iter().any(|entry| entry["event"]["type"] == "command_finished")
    })
    .await;
    let places: Vec<String> = history(&desk).await.iter().map(place).collect();
    assert!(places.is_sorted() && places.windows(2).all(|pair| pair[0] != pair[1]), "{places:?}");
    stop(&desk).await;
}

/// Returns what the server has of a machine's journal, as its user is shown it.
async fn history(desk: &Desk) -> Vec<Value> {
    let shown = desk.run("machine journal --json").await.exits(0);
    shown.out.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}

/// Returns what sorts an entry among the others.
fn place(entry: &Value) -> String {
    let seq = entry["seq"].as_u64().expect("a number");
    format!("{}{seq:020}", entry["journal"].as_str().expect("a journal"))
}

#[tokio::test]
async fn a_daemon_that_finds_a_newer_one_ends_with_a_code_of_its_own() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    stop(&desk).await;
    // Another daemon works in the same home, through a disk whose locks do not reach this computer.
    let saved = desk.file("credentials.json");
    let credential = json!({ "machineToken": saved["machineToken"], "platformToken": saved["platformToken"] });
    let newer = Computer {
        id: path(&desk).rsplit('/').next().expect("an id").parse().expect("an id"),
        platform_token: String::new(),
        client: ada.with_token(""),
        tools: vec![Tool::Claude],
        journal: "journal-2".to_owned(),
        renewal: std::sync::Arc::new(saved["renewal"].as_u64().expect("a count").into()),
    };
    let newer = newer.with_credential(&serde_json::from_value(credential).expect("a credential"));
    let daemon = newer.connect(99).await;
    until("it has taken over", async || ada.get(&path(&desk)).await.body["epoch"] == 99).await;
    let mut shared = saved;
    shared["renewal"] = newer.renewal.load(Ordering::SeqCst).into();
    std::fs::write(desk.home().join("credentials.json"), shared.to_string()).expect("the shared file");

    let ended = desk.start("machine daemon start --foreground").ended().await.exits(4);
    assert!(ended.err.contains("Event: superseded"), "{}", ended.all());
    // As a service it ends well: whoever starts it again on failure must not.
    let ended = desk.start("machine daemon start --foreground --service").ended().await.exits(0);
    assert!(ended.err.contains("Event: superseded"), "{}", ended.all());
    assert!(daemon.is_connected());
}

/// Starts an agent on a desk whose daemon is connected; returns its run.
async fn agent(world: &World, ada: &User, desk: &Desk) -> (String, RunId) {
    let room = world.room(ada, &["builder"]).await;
    let id = room.rsplit('/').next().expect("an id").to_owned();
    let dir = desk.work_dir().canonicalize().expect("a folder");
    let config = json!({ "agentType": "cursor", "workingDir": dir });
    let saved = ada.put(&format!("{}/agents/{id}/builder", path(desk)), config).await;
    assert_eq!(saved.status, 200, "{}", saved.raw);
    until("its tools are known", async || {
        ada.get(&path(desk)).await.body["availableTools"] == json!(["claude", "cursor"])
    })
    .await;
    let start = json!({ "type": "start-agent", "chatroomId": id, "role": "builder" });
    let sent = ada.post(&format!("{}/commands", path(desk)), start).await;
    let started = settled(ada, desk, &sent).await;
    assert_eq!(started["status"], "completed", "{started}");
    let run: RunId = started["runId"].as_str().expect("a run").parse().expect("a run");
    assert!(!find(Root::Nowhere, run).is_empty());
    (room, run)
}

/// Gives a desk an agent program that needs no service, and starts its daemon.
async fn equipped(desk: Desk) -> Desk {
    let desk = desk.with("CURSOR_API_KEY", "key");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/standins/cursor-agent");
    std::os::unix::fs::symlink(
        program.canonicalize().expect("a stand-in"),
        desk.work_dir().join("../bin/cursor-agent"),
    )
    .expect("a program");
    desk.run("machine allow .").await.exits(0);
    desk.run("machine daemon start").await.exits(0);
    desk
}

#[tokio::test]
async fn a_machine_removed_while_it_was_away_ends_its_agents_when_it_comes_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = equipped(joined(&world, &ada).await).await;
    let (_, run) = agent(&world, &ada, &desk).await;
    power_cut(&desk).await;
    until("it is away", async || ada.get(&path(&desk)).await.body["daemonConnected"] == false).await;
    let removed = ada.delete(&path(&desk)).await;
    assert_eq!(removed.status, 200, "{}", removed.raw);
    assert!(!find(Root::Nowhere, run).is_empty(), "an agent outlives its daemon");
    let started = desk.run("machine daemon start").await.exits(0);
    assert!(started.out.contains("chatroom machine add"), "{}", started.all());
    until("no process of it is left", async || find(Root::Nowhere, run).is_empty()).await;
    stop(&desk).await;
}

#[tokio::test]
async fn a_server_that_was_away_for_minutes_or_a_day_finds_the_agent_at_work() {
    let mut world = World::start().await;
    let ada = world.user("ada").await;
    let desk = equipped(joined(&world, &ada).await).await;
    let (room, run) = agent(&world, &ada, &desk).await;
    for minutes in [5, 24 * 60] {
        world.restart().await;
        world.clock().advance(minutes * 60 * 1000);
        connected(&desk).await;
        until("the server sees it", async || ada.get(&path(&desk)).await.body["daemonConnected"] == true).await;
        until("the agent is seen at work", async || {
            ada.get(&format!("{room}/agents")).await.body["agents"][0]["status"] == "waiting"
        })
        .await;
        assert!(!find(Root::Nowhere, run).is_empty());
        let sent = ping(&ada, &desk).await;
        assert_eq!(settled(&ada, &desk, &sent).await["status"], "completed");
    }
    // The machine is away for a day: a stop expires, visibly, and takes effect all the same.
    power_cut(&desk).await;
    until("it is away", async || ada.get(&path(&desk)).await.body["daemonConnected"] == false).await;
    let id = room.rsplit('/').next().expect("an id");
    let order = json!({ "type": "stop-agent", "chatroomId": id, "role": "builder" });
    let sent = ada.post(&format!("{}/commands", path(&desk)), order).await;
    assert_eq!(sent.status, 201, "{}", sent.raw);
    world.clock().advance(24 * 3600 * 1000);
    assert_eq!(settled(&ada, &desk, &sent).await["status"], "expired");
    desk.run("machine daemon start").await.exits(0);
    until("no process of it is left", async || find(Root::Nowhere, run).is_empty()).await;
    until("it is told", async || ada.get(&format!("{room}/agents")).await.body["agents"][0]["status"] == "stopped")
        .await;
    // Each fact was applied once.
    let feed = ada.get(&format!("/api/events?instance={}&after=0&limit=500", ada.instance)).await;
    let events = feed.body["events"].as_array().expect("events");
    for kind in ["run.started", "run.exited"] {
        let told = events.iter().filter(|event| event["kind"] == kind).count();
        assert!(told <= 1, "{kind}: {told}");
    }
    stop(&desk).await;
}

#[tokio::test]
async fn a_start_behind_a_daemon_that_is_ending_waits_for_it() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let home = chatroom_daemon::home::Home::open(desk.home()).expect("a home");
    let ending = lock::take(&home, Duration::ZERO).await.expect("a lock").expect("it is free");
    let start = desk.start("machine daemon start");
    start.until("it says what it waits for", |_, err| err.contains("just ending")).await;
    drop(ending);
    let started = start.ended().await.exits(0);
    assert!(started.out.contains("is connected"), "{}", started.all());
    stop(&desk).await;
}

#[tokio::test]
async fn a_stop_in_the_moment_of_a_start_ends_what_was_started() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let home = chatroom_daemon::home::Home::open(desk.home()).expect("a home");
    let running = desk.start("machine daemon start --foreground");
    until("it has the lock", async || lock::is_taken(&home).expect("a look")).await;
    stop(&desk).await;
    running.ended().await.exits(0);
}
