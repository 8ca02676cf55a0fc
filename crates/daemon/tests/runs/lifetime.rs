//! Daemons come and go; a run stays.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chatroom_daemon::process::ProcessId;
use chatroom_daemon::process::tree::{self, Root};
use chatroom_daemon::supervisor::client::{self, Error};
use chatroom_daemon::supervisor::event::RunEvent;
use chatroom_daemon::supervisor::read_events;
use chatroom_daemon::supervisor::wire::Refused;
use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity};
use chatroom_protocol::api::reports::TurnOutcome;
use nix::sys::signal::Signal;

use crate::world::{Run, World, eventually, prompt_id, supervisor};

#[tokio::test]
async fn without_a_go_it_leaves_nothing() {
    let world = World::new().await;
    let spec = world.spec(Tool::Cursor, PermissionMode::Auto);
    let supervised = client::spawn(&supervisor(), &spec.run_dir).await.expect("a supervisor");
    let id = supervised.id();
    let early = supervised.prompt(prompt_id(), "too early").await;
    assert!(matches!(early, Err(Error::Refused(Refused::NotStarted))), "{early:?}");

    // The daemon dies before it said go.
    drop(supervised);
    eventually("the supervisor leaves", || (!id.is_alive()).then_some(())).await;
    assert_eq!(files(&spec.run_dir), Vec::<String>::new());

    // It never says go: a supervisor does not wait for ever.
    let supervised = client::spawn(&supervisor(), &spec.run_dir).await.expect("a supervisor");
    let id = supervised.id();
    let begun = Instant::now();
    eventually("the supervisor leaves", || (!id.is_alive()).then_some(())).await;
    assert!(begun.elapsed() > Duration::from_secs(10), "left after {:?}", begun.elapsed());
    assert_eq!(files(&spec.run_dir), Vec::<String>::new());
    drop(supervised);
}

fn files(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_leaves() {
    let world = World::new().await;
    let mut pi = world.spec(Tool::Pi, PermissionMode::Ask);
    pi.program = crate::world::standin();
    let mut missing = world.spec(Tool::Cursor, PermissionMode::Auto);
    missing.program = PathBuf::from("/nowhere/agent");
    for (spec, words) in [(pi, "chatroom machine allow --auto"), (missing, "cannot execute /nowhere/agent")] {
        let supervised = client::spawn(&supervisor(), &spec.run_dir).await.expect("a supervisor");
        let id = supervised.id();
        match supervised.go(spec.clone()).await {
            Err(Error::Refused(Refused::CannotStart { reason })) => {
                assert!(reason.contains(words), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        eventually("the supervisor leaves", || (!id.is_alive()).then_some(())).await;
        assert_eq!(files(&spec.run_dir), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_daemon_that_returns_gets_what_it_missed() {
    let world = World::new().await;
    let mut run = world.start(Tool::Cursor, PermissionMode::Ask).await;
    let id = run.say("[[say: before]][[run: echo one > one.txt]]").await;
    run.asked().await;
    let last = run.events.last().expect("events").seq;
    let supervisor_id = run.supervised.id();

    // Another process is not ours, whatever lies in the folder.
    let stranger = ProcessId { start_time: supervisor_id.start_time + 1, ..supervisor_id };
    assert!(client::attach(&run.spec.run_dir, stranger, 0).await.expect("an answer").is_none());

    let returned = client::attach(&run.spec.run_dir, supervisor_id, 0).await.expect("an answer");
    let old = std::mem::replace(&mut run.supervised, returned.expect("it lives"));
    let seen = std::mem::take(&mut run.events);
    run.passed = 0;
    let (permission, ..) = run.asked().await;
    assert!(run.events.len() <= seen.len());
    assert_eq!(run.events[..], seen[..run.events.len()]);

    // The newest wins: the old attachment is closed.
    let refused = old.stop().await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    drop(old);

    run.supervised.decide(permission, chatroom_protocol::api::auth::Decision::Allow).await.expect("it is open");
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::End);

    // With no daemon at all the run goes on, and the rest is there later.
    let returned = client::attach(&run.spec.run_dir, supervisor_id, last).await.expect("an answer").expect("it lives");
    run.supervised = returned;
    run.events.retain(|event| event.seq <= last);
    run.passed = run.events.len();
    run.turn_of(id).await;
    run.until_activity(RunActivity::Idle).await;
    assert_eq!(run.file("one.txt").as_deref(), Some("one\n"));
    run.stop().await;
    run.log_is_whole();
}

#[tokio::test]
async fn a_run_outlives_its_daemon() {
    let world = World::new().await;
    let run = world.start(Tool::Cursor, PermissionMode::Auto).await;
    let mut run = run;
    run.say("[[run: sleep 1; echo late > late.txt]]").await;
    let Run { spec, supervised, .. } = run;
    let id = supervised.id();
    drop(supervised);
    eventually("the file", || std::fs::read_to_string(spec.working_dir.join("late.txt")).ok()).await;

    // SIGTERM to the supervisor is a stop; nobody is there to see it, so it is in the log.
    assert!(tree::signal(id, Signal::SIGTERM));
    eventually("the supervisor leaves", || (!id.is_alive()).then_some(())).await;
    assert!(client::attach(&spec.run_dir, id, 0).await.expect("an answer").is_none());
    let events = read_events(&spec.run_dir, 0).expect("the log reads");
    assert!(matches!(&events.last().expect("events").event, RunEvent::Exited { requested: true, .. }), "{events:#?}");
}

#[tokio::test]
async fn what_a_killed_supervisor_leaves_can_be_ended() {
    let world = World::new().await;
    let mut run = world.start(Tool::Cursor, PermissionMode::Auto).await;
    run.say("[[run: sleep 300]]").await;
    run.until("the command", |event| matches!(event, RunEvent::ToolCall { .. }).then_some(())).await;
    let id = run.supervised.id();
    assert!(tree::signal(id, Signal::SIGKILL));
    eventually("the supervisor is gone", || (!id.is_alive()).then_some(())).await;
    let returned = client::attach(&run.spec.run_dir, id, 0).await.expect("an answer");
    assert!(returned.is_none());
    let left = tree::end(Root::Nowhere, None, run.spec.run_id, Duration::ZERO, || {}).await;
    assert_eq!(left, []);
    run.nothing_is_left();
}

#[tokio::test]
async fn a_tool_that_crashes_ends_the_run_with_its_orphans() {
    let world = World::new().await;
    let mut run = world.start(Tool::Cursor, PermissionMode::Auto).await;
    let orphan = "(setsid python3 -c 'import time; time.sleep(300)' >/dev/null 2>&1 &)";
    let id = run.say(&format!("[[run: {orphan}]][[crash]]")).await;
    let (outcome, detail) = run.turn_of(id).await;
    assert_eq!(outcome, TurnOutcome::Error);
    let (code, signal, reason, requested) = run.exited().await;
    assert_eq!((code, signal, requested), (Some(3), None, false));
    assert_eq!(reason, "the agent program ended with exit code 3: the stand-in was told to crash");
    assert_eq!(detail, Some(reason));
    run.nothing_is_left();
    run.log_is_whole();
    let over = run.supervised.prompt(prompt_id(), "too late").await;
    assert!(matches!(over, Err(Error::Closed | Error::Refused(Refused::Over))), "{over:?}");
}

#[tokio::test]
async fn a_deep_folder_has_its_socket_elsewhere() {
    let world = World::new().await;
    let mut spec = world.spec(Tool::Cursor, PermissionMode::Auto);
    spec.run_dir = spec.run_dir.join("d".repeat(60)).join("e".repeat(60));
    std::fs::create_dir_all(&spec.run_dir).expect("a folder");
    let mut run = Run::start(spec).await;
    let link = run.spec.run_dir.join("sock");
    let target = std::fs::read_link(&link).expect("a link");
    let mode = target.metadata().expect("the socket").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let folder = target.parent().expect("a folder").to_owned();
    assert_eq!(folder.metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
    run.tell("[[say: deep]]").await;
    run.stop().await;
    let id = run.supervised.id();
    eventually("the supervisor leaves", || (!id.is_alive()).then_some(())).await;
    assert!(!folder.exists());
    assert!(link.symlink_metadata().is_err());
}
