//! The journal as a stream: every entry once, in order, on this machine and on the server, and nothing people said.

use std::path::PathBuf;

use chatroom_daemon::home::Home;
use chatroom_daemon::journal::{Entry, HISTORY, Journal};
use chatroom_protocol::api::daemon::ChangePrompt;
use chatroom_protocol::api::reports::{Fact, TurnOutcome};
use chatroom_protocol::journal::{JournalEntry, JournalEvent, JournalFact};
use chatroom_protocol::{ErrorCode, Timestamp};
use chatroom_streams::{Log, Part, Position};
use http::StatusCode;

use crate::steering::prompt;
use crate::world::{CRM, CRP, CRR, World, unique, until};

/// Returns what this machine has, as it lies on the disk.
fn written(home: &Home) -> Vec<JournalEntry> {
    let parts = Part::all(&home.join(HISTORY)).unwrap();
    let text: String = parts.iter().map(|part| std::fs::read_to_string(&part.path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn newest(home: &Home) -> PathBuf {
    Part::all(&home.join(HISTORY)).unwrap().pop().unwrap().path
}

/// Returns the numbers, which count up without a gap or a double.
fn counted(entries: &[JournalEntry]) -> u64 {
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    numbers.len() as u64
}

fn finished(entries: &[JournalEntry]) -> usize {
    entries.iter().filter(|entry| matches!(entry.event, JournalEvent::CommandFinished { .. })).count()
}

/// Performs a command and waits until the server has its outcome in its copy of the journal.
async fn ping(world: &World) {
    let command = World::command("ping");
    world.server.perform(&command).await;
    until("its outcome in the server's copy", async || {
        let is_it = |entry: &JournalEntry| {
            matches!(&entry.event, JournalEvent::CommandFinished { command_id, .. } if *command_id == command.command_id)
        };
        world.server.journal().iter().any(is_it).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_entry_arrives_once_through_lost_answers_crashes_and_a_server_that_is_away() {
    let world = World::new().await;
    let daemon = world.daemon();
    ping(&world).await;
    world.server.lose_entries(3);
    ping(&world).await;

    // The next daemon finds in the journal what a crash kept from the history: entries, and a half one.
    daemon.crash(&world).await;
    let file = newest(&world.home);
    let whole = std::fs::read(&file).unwrap();
    let kept = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).nth(4).unwrap();
    std::fs::write(&file, &whole[..kept + 20]).unwrap();
    let daemon = world.daemon();
    ping(&world).await;
    assert!(std::fs::read(&file).unwrap().starts_with(&whole), "written again as it was");

    // Days without the server: what happens meanwhile is there when it comes back.
    let run = world.started().await;
    world.server.refuse(Some((StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown)));
    let one = prompt("[[say: hello]]");
    world.prompt(run, &one).await;
    let is_turn = |entry: &JournalEntry| matches!(&entry.event, JournalEvent::Reported { fact: JournalFact::TurnEnded { outcome, .. }, .. } if *outcome == TurnOutcome::End);
    until("the turn", async || written(&world.home).iter().any(is_turn).then_some(())).await;
    daemon.crash(&world).await;
    let daemon = world.daemon();
    // The prompt is the first of what came since.
    let is_prompt = |entry: &JournalEntry| matches!(&entry.event, JournalEvent::PromptAccepted { prompt_id, .. } if *prompt_id == one.prompt_id);
    assert!(written(&world.home).iter().any(is_prompt));
    assert!(
        !world.server.journal().iter().any(|entry| is_prompt(entry) || is_turn(entry)),
        "it takes nothing meanwhile"
    );
    world.server.refuse(None);
    until("the turn there", async || world.server.journal().iter().any(is_turn).then_some(())).await;

    // A server that lost it gets it again.
    world.server.lose_journal().await;
    world.server.cut();
    ping(&world).await;

    daemon.stop().await;
    let there = world.server.journal();
    assert_eq!(there, written(&world.home), "entry by entry, the same here and there");
    counted(&there);
    assert_eq!(finished(&there), 5);
    let exited = |entry: &JournalEntry| matches!(&entry.event, JournalEvent::Reported { fact: JournalFact::RunExited { run_id, .. }, .. } if *run_id == run);
    assert!(there.iter().any(exited), "also what happened while the daemon ended");
    assert!(there.iter().all(|entry| entry.at.is_some_and(|at| at.0 > 1_700_000_000_000)), "each has its time");
}

#[tokio::test]
async fn what_people_and_agents_said_is_not_in_it_nor_any_secret() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let busy = prompt("[[run: echo private-things]]");
    world.prompt(run, &busy).await;
    world.server.fact("a question", |fact| matches!(fact, Fact::PermissionAsked { .. }).then_some(())).await;
    let waiting = prompt("private-words");
    world.prompt(run, &waiting).await;
    let change = ChangePrompt::Edit { text: "private-changes".to_owned(), from: None };
    let path = format!("/agents/{run}/prompts/{}", waiting.prompt_id);
    world.server.post::<serde_json::Value>(&path, &change).await.unwrap();
    daemon.stop().await;
    let entries = written(&world.home);
    let has = |wanted: &str| {
        let event = |entry: &JournalEntry| serde_json::to_value(&entry.event).unwrap();
        entries.iter().map(event).any(|event| event["type"] == wanted || event["fact"]["type"] == wanted)
    };
    for kind in
        ["command_received", "run_spawned", "prompt_accepted", "prompt_edited", "permission_asked", "run_exited"]
    {
        assert!(has(kind), "{kind} is in it");
    }
    let text = std::fs::read_to_string(newest(&world.home)).unwrap();
    for word in ["private", CRM, CRP, CRR] {
        assert!(!text.contains(word), "{word} is in it: {text}");
    }
    assert_eq!(world.server.journal(), entries);
}

#[tokio::test]
async fn it_is_read_from_the_machine_by_offset_and_live() {
    let world = World::new().await;
    let daemon = world.daemon();
    ping(&world).await;
    let read = async |query: &str| world.server.ask("GET", &format!("/agents/journal?{query}"), None).await;
    let (status, text) = read("offset=-1").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let entries: Vec<JournalEntry> = serde_json::from_str(&text).unwrap();
    counted(&entries);
    assert!(finished(&entries) == 1, "{text}");
    let another = World::command("ping");
    let (waited, _) = tokio::join!(read("offset=now&live=long-poll"), world.server.perform(&another));
    let later: Vec<JournalEntry> = serde_json::from_str(&waited.1).unwrap();
    assert!(later.first().unwrap().seq > entries.last().unwrap().seq, "{}", waited.1);
    let (status, words) = read("offset=0000000000000001_0000000000000007").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "between two entries: {words}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_journal_that_is_begun_anew_has_given_its_history_all_it_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path().join("home")).unwrap();
    let fact = |number: i64| {
        let run_id = chatroom_protocol::RunId::from_parts(Timestamp(number), unique());
        Entry::Fact { fact: Fact::RunExited { run_id, requested: false, reason: "x".repeat(2_000) } }
    };
    let (journal, writer) = Journal::open(&home).unwrap();
    let mut seq = 0;
    for round in 0..12 {
        journal.append((0..500).map(|number| fact(round * 500 + number)).collect()).await.unwrap();
        seq += 500;
        // What the server has is forgotten, so the next file is small.
        journal.append(vec![Entry::Applied { through: seq }]).await.unwrap();
    }
    drop(journal);
    writer.join();
    let size = std::fs::metadata(home.join("journal/journal.log")).unwrap().len();
    assert!(size < 8 << 20, "{size}: it was begun anew");
    assert_eq!(counted(&written(&home)), 12 * 501);
    let (journal, writer) = Journal::open(&home).unwrap();
    journal.append(vec![Entry::Applied { through: seq }]).await.unwrap();
    drop(journal);
    writer.join();
    assert_eq!(counted(&written(&home)), 12 * 501 + 1, "and counts on");
    // A journal that was lost begins another, behind what is known of the old.
    std::fs::remove_file(home.join("journal/journal.log")).unwrap();
    let (journal, writer) = Journal::open(&home).unwrap();
    journal.append(vec![Entry::Applied { through: 1 }]).await.unwrap();
    drop(journal);
    writer.join();
    let entries = written(&home);
    let [.., old, new] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((old.seq, new.seq), (12 * 501 + 1, 1));
    assert!(new.place().to_string() > old.place().to_string(), "places sort as the entries do");
}

#[tokio::test]
async fn a_journal_of_the_version_before_is_read_and_one_of_this_version_there() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path().join("home")).unwrap();
    let path = home.folder("journal").unwrap().join("journal.log");
    let state =
        r#"{"journalId":"01HF7YAT000000000000000001","lastSeq":0,"applied":0,"unreported":[],"commands":{},"runs":{}}"#;
    let run = "run_01HF7YAT000000000000000007";
    let mut log = Log::open(&path).unwrap();
    log.append(format!(r#"{{"type":"begun","state":{state}}}"#).as_bytes()).unwrap();
    log.append(format!(r#"{{"type":"run_started","runId":"{run}"}}"#).as_bytes()).unwrap();
    drop(log);
    for _ in 0..2 {
        let (journal, writer) = Journal::open(&home).unwrap();
        journal.append(vec![Entry::RunEnded { run_id: run.parse().unwrap() }]).await.unwrap();
        drop(journal);
        writer.join();
    }
    let entries = written(&home);
    assert_eq!(counted(&entries), 3);
    assert_eq!((entries[0].at, entries[1].at.is_some()), (None, true), "what has no time is told without one");
    let log = Log::open(&path).unwrap();
    for record in log.read_from(Position(0)).unwrap() {
        serde_json::from_slice::<Entry>(&record.payload).unwrap();
    }
}
