//! A transcript as an agent writes one: turns in which it thinks, speaks, calls its tools and changes files.

use chatroom_protocol::api::reports::TurnOutcome;
use chatroom_protocol::transcript::{RunEvent, Sequenced};
use chatroom_protocol::{PromptId, Timestamp};
use serde_json::json;

/// How many events a turn has.
const TURN: u64 = 500;
/// When the transcript begins, and how long there is between events, in milliseconds.
const BEGAN: i64 = 1_800_000_000_000;
const STEP: i64 = 200;

const OUTPUT: &str = "running 12 tests\ntest parses_a_number ... ok\ntest refuses_a_word ... ok\n\
                      test keeps_the_order ... ok\ntest result: ok. 12 passed; 0 failed; finished in 0.31s\n";

/// Returns an event of the transcript; a turn ends with each that [`TURN`] divides.
pub fn event(seq: u64) -> Sequenced<RunEvent> {
    let prompt_id = PromptId::from_parts(Timestamp(BEGAN), u128::from((seq - 1) / TURN));
    let event = match (seq % TURN, seq % 4) {
        (1, _) => {
            let text = format!("Turn {}: make the next test pass and say what you changed.", seq / TURN + 1);
            RunEvent::PromptSent { prompt_id, from: None, text: Some(text) }
        }
        (0, _) => RunEvent::TurnEnded { prompt_id, outcome: TurnOutcome::End, detail: None },
        (_, 1) => {
            RunEvent::Thought { text: format!("The order of {seq} matters, so the list stays sorted."), block: None }
        }
        (_, 2) => call(seq),
        (_, 3) => RunEvent::ToolResult { id: (seq - 1).to_string(), output: OUTPUT.repeat(2), is_error: false },
        _ => {
            let text = format!(
                "Step {seq} is done: `parse` now says **where** a word stands.\n\n- the error names the line\n\
                 - the test for it is in `tests/parse.rs`\n\n```rust\nfn line(&self) -> usize {{\n    self.line\n}}\n```"
            );
            RunEvent::Message { text, block: None }
        }
    };
    placed(seq, event)
}

/// Returns an event in which the agent says this.
pub fn said(seq: u64, text: String) -> Sequenced<RunEvent> {
    placed(seq, RunEvent::Message { text, block: None })
}

fn placed(seq: u64, event: RunEvent) -> Sequenced<RunEvent> {
    Sequenced { seq, at: Timestamp(BEGAN + i64::try_from(seq).unwrap_or_default() * STEP), event }
}

/// Each tenth call changes a file, which the page shows open.
fn call(seq: u64) -> RunEvent {
    let (name, input) = if seq % 40 == 2 {
        let before = "fn line(&self) -> usize {\n    0\n}\n";
        let after = "fn line(&self) -> usize {\n    self.line\n}\n";
        ("Edit", json!({ "file_path": "/srv/app/src/parse.rs", "old_string": before, "new_string": after }))
    } else {
        ("Bash", json!({ "command": format!("cargo test parse_{seq}"), "description": "Run the tests" }))
    };
    RunEvent::ToolCall { id: seq.to_string(), name: name.to_owned(), input: input.to_string() }
}
