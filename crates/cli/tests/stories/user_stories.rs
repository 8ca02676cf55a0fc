//! The user stories of machine identity that are told at the terminal, one test each, named for it.

use chatroom_testkit::world::World;
use serde_json::Value;

use crate::daemon::{joined, stop};
use crate::desk::{Desk, until};
use crate::waiting::{visit, wait};

#[tokio::test]
async fn us_1_waiting_for_a_task_registers_the_machine() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
    assert!(!desk.home().join("machine.json").exists());

    let running = wait(&desk, &room, "builder", "").await;
    let file = desk.file("machine.json");
    let machines = ada.get("/api/machines").await.body;
    assert_eq!(machines["machines"].as_array().map(Vec::len), Some(1), "{machines}");
    assert_eq!(machines["machines"][0]["machineId"], file["machineId"]);
    assert_eq!(machines["machines"][0]["availableTools"], serde_json::json!(["claude"]));
    let mut fields: Vec<_> = file.as_object().expect("an object").keys().cloned().collect();
    fields.sort();
    assert_eq!(
        fields,
        ["availableTools", "chatroomAgents", "hostname", "lastSyncedAt", "machineId", "os", "registeredAt"]
    );
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn us_3_where_and_with_what_an_agent_started_is_saved() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await.with("CLAUDECODE", "1");
    let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
    visit(&desk, &room, "builder", "").await;

    let here = desk.work_dir().canonicalize().expect("a folder");
    let here = here.to_str().expect("text");
    let saved = desk.file("machine.json")["chatroomAgents"][&room]["builder"].clone();
    assert_eq!((&saved["agentType"], &saved["workingDir"]), (&Value::from("claude"), &Value::from(here)));
    assert!(saved["lastStartedAt"].is_string(), "{saved}");
    let agents = ada.get(&format!("/api/chatrooms/{room}/agents")).await.body;
    let config = &agents["agents"][0]["configs"][0];
    assert_eq!((&config["agentType"], &config["workingDir"]), (&Value::from("claude"), &Value::from(here)), "{agents}");
}

#[tokio::test]
async fn us_4_a_daemon_is_started_and_receives_commands() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let started = desk.run("machine daemon start").await.exits(0);
    assert!(started.out.contains("is connected to"), "{}", started.all());

    let id = desk.file("machine.json")["machineId"].as_str().expect("an id").to_owned();
    until("it is online", async || ada.get(&format!("/api/machines/{id}")).await.body["daemonConnected"] == true).await;
    let path = format!("/api/machines/{id}/commands");
    let sent = ada.post(&path, serde_json::json!({ "type": "ping" })).await;
    let path = format!("{path}/{}", sent.text("commandId"));
    until("the ping is answered", async || ada.get(&path).await.body["status"] == "completed").await;
    let log = desk.run("machine daemon logs").await.exits(0);
    assert!(!log.out.is_empty(), "{}", log.all());
    stop(&desk).await;
}

#[tokio::test]
async fn us_5_a_second_daemon_is_refused() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    let status = desk.run("machine daemon status --json").await.exits(0).json();
    let second = desk.run("machine daemon start").await.exits(1);
    let pid = status["pid"].to_string();
    assert!(second.err.contains("runs already") && second.err.contains(&pid), "{}", second.all());
    let after = desk.run("machine daemon status --json").await.exits(0).json();
    assert_eq!(after["pid"].to_string(), pid);
    stop(&desk).await;
}

#[tokio::test]
async fn us_6_the_status_of_the_daemon_is_told() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let before = desk.run("machine daemon status").await.exits(3);
    assert!(before.out.contains("not running"), "{}", before.all());
    assert_eq!(desk.run("machine daemon status --json").await.exits(3).json()["running"], false);

    desk.run("machine daemon start").await.exits(0);
    let text = desk.run("machine daemon status").await.exits(0).out;
    for part in ["running", "connected", "server", "epoch", "agents", "version", "signed in"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let status = desk.run("machine daemon status --json").await.exits(0).json();
    assert_eq!(
        (&status["running"], &status["connected"], &status["epoch"]),
        (&true.into(), &true.into(), &1.into()),
        "{status}"
    );
    stop(&desk).await;
}

#[tokio::test]
async fn us_7_a_daemon_is_stopped_cleanly() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    let pid = desk.run("machine daemon status --json").await.exits(0).json()["pid"].as_i64().expect("a pid");
    stop(&desk).await;

    desk.run("machine daemon status").await.exits(3);
    let gone = |pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err();
    until("its process is gone", async || gone(i32::try_from(pid).expect("a pid"))).await;
    let id = desk.file("machine.json")["machineId"].as_str().expect("an id").to_owned();
    until("the server sees it", async || {
        ada.get(&format!("/api/machines/{id}")).await.body["daemonConnected"] == false
    })
    .await;
    let again = desk.run("machine daemon stop").await.exits(0);
    assert!(again.out.contains("No daemon was running"), "{}", again.all());
    desk.run("machine daemon start").await.exits(0);
    stop(&desk).await;
}
