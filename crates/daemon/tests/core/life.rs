//! One daemon per home, from start to end.

use chatroom_daemon::control::{self, Stopped};
use chatroom_daemon::credentials::Credentials;
use chatroom_daemon::{DaemonError, Exit, run};
use chatroom_protocol::ErrorCode;
use chatroom_protocol::api::reports::Fact;
use http::StatusCode;

use crate::world::{World, processes, until};

#[tokio::test]
async fn a_second_daemon_of_a_home_is_refused_and_named() {
    let world = World::new().await;
    let daemon = world.daemon();
    world.server.link().await;
    let mut options = world.options();
    options.patience = std::time::Duration::ZERO;
    let error = run(options).await.unwrap_err();
    assert!(matches!(error, DaemonError::AlreadyRunning { .. }));
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");

    // A restart waits for the one that is ending.
    let waiting = world.daemon();
    assert_eq!(daemon.stop().await, Exit::Stopped);
    until("the second epoch", async || (world.server.epochs() == [1, 2]).then_some(())).await;
    waiting.stop().await;
    assert_eq!(control::stop(&world.home).await.unwrap(), Stopped::NoneRan);
}

#[tokio::test]
async fn stopping_ends_every_agent_and_tells_so() {
    let world = World::new().await;
    let daemon = world.daemon();
    let agent = world.started().await;
    assert_eq!(daemon.stop().await, Exit::Stopped);
    assert_eq!(processes(agent), 0);
    let told = world
        .server
        .facts()
        .into_iter()
        .any(|fact| matches!(fact, Fact::RunExited { run_id, requested: true, .. } if run_id == agent));
    assert!(told);
    assert!(!world.home.join("daemon.pid").exists());
}

#[tokio::test]
async fn a_daemon_that_was_superseded_ends_its_agents_and_leaves() {
    let world = World::new().await;
    let daemon = world.daemon();
    let agent = world.started().await;
    world.server.refuse(Some((StatusCode::CONFLICT, ErrorCode::StaleEpoch)));
    world.server.cut();
    let exit = daemon.exit().await.unwrap();
    assert_eq!(exit, Exit::Superseded);
    assert!(exit.reason().contains("newer daemon"));
    assert_eq!(processes(agent), 0);
}

#[tokio::test]
async fn a_machine_that_is_not_registered_yet_waits_and_can_be_stopped() {
    let world = World::new().await;
    Credentials::remove(&world.home).unwrap();
    let daemon = world.daemon();
    let status = until("the daemon runs", async || chatroom_daemon::status::query(&world.home).await).await;
    assert!(!status.connected && status.last_error.unwrap().contains("chatroom auth login"));
    assert_eq!(daemon.stop().await, Exit::Stopped);
}

#[tokio::test]
async fn a_daemon_for_another_server_is_refused() {
    let world = World::new().await;
    let mut options = world.options();
    options.server_url = Some("https://elsewhere.example".parse().unwrap());
    let error = run(options).await.unwrap_err().to_string();
    assert!(error.contains("CHATROOM_HOME"), "{error}");
}

#[tokio::test]
async fn a_full_journal_is_begun_anew_and_forgets_nothing_that_counts() {
    use chatroom_daemon::journal::{Entry, Journal};
    let world = World::new().await;
    let (journal, writer) = Journal::open(&world.home).unwrap();
    let id = journal.read(|state| state.journal_id.clone());
    for number in 0..40_u32 {
        let filler = Fact::ToolsDetected { tools: Vec::new() };
        let text = "x".repeat(250_000);
        let exited = Fact::RunExited {
            run_id: chatroom_protocol::RunId::from_parts(crate::world::now(), u128::from(number)),
            requested: false,
            reason: text,
        };
        journal.append(vec![Entry::Fact { fact: exited }, Entry::Fact { fact: filler }]).await.unwrap();
        let through = journal.read(|state| state.last_seq) - 1;
        journal.append(vec![Entry::Applied { through }]).await.unwrap();
    }
    let size = std::fs::metadata(world.home.join("journal/journal.log")).unwrap().len();
    assert!(size < 9 * 1024 * 1024, "{size}");
    drop(journal);
    writer.join();
    let (journal, _writer) = Journal::open(&world.home).unwrap();
    assert_eq!(journal.read(|state| (state.journal_id.clone(), state.last_seq, state.applied)), (id, 80, 79));
    assert_eq!(journal.unreported(256).iter().map(|report| report.seq).collect::<Vec<_>>(), [80]);
}

#[tokio::test]
async fn a_daemon_that_ends_at_once_is_told_with_the_end_of_its_log() {
    let world = World::new().await;
    let args = ["-c", "echo the disk is full; exit 3"];
    let error = control::spawn_detached("/bin/sh".as_ref(), &world.home, &args, |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("the disk is full"), "{error}");
    assert!(error.contains("logs/daemon.log"), "{error}");
}

#[test]
fn a_log_stays_bounded() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.log");
    let mut log = chatroom_daemon::logs::Rotating::open(&path, 1_000).unwrap();
    for number in 0..100 {
        writeln!(log, "line {number} of many, so many that the file is full").unwrap();
    }
    let size = |path| std::fs::metadata(path).unwrap().len();
    assert!(size(path.clone()) <= 1_000 && size(path.with_extension("log.1")) <= 1_000);
    assert!(std::fs::read_to_string(&path).unwrap().contains("line 99"));
}
