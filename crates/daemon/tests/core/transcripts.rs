//! What runs write arrives on the server: every line once, in order, whatever happens on the way.

use chatroom_protocol::api::reports::{Fact, TurnOutcome};
use chatroom_protocol::transcript::{RunEvent, Sequenced};
use chatroom_protocol::{ErrorCode, RunId};
use http::StatusCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::steering::prompt;
use crate::world::{World, until};

/// Returns the file of a run as the array a stream of its lines is.
fn written(world: &World, run: RunId) -> String {
    let lines = std::fs::read_to_string(world.home.run_dir(run).join("events.jsonl")).unwrap();
    format!("[{}]", lines.lines().collect::<Vec<_>>().join(","))
}

/// Waits until the transcript of a run that is over has arrived.
async fn arrived(world: &World, run: RunId) -> Vec<Sequenced<RunEvent>> {
    until("the whole transcript", async || world.server.transcript(run).1.then_some(())).await;
    let (text, _) = world.server.transcript(run);
    assert_eq!(text, written(world, run), "every line once, byte for byte");
    until("the mark", async || world.home.run_dir(run).join("sent").exists().then_some(())).await;
    serde_json::from_str(&text).unwrap()
}

async fn has_come(world: &World, run: RunId, text: &str) {
    until(text, async || world.server.transcript(run).0.contains(text).then_some(())).await;
}

#[tokio::test]
async fn every_line_arrives_once_through_lost_answers_crashes_and_a_server_that_is_away() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let say = async |text: &str| {
        let one = prompt(&format!("[[say: {text}]]"));
        world.prompt(run, &one).await;
        assert_eq!(world.ended(&one).await, TurnOutcome::End);
    };
    say("first").await;
    has_come(&world, run, "first").await;

    world.server.lose_appends(3);
    say("second").await;
    has_come(&world, run, "second").await;
    say("third").await;
    has_come(&world, run, "third").await;

    // Another daemon goes on where the server is, whatever this one had under way.
    daemon.crash(&world).await;
    let daemon = world.daemon();
    say("fourth").await;
    has_come(&world, run, "fourth").await;

    world.server.refuse(Some((StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown)));
    let unsent = prompt("[[say: fifth]]");
    world.prompt(run, &unsent).await;
    until("the words", async || written(&world, run).contains("fifth").then_some(())).await;
    assert!(!world.server.transcript(run).0.contains("fifth"));
    world.server.refuse(None);
    has_come(&world, run, "fifth").await;

    daemon.stop().await;
    let events = arrived(&world, run).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(matches!(events.last().unwrap().event, RunEvent::Exited { .. }));

    // What has arrived is not asked for again.
    let before = world.server.appends();
    let daemon = world.daemon();
    world.server.link().await;
    daemon.stop().await;
    assert_eq!(world.server.appends(), before);
}

#[tokio::test]
async fn what_a_killed_supervisor_leaves_is_finished_and_arrives() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let one = prompt("[[say: hello]]");
    world.prompt(run, &one).await;
    assert_eq!(world.ended(&one).await, TurnOutcome::End);
    let file = world.home.run_dir(run).join("events.jsonl");
    let pid = world.server.fact("the process", |fact| match fact {
        Fact::RunStarted { pid, .. } => Some(*pid),
        _ => None,
    });
    let supervisor = Pid::from_raw(i32::try_from(pid.await).unwrap());
    kill(supervisor, Signal::SIGSTOP).unwrap();
    // As if it was killed in the middle of a line.
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{whole}{{\"seq\":99,\"at\":1,\"eve")).unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    let events = arrived(&world, run).await;
    let [.., notice, exited] = &events[..] else { panic!("{events:?}") };
    assert!(matches!(&notice.event, RunEvent::Notice { text } if text.contains("may be missing")), "{notice:?}");
    assert!(matches!(&exited.event, RunEvent::Exited { reason, .. } if reason.contains("supervisor")), "{exited:?}");
    assert_eq!(exited.seq, events.len() as u64);
    daemon.stop().await;
}

#[tokio::test]
async fn a_run_the_server_has_forgotten_is_not_sent_for_ever() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    has_come(&world, run, "tool_started").await;
    daemon.crash(&world).await;
    world.server.forget(run);
    let daemon = world.daemon();
    until("the mark", async || world.home.run_dir(run).join("sent").exists().then_some(())).await;
    daemon.stop().await;
}
