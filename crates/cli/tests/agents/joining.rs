//! A second computer joins with the printed line; an agent starts without a login shell.

use std::process::Stdio;

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use serde_json::json;
use tokio::process::Command;

use crate::laptop::{Desk, Laptop};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_computer_joins_with_the_printed_line_and_takes_commands() {
    let world = World::start_serving(env!("CARGO_BIN_EXE_chatroom").as_ref()).await;
    let alice = world.user("alice").await;
    let enrolment = alice.post("/api/enrolments", json!({})).await;
    assert_eq!(enrolment.status, 201, "{}", enrolment.body);
    let line = enrolment.body["line"].as_str().expect("a line").to_owned();

    let folder = tempfile::Builder::new().prefix("cr").tempdir().expect("a folder");
    let path = std::env::var_os("PATH").expect("PATH");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    };
    let joined = shell(&line).output().await.expect("sh");
    let said = String::from_utf8_lossy(&joined.stderr).into_owned() + &String::from_utf8_lossy(&joined.stdout);
    assert!(joined.status.success(), "{line}\n{said}");
    let installed = folder.path().join(".local/bin/chatroom");
    assert_eq!(
        std::fs::read(&installed).expect("the installed binary").len(),
        std::fs::read(env!("CARGO_BIN_EXE_chatroom")).expect("the server's binary").len()
    );

    let started = shell("\"$HOME/.local/bin/chatroom\" machine daemon start").output().await.expect("sh");
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let machines = loop {
        let machines = alice.get("/api/machines").await.body;
        if machines["machines"][0]["daemonConnected"] == json!(true) {
            break machines;
        }
        assert!(std::time::Instant::now() < until, "{machines}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let machine = &machines["machines"][0];
    let path_of = format!("/api/machines/{}/commands", machine["machineId"].as_str().expect("an id"));
    let ping = alice.post(&path_of, json!({ "type": "ping" })).await.body;
    let path_of_ping = format!("{path_of}/{}", ping["commandId"].as_str().expect("an id"));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let ping = alice.get(&path_of_ping).await.body;
        if ping["status"] == "completed" {
            break;
        }
        assert!(std::time::Instant::now() < until, "{ping}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let stopped = shell("\"$HOME/.local/bin/chatroom\" machine daemon stop").output().await.expect("sh");
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));

    // The code worked once.
    let again = shell(&line).output().await.expect("sh");
    assert!(!again.status.success());
    assert_eq!(alice.get("/api/machines").await.body["machines"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_starts_from_a_minimal_service_environment() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let mut laptop = Laptop::registered(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    laptop.without_login_shell();
    laptop.start_daemon(&alice).await;
    let desk = Desk::new(&alice, &laptop, "pi", "auto", &["builder"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    desk.say("[[run: echo from-a-service > out.txt]]").await;
    laptop.until("the file is written", async || laptop.work_dir().join("out.txt").exists()).await;
}
