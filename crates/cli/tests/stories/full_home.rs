//! A full disk under the home of a machine: nothing is done that was not written down, and it ends by itself.

use chatroom_testkit::disk::SmallDisk;
use chatroom_testkit::world::World;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::desk::{Desk, until};

#[tokio::test]
async fn a_command_that_cannot_be_written_down_waits_for_space() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let volume = SmallDisk::mount(4 * 1024).expect("a small disk");
    let desk = Desk::new().with("CHATROOM_URL", &world.url());
    let desk = desk.with("CHATROOM_HOME", &volume.path().join("home").display().to_string());
    desk.sign_in(&ada).await;
    let daemon = desk.start("machine daemon start --foreground");
    let status = async || desk.run("machine daemon status --json").await;
    until("the daemon is connected", async || {
        let told = status().await;
        told.code == 0 && told.json()["connected"] == true
    })
    .await;
    let machine = status().await.json()["machineId"].as_str().expect("an id").to_owned();
    let commands = format!("/api/machines/{machine}/commands");
    // What it found when it started is written down by then.
    until("its tools are known", async || {
        let seen = ada.get(&format!("/api/machines/{machine}")).await;
        seen.body["availableTools"] == json!(["claude"])
    })
    .await;

    volume.fill().expect("a full disk");
    until("the status says why nothing is done", async || {
        // A last free block of the journal may take some.
        let sent = ada.post(&commands, json!({ "type": "ping" })).await;
        assert_eq!(sent.status, 201, "{}", sent.raw);
        let told = status().await.exits(0).json();
        told["lastError"].as_str().is_some_and(|error| error.contains("journal") && error.contains("space"))
    })
    .await;
    let waiting = ada.post(&commands, json!({ "type": "ping" })).await;
    let waiting = format!("{commands}/{}", waiting.text("commandId"));
    let look = async || ada.get(&waiting).await;
    assert_eq!(look().await.text("status"), "pending");

    volume.free().expect("space again");
    until("it is done after all", async || look().await.text("status") == "completed").await;
    assert!(status().await.exits(0).json()["lastError"].is_null());
    let told = daemon.err();
    assert_eq!(told.matches("commands are refused until there is space").count(), 1, "{told}");
    assert_eq!(told.matches("can be written again").count(), 1, "{told}");
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.exits(0);
}
