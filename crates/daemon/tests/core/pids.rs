//! A process id alone names nobody: the system hands it out again.

use std::process::{Child, Command};
use std::time::Duration;

use chatroom_daemon::control::{self, Stopped};
use chatroom_daemon::journal::{Entry, Journal};
use chatroom_daemon::process::ProcessId;
use chatroom_daemon::{lock, status};
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{RunId, Tool};
use serde_json::json;

use crate::world::{World, now, unique};

/// Somebody else's process, which must not be harmed.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Who had its process id before.
    fn predecessor(&self) -> ProcessId {
        let own = ProcessId::of(self.0.id()).unwrap();
        ProcessId { start_time: own.start_time - 1, ..own }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_reused_pid_is_not_taken_for_the_daemon() {
    let world = World::new().await;
    let mut other = Bystander::new();
    let ProcessId { pid, start_time } = other.predecessor();
    let file = json!({ "pid": pid, "startTime": start_time, "port": 9, "startedAt": "2026-01-01T00:00:00Z" });
    world.home.write("daemon.pid", file.to_string().as_bytes()).unwrap();
    assert!(status::query(&world.home).await.is_none());
    assert_eq!(control::stop(&world.home).await.unwrap(), Stopped::NoneRan);
    let daemon = world.daemon();
    world.server.link().await;
    daemon.stop().await;
    assert!(other.is_alive());
}

#[tokio::test]
async fn a_reused_pid_is_not_taken_for_a_run() {
    let world = World::new().await;
    let mut other = Bystander::new();
    let run_id = RunId::from_parts(now(), unique());
    {
        let (journal, writer) = Journal::open(&world.home).unwrap();
        let spawned =
            Entry::RunSpawned { run_id, slot: world.slot.clone(), tool: Tool::Cursor, supervisor: other.predecessor() };
        journal.append(vec![spawned, Entry::RunStarted { run_id }]).await.unwrap();
        drop(journal);
        writer.join();
    }
    let daemon = world.daemon();
    let exited = |fact: &Fact| matches!(fact, Fact::RunExited { run_id: id, .. } if *id == run_id).then_some(());
    world.server.fact("the run is over", exited).await;
    assert!(world.server.agents().await.is_empty());
    daemon.stop().await;
    assert!(other.is_alive());
}

#[tokio::test]
async fn a_daemon_that_has_just_begun_is_not_overlooked() {
    let world = World::new().await;
    // It has the lock, and has not told its process id yet.
    let begun = lock::take(&world.home, Duration::ZERO).await.unwrap();
    assert!(begun.is_some() && lock::take(&world.home, Duration::ZERO).await.unwrap().is_none());
    let home = world.home.clone();
    let stopping = tokio::spawn(async move { control::stop(&home).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!stopping.is_finished(), "it would have said that none runs");
    drop(begun);
    assert_eq!(stopping.await.unwrap().unwrap(), Stopped::NoneRan);
}
