//! pi: JSON lines both ways (`--mode rpc`).
//!
//! It never asks for permission. An abort in a tool shows as one more model call
//! that fails with `error`, and while streaming as `aborted`: so whether we
//! aborted is remembered here, or an interrupt would look like a failure.

use chatroom_protocol::Tool;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::reports::TurnOutcome;
use serde_json::{Value, json};

use super::launch::Slot::{Conversation, Model, Prompt, PromptFile, Word};
use super::parts::Parts;
use super::{ESCAPE, Harness, Out, Project, Signal, TerminalForm, ToolSpec, content_text, start_of, text_of, unknown};
use crate::supervisor::event::{RunEvent, Words};

pub(super) const SPEC: ToolSpec = ToolSpec {
    tool: Tool::Pi,
    programs: &["pi"],
    version_args: &["--version"],
    // Its own parser takes the word after an option as the value, whatever it begins with; it knows no `=`.
    argv: &[
        Word("--mode"),
        Word("rpc"),
        Model("--model"),
        Conversation("--session-id"),
        PromptFile("--append-system-prompt"),
    ],
    ask_argv: None,
    auto_argv: &[],
    last_argv: &[],
    env: &[],
    // It never asks, so it is no less free without them.
    project: Project { settings: &[], without: None },
    // `pi PROMPT`
    terminal: TerminalForm { argv: &[Model("--model")], last_argv: &[Prompt], interrupt: &[ESCAPE] },
};

const STATE: &str = "state";
const PROMPT: &str = "prompt";
const ABORT: &str = "abort";

#[derive(Default)]
pub(super) struct Pi {
    ready: bool,
    working: bool,
    aborting: bool,
    /// The last model call of the turn failed: with these words.
    failure: Option<String>,
    parts: Parts,
}

impl Pi {
    fn response(&mut self, line: &Value, out: &mut Out) {
        let success = line["success"].as_bool().unwrap_or(false);
        let error = || start_of(line["error"].as_str().unwrap_or("no reason given"));
        match text_of(line, "id") {
            STATE if !self.ready && success => {
                self.ready = true;
                if let Some(id) = line["data"]["sessionId"].as_str() {
                    out.story(RunEvent::Session { id: id.to_owned() });
                }
                out.signal(Signal::Ready);
            }
            STATE if !self.ready => {
                out.signal(Signal::Failed { reason: format!("pi refused to begin: {}", error()) });
            }
            PROMPT if !success && self.working => {
                self.working = false;
                out.ended(TurnOutcome::Error, Some(error()));
            }
            // A turn that really ran ended before this answer; one that never began ends here.
            ABORT if success && self.working => self.settled(out),
            _ if !success => out.notice(format!("pi refused: {}", error())),
            _ => {}
        }
    }

    fn message(&mut self, message: &Value, out: &mut Out) {
        if text_of(message, "role") != "assistant" {
            return;
        }
        if self.working {
            out.signal(Signal::Output);
        }
        for block in message["content"].as_array().into_iter().flatten() {
            match text_of(block, "type") {
                "text" => self.parts.whole(Words::Message, text_of(block, "text"), out),
                "thinking" => self.parts.whole(Words::Thought, text_of(block, "thinking"), out),
                "toolCall" => out.story(RunEvent::ToolCall {
                    id: text_of(block, "id").to_owned(),
                    name: text_of(block, "name").to_owned(),
                    input: block["arguments"].to_string(),
                }),
                _ => unknown(block, out),
            }
        }
        let usage = &message["usage"];
        let count = |key: &str| usage[key].as_u64().unwrap_or(0);
        let input_tokens = count("input").saturating_add(count("cacheRead")).saturating_add(count("cacheWrite"));
        let output_tokens = count("output");
        if input_tokens > 0 || output_tokens > 0 {
            out.story(RunEvent::Usage { input_tokens, output_tokens });
        }
        self.failure = matches!(text_of(message, "stopReason"), "error" | "aborted")
            .then(|| message["errorMessage"].as_str().unwrap_or("the model call failed").to_owned());
    }

    fn updated(&mut self, event: &Value, out: &mut Out) {
        out.partial = true;
        match text_of(event, "type") {
            "text_delta" => self.parts.part(Words::Message, text_of(event, "delta"), out),
            "thinking_delta" => self.parts.part(Words::Thought, text_of(event, "delta"), out),
            "text_end" | "thinking_end" => self.parts.end(out),
            _ => {}
        }
    }

    fn settled(&mut self, out: &mut Out) {
        self.working = false;
        self.parts.clear(out);
        let failure = self.failure.take();
        match (std::mem::take(&mut self.aborting), failure) {
            (true, _) => out.ended(TurnOutcome::Interrupted, None),
            (false, Some(words)) => out.ended(TurnOutcome::Error, Some(words)),
            (false, None) => out.ended(TurnOutcome::End, None),
        }
    }

    /// A question of an extension. Nobody can answer it here, so it is declined: it would stand still for ever.
    fn dialog(line: &Value, out: &mut Out) {
        let words = [text_of(line, "title"), text_of(line, "message")];
        let words = words.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        match text_of(line, "method") {
            "select" | "confirm" | "input" | "editor" => {
                out.notice(format!("an extension of pi asked and was declined: {}", start_of(&words)));
                out.send.push(json!({"type": "extension_ui_response", "id": line["id"], "cancelled": true}));
            }
            "notify" => out.notice(start_of(&words)),
            _ => {}
        }
    }
}

impl Harness for Pi {
    fn begin(&mut self, out: &mut Out) {
        out.send.push(json!({"id": STATE, "type": "get_state"}));
    }

    fn line(&mut self, line: &Value, out: &mut Out) {
        match text_of(line, "type") {
            "response" => self.response(line, out),
            "agent_start" => {
                self.working = true;
                self.failure = None;
                out.signal(Signal::Output);
            }
            // Parts of a message, and repetitions of messages that were told one by one.
            "message_update" => self.updated(&line["assistantMessageEvent"], out),
            "tool_execution_update" | "turn_end" | "agent_end" => out.partial = true,
            "message_end" => self.message(&line["message"], out),
            "tool_execution_end" => out.story(RunEvent::ToolResult {
                id: text_of(line, "toolCallId").to_owned(),
                output: content_text(&line["result"]["content"]),
                is_error: line["isError"].as_bool().unwrap_or(false),
            }),
            "agent_settled" => self.settled(out),
            "auto_retry_start" => out.notice(format!(
                "the model could not be reached; trying again: {}",
                start_of(text_of(line, "errorMessage"))
            )),
            "compaction_start" => out.notice("the conversation is being compacted"),
            "extension_error" => {
                out.notice(format!("an extension of pi failed: {}", start_of(&line["error"].to_string())));
            }
            "extension_ui_request" => Self::dialog(line, out),
            "turn_start"
            | "message_start"
            | "tool_execution_start"
            | "queue_update"
            | "auto_retry_end"
            | "compaction_end"
            | "session"
            | "session_info_changed"
            | "thinking_level_changed"
            | "model_changed" => {}
            _ => unknown(line, out),
        }
    }

    fn prompt(&mut self, text: &str, out: &mut Out) {
        self.working = true;
        self.aborting = false;
        self.failure = None;
        out.send.push(json!({"id": PROMPT, "type": "prompt", "message": text}));
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.aborting = self.working;
        out.send.push(json!({"id": ABORT, "type": "abort"}));
    }

    fn decide(&mut self, _key: &str, _decision: Decision, _out: &mut Out) {
        // It never asks.
    }
}
