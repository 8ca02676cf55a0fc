//! Whatever is found in the journal's file, and whatever an agent program prints: nothing breaks, nothing is
//! made up, and what was on disk is not lost.

use std::collections::BTreeSet;
use std::path::Path;

use chatroom_daemon::commands::finished;
use chatroom_daemon::harness::driver;
use chatroom_daemon::home::Home;
use chatroom_daemon::journal::{Entry, HISTORY, Journal, JournalError};
use chatroom_daemon::process::ProcessId;
use chatroom_daemon::runs::started_entries;
use chatroom_daemon::supervisor::RunSpec;
use chatroom_daemon::supervisor::conversation::{Conversation, Effect, MAX_OPEN};
use chatroom_daemon::supervisor::event::RunEvent;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::daemon::{CommandOutcome, Slot};
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::journal::{JournalEntry, Place};
use chatroom_protocol::{CommandId, PermissionId, PromptId, RoomId, RunId, Timestamp, Tool};
use chatroom_streams::Part;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What a daemon writes, in an order in which it could.
fn story(steps: &[(u8, u8)]) -> Vec<Vec<Entry>> {
    let slot = Slot { chatroom_id: RoomId::from_parts(Timestamp(1), 1), role: "builder".parse().unwrap() };
    let supervisor = ProcessId { pid: 42, start_time: 7 };
    let (mut commands, mut runs) = (BTreeSet::new(), BTreeSet::new());
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    for (kind, which) in steps {
        let told = batches.iter().flatten().filter(|entry| matches!(entry, Entry::Fact { .. })).count() as u64;
        let through = u64::from(*which).min(told);
        let which = u128::from(which % 4);
        let command_id = CommandId::from_parts(Timestamp(2), which);
        let run_id = RunId::from_parts(Timestamp(3), which);
        batches.push(match kind % 8 {
            0 if commands.insert(command_id) => vec![
                Entry::CommandReceived {
                    command_id,
                    kind: "start-agent".into(),
                    deadline_at: Timestamp(9),
                    slot: Some(slot.clone()),
                    run_id: Some(run_id),
                },
                Entry::Fact { fact: Fact::CommandReceived { command_id } },
            ],
            1 if commands.contains(&command_id) => {
                finished(command_id, CommandOutcome { status: CommandStatus::Completed, result: "done".into() })
            }
            2 if commands.contains(&command_id) && runs.insert(run_id) => {
                vec![Entry::RunSpawned { run_id, slot: slot.clone(), tool: Tool::Claude, supervisor }]
            }
            3 if runs.contains(&run_id) => started_entries(run_id, supervisor),
            4 => {
                let activity = RunActivity::Idle;
                vec![
                    Entry::RunEventSeen { run_id, seq: 3 },
                    Entry::Fact { fact: Fact::RunActivity { run_id, activity } },
                ]
            }
            5 => {
                let prompt_id = PromptId::from_parts(Timestamp(4), which);
                vec![
                    Entry::PromptAccepted { run_id, prompt_id, text: "do it".into(), from: None },
                    Entry::Fact { fact: Fact::PromptSent { run_id, prompt_id } },
                ]
            }
            6 => vec![Entry::Applied { through }],
            _ => vec![
                Entry::Fact { fact: Fact::RunExited { run_id, requested: false, reason: "gone".into() } },
                Entry::RunEnded { run_id },
            ],
        });
    }
    batches
}

/// What becomes of the file while nobody looks.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Flip(Index, u8),
    Garbage(Vec<u8>),
    Zeros(u8),
    /// The last appends are there twice.
    Again(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), 1u8..).prop_map(|(at, flip)| Damage::Flip(at, flip)),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Damage::Garbage),
        (1u8..).prop_map(Damage::Zeros),
        any::<Index>().prop_map(Damage::Again),
    ]
}

fn seen(journal: &Journal) -> Value {
    let mut seen = journal.read(|state| serde_json::to_value(state).unwrap());
    // Numbers are never given again, so this does not go back.
    seen.as_object_mut().unwrap().remove("entries");
    seen
}

/// Returns the numbers of the history, journal by journal.
fn told(home: &Home) -> Vec<Place> {
    let parts = Part::all(&home.join(HISTORY)).unwrap();
    let text: String = parts.iter().map(|part| std::fs::read_to_string(&part.path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str::<JournalEntry>(line).unwrap().place()).collect()
}

/// Writes batches one after another; returns what the journal amounted to and how long the file was after each.
async fn write(home: &Home, file: &Path, batches: Vec<Vec<Entry>>) -> Vec<(Value, usize)> {
    let length = || usize::try_from(std::fs::metadata(file).unwrap().len()).unwrap();
    let (journal, writer) = Journal::open(home).unwrap();
    let mut steps = vec![(seen(&journal), length())];
    for batch in batches {
        journal.append(batch).await.unwrap();
        steps.push((seen(&journal), length()));
    }
    drop(journal);
    writer.join();
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_journal_is_recovered_as_it_was_or_refused(
        steps in prop::collection::vec((any::<u8>(), any::<u8>()), 1..14),
        damage in damage(),
        kept_of_history in any::<Option<Index>>(),
    ) {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let file = home.join("journal").join("journal.log");
        let written = runtime.block_on(write(&home, &file, story(&steps)));
        let mut bytes = std::fs::read(&file).unwrap();
        match &damage {
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Damage::Flip(at, flip) => {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            Damage::Garbage(more) => bytes.extend(more),
            Damage::Zeros(count) => bytes.extend(std::iter::repeat_n(0, usize::from(*count))),
            Damage::Again(from) => {
                let from = written[from.index(written.len())].1;
                let tail = bytes[from..].to_vec();
                bytes.extend(tail);
            }
        }
        std::fs::write(&file, &bytes).unwrap();
        let history = told(&home);
        prop_assert_eq!(history.len(), story(&steps).iter().map(Vec::len).sum::<usize>());
        if let Some(kept) = kept_of_history {
            let part = Part::all(&home.join(HISTORY)).unwrap().pop().unwrap().path;
            let whole = std::fs::read(&part).unwrap();
            // What is cut off the journal as well is gone.
            if !matches!(damage, Damage::Cut(_) | Damage::Flip(..)) {
                std::fs::write(&part, &whole[..kept.index(whole.len() + 1)]).unwrap();
            }
        }
        let last = written.last().map(|(state, _)| state.clone()).unwrap();
        match Journal::open(&home) {
            Ok((journal, writer)) => {
                let found = seen(&journal);
                match damage {
                    Damage::Garbage(_) | Damage::Zeros(_) | Damage::Again(_) => prop_assert_eq!(&found, &last),
                    // What is left is what it once amounted to; without its beginning it is a new one.
                    Damage::Cut(_) | Damage::Flip(..) => {
                        let was = written.iter().any(|(state, _)| *state == found);
                        let is_new = found["lastSeq"] == 0 && found["commands"] == json!({}) && found["runs"] == json!({});
                        prop_assert!(was || is_new, "made up: {}", found);
                    }
                }
                drop(journal);
                writer.join();
                // Whatever became of the journal, its history is what it was: nothing lacks, and nothing is there twice.
                prop_assert_eq!(told(&home), history);
            }
            Err(why @ (JournalError::Log(_) | JournalError::Record { .. })) => {
                prop_assert!(matches!(damage, Damage::Flip(..)), "{damage:?} is survived: {why}");
                prop_assert_eq!(std::fs::read(&file).unwrap(), bytes, "what is refused is left as it is");
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn whatever_an_agent_program_prints_its_talk_goes_on(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20),
        broken in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..20),
    ) {
        for tool in Tool::ALL {
            let mut talk = begun(tool);
            for line in &lines {
                talk.line(line);
            }
            // Lines a real one printed, with a byte that is another one, or cut off.
            let real: Vec<&str> = recorded(tool).lines().filter_map(|line| line.strip_prefix("> ")).collect();
            for (which, at, byte) in &broken {
                let mut line = real[which.index(real.len())].as_bytes().to_vec();
                let at = at.index(line.len());
                if byte % 3 == 0 { line.truncate(at) } else { line[at] = *byte }
                let (effects, _) = talk.line(&line);
                prop_assert!(effects.len() < 200, "one line caused {} effects", effects.len());
            }
            talk.finish(chatroom_protocol::api::reports::TurnOutcome::Error, "gone");
        }
    }
}

fn recorded(tool: Tool) -> &'static str {
    match tool {
        Tool::Claude => include_str!("../transcripts/claude/session.txt"),
        Tool::Opencode | Tool::Cursor => include_str!("../transcripts/opencode/session.txt"),
        Tool::Pi => include_str!("../transcripts/pi/session.txt"),
    }
}

fn begun(tool: Tool) -> Conversation {
    let mode = if tool.can_ask() { PermissionMode::Ask } else { PermissionMode::Auto };
    let harness = driver(&RunSpec {
        run_id: RunId::from_parts(Timestamp(1), 1),
        tool,
        program: "/bin/tool".into(),
        model: None,
        conversation: None,
        working_dir: "/srv/project".into(),
        mode,
        without_project_settings: false,
        form: RunForm::Managed,
        system_prompt: String::new(),
        env: Vec::new(),
        run_token: String::new(),
        other_secrets: Vec::new(),
        run_dir: "/run".into(),
    });
    let mut talk = Conversation::new(harness, || {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        PermissionId::from_parts(Timestamp(1), u128::from(count))
    });
    talk.begin();
    talk
}

#[test]
fn a_program_that_asks_without_end_is_answered_no() {
    let mut talk = begun(Tool::Claude);
    let ready = json!({ "type": "control_response", "response": { "request_id": "initialize", "subtype": "success" } });
    talk.line(ready.to_string().as_bytes());
    let (mut asked, mut refused, mut told) = (0, 0, 0);
    for number in 0..10_000 {
        let question = json!({ "type": "control_request", "request_id": format!("q{number}"), "request": {
            "subtype": "can_use_tool", "tool_name": "Write", "input": { "file_path": "/tmp/x" } } });
        let (effects, _) = talk.line(question.to_string().as_bytes());
        for effect in effects {
            match effect {
                Effect::Ask { .. } => asked += 1,
                Effect::Send(answer) if answer.to_string().contains("deny") => refused += 1,
                Effect::Write(RunEvent::Notice { .. }) => told += 1,
                _ => {}
            }
        }
    }
    assert_eq!((asked, refused, told), (MAX_OPEN, 10_000 - MAX_OPEN, 10_000 - MAX_OPEN));
}
