//! Claude Code: JSON lines both ways (`stream-json`).
//!
//! It says nothing before it is asked something, so `initialize` is the probe
//! for readiness. Each prompt carries an id, which its `result` names again:
//! so a turn the program begins by itself (a background task came back) is not
//! taken for ours.

use std::collections::HashMap;

use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::PermissionMode;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::reports::TurnOutcome;
use serde_json::{Value, json};
use uuid::Uuid;

use super::always::{Kind, always};
use super::launch::Slot::{JoinedConversation, JoinedModel, JoinedPromptFile, Prompt, Word};
use super::parts::Parts;
use super::{
    ESCAPE, Harness, Out, Project, Signal, TerminalForm, ToolSpec, Without, content_text, needs_nobody, one_line,
    start_of, text_of, unknown,
};
use crate::supervisor::event::{RunEvent, Words};

pub(super) const SPEC: ToolSpec = ToolSpec {
    tool: Tool::Claude,
    programs: &["claude"],
    version_args: &["--version"],
    argv: &[
        Word("-p"),
        Word("--input-format=stream-json"),
        Word("--output-format=stream-json"),
        Word("--verbose"),
        Word("--include-partial-messages"),
        Word("--replay-user-messages"),
        Word("--permission-prompt-tool=stdio"),
        // Its question to a person has no way to one; it asks in its message instead.
        Word("--disallowedTools=AskUserQuestion"),
        JoinedModel("--model"),
        JoinedConversation("--resume"),
        JoinedPromptFile("--append-system-prompt-file"),
    ],
    ask_argv: Some(&[Word("--permission-mode=default")]),
    auto_argv: &[Word("--dangerously-skip-permissions")],
    last_argv: &[],
    env: &[("DISABLE_AUTOUPDATER", "1")],
    project: Project {
        // Settings, and skills and agents with hooks of their own; servers that are started without a question.
        settings: &[".claude", ".mcp.json"],
        without: Some(Without { argv: &[Word("--setting-sources=user")], env: &[] }),
    },
    // `claude PROMPT`; the model goes by its variable, see `launch.rs`.
    terminal: TerminalForm { argv: &[], last_argv: &[Prompt], interrupt: &[ESCAPE] },
};

/// Our first question, whose answer says it is ready.
const INITIALIZE: &str = "initialize";

/// Lines that tell nothing a person or the platform needs.
const QUIET: [&str; 8] = [
    "command_lifecycle",
    "keep_alive",
    "tool_progress",
    "tool_use_summary",
    "auth_status",
    "prompt_suggestion",
    "streamlined_text",
    "streamlined_tool_use_summary",
];

pub(super) struct Claude {
    mode: PermissionMode,
    session: String,
    /// The id our prompt carries, until its turn is over.
    prompt: Option<String>,
    /// Open questions: what would be done, unchanged, as an allowance must repeat it.
    open: HashMap<String, Value>,
    parts: Parts,
    interrupts: u64,
}

impl Claude {
    pub(super) fn new(mode: PermissionMode) -> Self {
        Self {
            mode,
            session: String::new(),
            prompt: None,
            open: HashMap::new(),
            parts: Parts::default(),
            interrupts: 0,
        }
    }

    fn asked(&mut self, line: &Value, out: &mut Out) {
        let key = text_of(line, "request_id");
        let request = &line["request"];
        if text_of(request, "subtype") != "can_use_tool" {
            out.notice(format!("the agent asked for something unknown: {}", start_of(&request.to_string())));
            out.send.push(json!({"type": "control_response", "response": {
                "subtype": "error", "request_id": key, "error": "not supported"}}));
            return;
        }
        let (name, input) = (text_of(request, "tool_name"), &request["input"]);
        self.open.insert(key.to_owned(), input.clone());
        if needs_nobody(self.mode, name == "Bash", input) {
            self.decide(key, Decision::Allow, out);
            return;
        }
        let what = ["command", "file_path", "path", "url", "pattern"]
            .iter()
            .find_map(|field| input[*field].as_str())
            .unwrap_or_else(|| text_of(request, "description"));
        let kind = match name {
            "Bash" => Kind::Shell,
            "Edit" | "MultiEdit" | "NotebookEdit" | "Write" => Kind::Edit,
            "WebFetch" => Kind::Fetch,
            _ => Kind::Other,
        };
        let title = one_line(&format!("{name}: {what}"));
        let always = always(kind, name, input);
        out.signal(Signal::Asked { key: key.to_owned(), title, input: input.to_string(), always });
    }

    fn answered(line: &Value, out: &mut Out) {
        let response = &line["response"];
        // It repeats our own answers as well; only the answer to our first question matters.
        if text_of(response, "request_id") != INITIALIZE {
            return;
        }
        if text_of(response, "subtype") == "success" {
            out.signal(Signal::Ready);
        } else {
            out.signal(Signal::Failed {
                reason: format!("claude refused to begin: {}", start_of(&response["error"].to_string())),
            });
        }
    }

    fn system(&mut self, line: &Value, out: &mut Out) {
        match text_of(line, "subtype") {
            "init" => {
                let session = text_of(line, "session_id");
                if self.session != session {
                    session.clone_into(&mut self.session);
                    out.story(RunEvent::Session { id: session.to_owned() });
                }
            }
            "api_retry" => out.notice(format!(
                "the model could not be reached; trying again: {}",
                start_of(&line["error"].to_string())
            )),
            "compact_boundary" => out.notice("the conversation was compacted"),
            "status"
            | "hook_started"
            | "hook_progress"
            | "hook_response"
            | "task_started"
            | "task_progress"
            | "task_updated"
            | "task_notification"
            | "session_state_changed"
            | "files_persisted"
            | "local_command_output" => {}
            _ => unknown(line, out),
        }
    }

    fn assistant(&mut self, line: &Value, out: &mut Out) {
        // Outside of our turn it may be an agent of its own that still talks.
        if self.prompt.is_some() {
            out.signal(Signal::Output);
        }
        for block in line["message"]["content"].as_array().into_iter().flatten() {
            match text_of(block, "type") {
                "text" => self.parts.whole(Words::Message, text_of(block, "text"), out),
                "thinking" => self.parts.whole(Words::Thought, text_of(block, "thinking"), out),
                "tool_use" => out.story(RunEvent::ToolCall {
                    id: text_of(block, "id").to_owned(),
                    name: text_of(block, "name").to_owned(),
                    input: block["input"].to_string(),
                }),
                "redacted_thinking" => {}
                _ => unknown(block, out),
            }
        }
    }

    fn streamed(&mut self, event: &Value, out: &mut Out) {
        let delta = &event["delta"];
        match text_of(event, "type") {
            "message_start" => out.signal(Signal::Output),
            "content_block_delta" => match text_of(delta, "type") {
                "text_delta" => self.parts.part(Words::Message, text_of(delta, "text"), out),
                "thinking_delta" => self.parts.part(Words::Thought, text_of(delta, "thinking"), out),
                _ => {}
            },
            "content_block_stop" => self.parts.end(out),
            _ => {}
        }
    }

    fn user(line: &Value, out: &mut Out) {
        for block in line["message"]["content"].as_array().into_iter().flatten() {
            if text_of(block, "type") == "tool_result" {
                out.story(RunEvent::ToolResult {
                    id: text_of(block, "tool_use_id").to_owned(),
                    output: content_text(&block["content"]),
                    is_error: block["is_error"].as_bool().unwrap_or(false),
                });
            }
        }
    }

    fn result(&mut self, line: &Value, out: &mut Out) {
        let usage = &line["usage"];
        if usage.is_object() {
            let count = |key: &str| usage[key].as_u64().unwrap_or(0);
            out.story(RunEvent::Usage {
                input_tokens: count("input_tokens")
                    .saturating_add(count("cache_creation_input_tokens"))
                    .saturating_add(count("cache_read_input_tokens")),
                output_tokens: count("output_tokens"),
            });
        }
        let named = line["user_message_uuids"].as_array().filter(|ids| !ids.is_empty());
        if let (Some(ours), Some(named)) = (&self.prompt, named)
            && !named.iter().any(|id| id.as_str() == Some(ours))
        {
            return;
        }
        self.prompt = None;
        self.open.clear();
        self.parts.clear(out);
        // An abort counts as an error there, so the reason comes first.
        if text_of(line, "terminal_reason").starts_with("aborted") {
            out.ended(TurnOutcome::Interrupted, None);
        } else if line["is_error"].as_bool().unwrap_or(false) {
            let errors = content_text(&line["errors"]);
            let detail = [text_of(line, "result"), &errors, text_of(line, "subtype")]
                .into_iter()
                .find(|text| !text.is_empty())
                .map(str::to_owned);
            out.ended(TurnOutcome::Error, detail);
        } else {
            out.ended(TurnOutcome::End, None);
        }
    }
}

impl Harness for Claude {
    fn begin(&mut self, out: &mut Out) {
        out.send.push(json!({"type": "control_request", "request_id": INITIALIZE,
            "request": {"subtype": "initialize"}}));
    }

    fn line(&mut self, line: &Value, out: &mut Out) {
        match text_of(line, "type") {
            "control_request" => self.asked(line, out),
            "control_response" => Self::answered(line, out),
            "control_cancel_request" => {
                let key = text_of(line, "request_id");
                if self.open.remove(key).is_some() {
                    out.signal(Signal::AskGone { key: key.to_owned() });
                }
            }
            "stream_event" => {
                out.partial = true;
                // Only the main conversation's calls lie inside a turn that has a result.
                if line["parent_tool_use_id"].is_null() {
                    self.streamed(&line["event"], out);
                }
            }
            "system" => self.system(line, out),
            "assistant" => self.assistant(line, out),
            "user" => Self::user(line, out),
            "result" => self.result(line, out),
            "rate_limit_event" => {
                let status = text_of(&line["rate_limit_info"], "status");
                if !matches!(status, "" | "allowed") {
                    out.notice(format!("the model's rate limit: {status}"));
                }
            }
            known if QUIET.contains(&known) => {}
            _ => unknown(line, out),
        }
    }

    fn prompt(&mut self, text: &str, out: &mut Out) {
        let id = Uuid::new_v4().to_string();
        out.send.push(json!({"type": "user", "uuid": id,
            "message": {"role": "user", "content": [{"type": "text", "text": text}]}}));
        self.prompt = Some(id);
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.interrupts += 1;
        out.send.push(json!({"type": "control_request",
            "request_id": format!("interrupt-{}", self.interrupts),
            "request": {"subtype": "interrupt"}}));
    }

    fn decide(&mut self, key: &str, decision: Decision, out: &mut Out) {
        let Some(input) = self.open.remove(key) else {
            return;
        };
        let answer = match decision {
            Decision::Allow => json!({"behavior": "allow", "updatedInput": input}),
            Decision::Deny => json!({"behavior": "deny", "message": "denied by the owner"}),
        };
        out.send.push(json!({"type": "control_response", "response": {
            "subtype": "success", "request_id": key, "response": answer}}));
    }
}
