//! How each agent program is started and driven.
//!
//! A harness turns lines of one program into [`Signal`]s and our wishes into
//! lines. It is pure: no process, no clock, no file. The supervisor owns those
//! and all rules that hold for every tool (one prompt at a time, what is written
//! down, how a run ends), so a new tool is one file here and its line in [`TOOLS`].
//!
//! A newcomer would get wrong: whatever a program prints that we do not know is
//! a notice, never an error; and whether a turn is over comes from the program's
//! own structured word for it, never from text or silence.

mod acp;
mod always;
mod calls;
mod claude;
pub mod launch;
mod parts;
mod pi;
pub mod verbs;

use std::path::{Path, PathBuf};

use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::PermissionMode;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::reports::TurnOutcome;
use serde_json::Value;

use crate::supervisor::RunSpec;
use crate::supervisor::event::{RunEvent, Words};
pub use always::{Always, Rule};
use launch::Slot;

/// An agent program as data.
#[derive(Debug)]
pub struct ToolSpec {
    /// Which.
    pub tool: Tool,
    /// What it may be called on PATH, best first.
    pub programs: &'static [&'static str],
    /// Arguments with which it prints its version and ends.
    pub version_args: &'static [&'static str],
    /// Arguments of every run.
    pub argv: &'static [Slot],
    /// Further arguments in mode `ask`; `None`: it cannot ask.
    pub ask_argv: Option<&'static [Slot]>,
    /// Further arguments in mode `auto`.
    pub auto_argv: &'static [Slot],
    /// Arguments that come last.
    pub last_argv: &'static [Slot],
    /// Variables every run of it gets.
    pub env: &'static [(&'static str, &'static str)],
    /// What a project may bring along for it.
    pub project: Project,
    /// How a person starts it in a terminal.
    pub terminal: TerminalForm,
}

/// How a tool is started in a terminal. Without a model and in mode `ask` that is word for word what the seed names.
#[derive(Debug)]
pub struct TerminalForm {
    /// Arguments before those of mode `auto` ([`ToolSpec::auto_argv`]).
    pub argv: &'static [Slot],
    /// Arguments that come last. Without [`Slot::Prompt`] the role prompt is typed, as the first words.
    pub last_argv: &'static [Slot],
    /// The keys that end its turn.
    pub interrupt: &'static [&'static str],
}

/// The Escape key.
const ESCAPE: &str = "\x1b";
/// Ctrl-C.
const CTRL_C: &str = "\x03";

/// What of a project could let a tool act without asking: rules, hooks, plugins.
#[derive(Debug)]
pub struct Project {
    /// Where that may be, in the working directory or above it.
    pub settings: &'static [&'static str],
    /// How the tool is told to leave it alone; `None`: it cannot be told.
    pub without: Option<Without>,
}

/// What makes a tool leave a project's settings alone.
#[derive(Debug)]
pub struct Without {
    /// Further arguments.
    pub argv: &'static [Slot],
    /// Further variables.
    pub env: &'static [(&'static str, &'static str)],
}

impl Project {
    /// Returns the first of them that a working directory has.
    pub fn found(&self, working_dir: &Path, home: Option<&Path>) -> Option<PathBuf> {
        // What is in a person's home is theirs.
        let folders = working_dir.ancestors().take_while(|folder| Some(*folder) != home);
        let all = folders.flat_map(|folder| self.settings.iter().map(|name| folder.join(name)));
        all.into_iter().find(|path| path.symlink_metadata().is_ok())
    }
}

/// Every tool there is.
pub const TOOLS: [&ToolSpec; 4] = [&claude::SPEC, &acp::OPENCODE, &acp::CURSOR, &pi::SPEC];

/// Returns how `tool` is started.
pub fn spec(tool: Tool) -> &'static ToolSpec {
    match tool {
        Tool::Claude => &claude::SPEC,
        Tool::Opencode => &acp::OPENCODE,
        Tool::Cursor => &acp::CURSOR,
        Tool::Pi => &pi::SPEC,
    }
}

/// Returns the driver for a run.
pub fn driver(run: &RunSpec) -> Box<dyn Harness> {
    match run.tool {
        Tool::Claude => Box::new(claude::Claude::new(run.mode)),
        Tool::Opencode | Tool::Cursor => Box::new(acp::Acp::new(run)),
        Tool::Pi => Box::new(pi::Pi::default()),
    }
}

/// One agent program's way of speaking.
pub trait Harness: Send {
    /// The program was started.
    fn begin(&mut self, out: &mut Out);
    /// The program printed a JSON value on a line.
    fn line(&mut self, line: &Value, out: &mut Out);
    /// Gives a prompt to the idle program.
    fn prompt(&mut self, text: &str, out: &mut Out);
    /// Asks the program to end its turn.
    fn interrupt(&mut self, out: &mut Out);
    /// Answers the question known as `key`.
    fn decide(&mut self, key: &str, decision: Decision, out: &mut Out);
}

/// What a harness wants done, in order.
#[derive(Debug, Default, PartialEq)]
pub struct Out {
    /// Lines for the program's stdin.
    pub send: Vec<Value>,
    /// What happened.
    pub signals: Vec<Signal>,
    /// Whether the line was only a part of something that comes whole later; such lines are not kept.
    pub partial: bool,
}

/// What happened in a program, in the words common to all.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// It takes prompts now.
    Ready,
    /// It is at work: the first sign of a turn, or a later one.
    Output,
    /// Its turn is over.
    TurnEnded {
        /// How.
        outcome: TurnOutcome,
        /// Its words, for an error.
        detail: Option<String>,
    },
    /// It asks before it acts.
    Asked {
        /// What the harness calls this question.
        key: String,
        /// One line.
        title: String,
        /// Exactly what would be done.
        input: String,
        /// What an answer for the whole run would permit.
        always: Always,
    },
    /// It takes a question back.
    AskGone {
        /// Which.
        key: String,
    },
    /// The next part of the text that is being written.
    Part {
        /// Its kind.
        words: Words,
        /// The part.
        text: String,
    },
    /// The text that was being written is over.
    PartsEnd,
    /// Something for the story: message, tool call, usage, notice and so on.
    Story(RunEvent),
    /// It cannot be used like this.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

impl Out {
    fn signal(&mut self, signal: Signal) {
        self.signals.push(signal);
    }

    fn story(&mut self, event: RunEvent) {
        self.signals.push(Signal::Story(event));
    }

    fn notice(&mut self, text: impl Into<String>) {
        self.story(RunEvent::Notice { text: text.into() });
    }

    fn words(&mut self, words: Words, text: &str) {
        if !text.is_empty() {
            self.story(words.event(text.to_owned(), None));
        }
    }

    fn ended(&mut self, outcome: TurnOutcome, detail: Option<String>) {
        self.signal(Signal::TurnEnded { outcome, detail });
    }
}

/// Gives a line of the program's stdout to its harness. What is no JSON is a notice.
pub fn feed(harness: &mut dyn Harness, line: &[u8]) -> Out {
    let mut out = Out::default();
    if line.iter().all(u8::is_ascii_whitespace) {
        return out;
    }
    match serde_json::from_slice::<Value>(line) {
        Ok(value) if value.is_object() => harness.line(&value, &mut out),
        _ => out.notice(format!("the agent printed: {}", start_of(&String::from_utf8_lossy(line)))),
    }
    out
}

/// What we do not know is told, with its beginning.
fn unknown(line: &Value, out: &mut Out) {
    out.notice(format!("the agent sent something unknown: {}", start_of(&line.to_string())));
}

/// The beginning of a text, for a notice.
fn start_of(text: &str) -> String {
    const MAX: usize = 300;
    let mut start: String = text.chars().take(MAX).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// The first line of a text, for a title.
fn one_line(text: &str) -> String {
    const MAX: usize = 200;
    let first = text.trim().lines().next().unwrap_or_default();
    let mut title: String = first.chars().take(MAX).collect();
    if title.len() < text.trim().len() {
        title.push_str(" …");
    }
    title
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Text of a list of content blocks, or of a bare text.
fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .map(|block| match block {
                // ACP wraps each block once more.
                Value::Object(_) if block["content"]["text"].is_string() => {
                    text_of(&block["content"], "text").to_owned()
                }
                Value::Object(_) if block["text"].is_string() => text_of(block, "text").to_owned(),
                Value::Object(_) => format!("[{}]", text_of(block, "type")),
                other => other.to_string(),
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether a question needs no person: the mode says so, or it is for one of the platform's own verbs in a shell and nothing else.
fn needs_nobody(mode: PermissionMode, is_shell: bool, input: &Value) -> bool {
    let is_verb = || input["command"].as_str().is_some_and(verbs::is_platform_verb);
    mode == PermissionMode::Auto || (is_shell && is_verb())
}

#[cfg(test)]
mod tests {
    use chatroom_protocol::api::agents::RunForm;
    use chatroom_protocol::{RunId, Timestamp};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn driver_of(tool: Tool, mode: PermissionMode) -> Box<dyn Harness> {
        driver(&RunSpec {
            run_id: RunId::from_parts(Timestamp(1), 1),
            tool,
            program: "/bin/tool".into(),
            model: None,
            conversation: None,
            working_dir: "/srv/project".into(),
            mode,
            without_project_settings: false,
            form: RunForm::Managed,
            system_prompt: "role".to_owned(),
            env: Vec::new(),
            run_token: String::new(),
            other_secrets: Vec::new(),
            run_dir: "/run".into(),
        })
    }

    /// Words of the four protocols, so that arbitrary lines get past the first `match`.
    const WORDS: [&str; 40] = [
        "control_request",
        "control_response",
        "control_cancel_request",
        "can_use_tool",
        "initialize",
        "result",
        "success",
        "assistant",
        "user",
        "system",
        "init",
        "stream_event",
        "tool_use",
        "tool_result",
        "text",
        "thinking",
        "response",
        "agent_start",
        "agent_settled",
        "message_end",
        "tool_execution_end",
        "prompt",
        "state",
        "abort",
        "extension_ui_request",
        "select",
        "session/update",
        "session/request_permission",
        "agent_message_chunk",
        "tool_call",
        "tool_call_update",
        "completed",
        "in_progress",
        "cancelled",
        "allow_once",
        "end_turn",
        "error",
        "message_start",
        "rate_limit_event",
        "",
    ];
    const KEYS: [&str; 44] = [
        "type",
        "subtype",
        "id",
        "request_id",
        "request",
        "response",
        "message",
        "content",
        "role",
        "result",
        "method",
        "params",
        "update",
        "sessionUpdate",
        "sessionId",
        "toolCall",
        "toolCallId",
        "status",
        "title",
        "rawInput",
        "rawOutput",
        "options",
        "optionId",
        "kind",
        "text",
        "input",
        "usage",
        "is_error",
        "errors",
        "user_message_uuids",
        "terminal_reason",
        "event",
        "error",
        "success",
        "data",
        "arguments",
        "stopReason",
        "isError",
        "name",
        "messageId",
        "command",
        "session_id",
        "input_tokens",
        "parent_tool_use_id",
    ];

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0_u64..6).prop_map(Value::from),
            Just(json!(u64::MAX)),
            Just(json!(-1.5)),
            prop::sample::select(WORDS.to_vec()).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((prop::sample::select(KEYS.to_vec()), inner), 0..7).prop_map(|entries| {
                    Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_program_prints_nothing_breaks(
            lines in prop::collection::vec(value(), 1..12),
            noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for tool in Tool::ALL {
                for mode in [PermissionMode::Ask, PermissionMode::Auto] {
                    let mut harness = driver_of(tool, mode);
                    let mut out = Out::default();
                    harness.begin(&mut out);
                    harness.prompt("do it", &mut out);
                    for (number, line) in lines.iter().enumerate() {
                        let out = feed(harness.as_mut(), line.to_string().as_bytes());
                        for signal in &out.signals {
                            if let Signal::Asked { key, .. } = signal {
                                harness.decide(key, Decision::Deny, &mut Out::default());
                            }
                        }
                        if number == 5 {
                            harness.interrupt(&mut Out::default());
                        }
                    }
                    feed(harness.as_mut(), &noise);
                }
            }
        }
    }

    #[test]
    fn the_unknown_is_a_notice() {
        for tool in Tool::ALL {
            for line in
                ["not JSON at all", "{\"type\":\"brand_new\",\"method\":\"brand/new\"}", "[1,2]", "{\"cut\":", "7"]
            {
                let out = feed(driver_of(tool, PermissionMode::Auto).as_mut(), line.as_bytes());
                assert!(
                    matches!(out.signals.as_slice(), [Signal::Story(RunEvent::Notice { .. })]),
                    "{tool} {line}: {out:?}"
                );
            }
            let deep = "[".repeat(100_000);
            let out = feed(driver_of(tool, PermissionMode::Auto).as_mut(), deep.as_bytes());
            assert_eq!(out.signals.len(), 1, "{tool}");
            assert_eq!(feed(driver_of(tool, PermissionMode::Auto).as_mut(), b"  \r"), Out::default());
        }
    }
}
