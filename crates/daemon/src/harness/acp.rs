//! opencode and Cursor: the Agent Client Protocol, JSON-RPC lines both ways.
//!
//! Both sides ask and count their questions apart, so a line with a `method` is
//! theirs and one without answers ours. We offer no file and no terminal access:
//! these tools have their own.
//!
//! A cancel must be followed by an answer to every open question: opencode left
//! without one never asks again, and its next tool call hangs for ever.

use std::collections::HashMap;
use std::path::PathBuf;

use chatroom_protocol::api::agents::PermissionMode;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::reports::TurnOutcome;
use chatroom_protocol::{ConversationId, Tool};
use serde_json::{Value, json};

use super::always::{Kind, always};
use super::calls::{Calls, changes, is_empty};
use super::launch::Slot::{Model, Prompt, Word};
use super::parts::Parts;
use super::{
    CTRL_C, ESCAPE, Harness, Out, Project, Signal, TerminalForm, ToolSpec, Without, content_text, needs_nobody,
    one_line, start_of, text_of, unknown,
};
use crate::supervisor::RunSpec;
use crate::supervisor::event::{RunEvent, Words};

pub(super) const OPENCODE: ToolSpec = ToolSpec {
    tool: Tool::Opencode,
    programs: &["opencode"],
    version_args: &["--version"],
    argv: &[Word("acp")],
    // Mode and model go by configuration, see `launch.rs`.
    ask_argv: Some(&[]),
    auto_argv: &[],
    last_argv: &[],
    env: &[("OPENCODE_DISABLE_AUTOUPDATE", "1")],
    project: Project {
        settings: &["opencode.json", "opencode.jsonc", ".opencode"],
        without: Some(Without { argv: &[], env: &[("OPENCODE_DISABLE_PROJECT_CONFIG", "1")] }),
    },
    // `opencode`, bare; it ends a turn at the second Escape.
    terminal: TerminalForm { argv: &[], last_argv: &[], interrupt: &[ESCAPE, ESCAPE] },
};

pub(super) const CURSOR: ToolSpec = ToolSpec {
    tool: Tool::Cursor,
    programs: &["cursor-agent", "agent"],
    version_args: &["--version"],
    argv: &[Model("--model")],
    ask_argv: Some(&[]),
    auto_argv: &[Word("--force")],
    last_argv: &[Word("acp")],
    env: &[],
    project: Project { settings: &[".cursor/cli.json", ".cursor/hooks.json", ".cursor/mcp.json"], without: None },
    // `agent chat PROMPT`
    terminal: TerminalForm { argv: &[Model("--model")], last_argv: &[Word("chat"), Prompt], interrupt: &[CTRL_C] },
};

/// The way Cursor signs in where there is no key.
const CURSOR_LOGIN: &str = "cursor_login";

/// What one of our questions was.
enum Asked {
    Initialize,
    Authenticate,
    NewSession,
    LoadSession,
    Prompt,
}

/// A question of theirs that is open.
struct Question {
    id: Value,
    options: Value,
}

pub(super) struct Acp {
    tool: Tool,
    mode: PermissionMode,
    working_dir: PathBuf,
    signs_in: bool,
    /// The role prompt, until the first prompt took it along.
    system_prompt: Option<String>,
    /// The session to go on with, until it is loaded.
    resumes: Option<ConversationId>,
    session: Option<String>,
    asked: HashMap<u64, Asked>,
    next_id: u64,
    open: HashMap<String, Question>,
    calls: Calls,
    /// The message whose text is coming.
    message: Value,
    parts: Parts,
    /// Whether a prompt of ours is not answered yet: what comes outside of a turn begins none.
    in_turn: bool,
    cancelling: bool,
}

impl Acp {
    pub(super) fn new(run: &RunSpec) -> Self {
        let has_key = run.env.iter().any(|(name, value)| name == "CURSOR_API_KEY" && !value.is_empty());
        Self {
            tool: run.tool,
            mode: run.mode,
            working_dir: run.working_dir.clone(),
            signs_in: run.tool == Tool::Cursor && !has_key,
            // A session that goes on has it already.
            system_prompt: Some(run.system_prompt.clone())
                .filter(|text| !text.is_empty() && run.conversation.is_none()),
            resumes: run.conversation.clone(),
            session: None,
            asked: HashMap::new(),
            next_id: 1,
            open: HashMap::new(),
            calls: Calls::default(),
            message: Value::Null,
            parts: Parts::default(),
            in_turn: false,
            cancelling: false,
        }
    }

    fn ask(&mut self, what: Asked, method: &str, params: &Value, out: &mut Out) {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, what);
        out.send.push(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }

    fn open_session(&mut self, out: &mut Out) {
        match self.resumes.clone() {
            None => {
                let params = json!({"cwd": self.working_dir, "mcpServers": []});
                self.ask(Asked::NewSession, "session/new", &params, out);
            }
            Some(id) => {
                let params = json!({"sessionId": id, "cwd": self.working_dir, "mcpServers": []});
                self.ask(Asked::LoadSession, "session/load", &params, out);
            }
        }
    }

    fn opened(&mut self, session: String, out: &mut Out) {
        out.story(RunEvent::Session { id: session.clone() });
        out.signal(Signal::Ready);
        self.session = Some(session);
    }

    fn answered(&mut self, line: &Value, out: &mut Out) {
        let Some(what) = line["id"].as_u64().and_then(|id| self.asked.remove(&id)) else {
            unknown(line, out);
            return;
        };
        let error = line.get("error").map(|error| {
            let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
            start_of(&message)
        });
        match (what, error) {
            (Asked::Prompt, error) => self.turn_ended(&line["result"], error, out),
            (Asked::LoadSession, None) => {
                let loaded = self.resumes.take().map(|id| id.to_string()).unwrap_or_default();
                self.opened(loaded, out);
            }
            (Asked::NewSession, None) => match line["result"]["sessionId"].as_str() {
                Some(id) => self.opened(id.to_owned(), out),
                None => out.signal(Signal::Failed { reason: format!("{} made no session", self.tool) }),
            },
            (Asked::Initialize, None) if self.resumes.is_some() && !can_load(&line["result"]) => {
                let reason = format!("this version of {} cannot resume a session; start it without that", self.tool);
                out.signal(Signal::Failed { reason });
            }
            (Asked::Initialize, None) if self.signs_in => {
                self.ask(Asked::Authenticate, "authenticate", &json!({"methodId": CURSOR_LOGIN}), out);
            }
            (Asked::Initialize | Asked::Authenticate, None) => self.open_session(out),
            (_, Some(error)) => out.signal(Signal::Failed {
                reason: format!(
                    "{} refused to begin: {error}; see that it is signed in and works in a terminal on this machine",
                    self.tool
                ),
            }),
        }
    }

    fn turn_ended(&mut self, result: &Value, error: Option<String>, out: &mut Out) {
        self.parts.clear(out);
        self.in_turn = false;
        self.calls.clear();
        self.open.clear();
        let usage = &result["usage"];
        if usage.is_object() {
            let count = |key: &str| usage[key].as_u64().unwrap_or(0);
            out.story(RunEvent::Usage {
                input_tokens: count("inputTokens")
                    .saturating_add(count("cachedReadTokens"))
                    .saturating_add(count("cachedWriteTokens")),
                output_tokens: count("outputTokens"),
            });
        }
        let cancelled = std::mem::take(&mut self.cancelling);
        match (error, text_of(result, "stopReason")) {
            (_, "cancelled") => out.ended(TurnOutcome::Interrupted, None),
            (Some(_), _) if cancelled => out.ended(TurnOutcome::Interrupted, None),
            (Some(error), _) => out.ended(TurnOutcome::Error, Some(error)),
            (None, "end_turn") => out.ended(TurnOutcome::End, None),
            (None, other) => {
                out.notice(format!("the agent stopped: {}", start_of(other)));
                out.ended(TurnOutcome::End, None);
            }
        }
    }

    fn requested(&mut self, line: &Value, out: &mut Out) {
        let (id, method) = (&line["id"], text_of(line, "method"));
        if method == "session/request_permission" {
            self.permission(id, &line["params"], out);
            return;
        }
        out.notice(format!("the agent asked for something this version does not offer: {}", start_of(method)));
        out.send.push(json!({"jsonrpc": "2.0", "id": id,
            "error": {"code": -32601, "message": format!("{method} is not offered")}}));
    }

    fn permission(&mut self, id: &Value, params: &Value, out: &mut Out) {
        self.parts.end(out);
        let asked = &params["toolCall"];
        self.calls.learn(asked);
        let call_id = text_of(asked, "toolCallId").to_owned();
        self.calls.tell(&call_id, out);
        let known = self.calls.get(&call_id);
        let input = [&asked["rawInput"], known.map_or(&Value::Null, |call| &call.input)]
            .into_iter()
            .find(|input| !is_empty(input))
            .cloned();
        let title = [text_of(asked, "title"), known.map_or("", |call| &call.title)]
            .into_iter()
            .find(|title| !title.is_empty())
            .unwrap_or("something without a title");
        let kind = match text_of(asked, "kind") {
            "execute" => Kind::Shell,
            "edit" => Kind::Edit,
            "fetch" => Kind::Fetch,
            _ => Kind::Other,
        };
        let named = if kind == Kind::Other { title.to_owned() } else { text_of(asked, "kind").to_owned() };
        let title = match text_of(asked, "kind") {
            "" => one_line(title),
            kind => one_line(&format!("{kind}: {title}")),
        };
        let key = id.to_string();
        self.open.insert(key.clone(), Question { id: id.clone(), options: params["options"].clone() });
        if !self.in_turn {
            out.notice(format!("the agent asked outside of a turn and was not answered: {title}"));
            self.cancel_questions(out);
            return;
        }
        if needs_nobody(self.mode, kind == Kind::Shell, input.as_ref().unwrap_or(&Value::Null)) {
            self.decide(&key, Decision::Allow, out);
            return;
        }
        let always = always(kind, &named, input.as_ref().unwrap_or(asked));
        // A call that says only in its content what it would do is shown whole.
        let shown = match input {
            Some(input) if is_empty(&asked["content"]) => input.to_string(),
            _ => asked.to_string(),
        };
        out.signal(Signal::Asked { key, title, input: shown, always });
    }

    fn cancel_questions(&mut self, out: &mut Out) {
        for (key, question) in self.open.drain() {
            out.send.push(json!({"jsonrpc": "2.0", "id": question.id,
                "result": {"outcome": {"outcome": "cancelled"}}}));
            out.signals.push(Signal::AskGone { key });
        }
    }

    fn updated(&mut self, update: &Value, out: &mut Out) {
        match text_of(update, "sessionUpdate") {
            "agent_message_chunk" => self.chunk(Words::Message, update, out),
            "agent_thought_chunk" => self.chunk(Words::Thought, update, out),
            "tool_call" | "tool_call_update" => self.call(update, out),
            "plan"
            | "user_message_chunk"
            | "available_commands_update"
            | "current_mode_update"
            | "config_option_update"
            | "session_info_update"
            | "usage_update" => {}
            _ => unknown(update, out),
        }
    }

    fn output(&self, out: &mut Out) {
        if self.in_turn {
            out.signal(Signal::Output);
        }
    }

    fn chunk(&mut self, words: Words, update: &Value, out: &mut Out) {
        out.partial = true;
        self.output(out);
        if self.message != update["messageId"] {
            self.parts.end(out);
            self.message = update["messageId"].clone();
        }
        self.parts.part(words, text_of(&update["content"], "text"), out);
    }

    fn call(&mut self, update: &Value, out: &mut Out) {
        self.parts.end(out);
        self.output(out);
        self.calls.learn(update);
        let id = text_of(update, "toolCallId").to_owned();
        match text_of(update, "status") {
            // What it will do is often not said yet.
            "pending" | "" => {}
            "completed" | "failed" => {
                self.calls.tell(&id, out);
                let is_told = self.calls.get(&id).is_some_and(|call| !is_empty(&call.input));
                let output = [
                    // A call that said nothing of its input tells here what it changed.
                    changes(&update["content"]).filter(|_| !is_told).unwrap_or_default(),
                    content_text(&update["content"]),
                    content_text(&update["rawOutput"]),
                ];
                let output = output.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
                self.calls.remove(&id);
                out.story(RunEvent::ToolResult { id, output, is_error: text_of(update, "status") == "failed" });
            }
            _ => {
                // Output so far is repeated in the result.
                out.partial = !is_empty(&update["content"]) || !is_empty(&update["rawOutput"]);
                self.calls.tell(&id, out);
            }
        }
    }
}

fn can_load(initialized: &Value) -> bool {
    initialized["agentCapabilities"]["loadSession"].as_bool().unwrap_or(false)
}

impl Harness for Acp {
    fn begin(&mut self, out: &mut Out) {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
            "clientInfo": {"name": "chatroom", "version": env!("CARGO_PKG_VERSION")},
        });
        self.ask(Asked::Initialize, "initialize", &params, out);
    }

    fn line(&mut self, line: &Value, out: &mut Out) {
        match (line.get("method").is_some(), line.get("id").is_some()) {
            (true, true) => self.requested(line, out),
            // What was said before is repeated while a session is loaded.
            (true, false) if text_of(line, "method") == "session/update" && self.session.is_none() => {
                out.partial = true;
            }
            (true, false) if text_of(line, "method") == "session/update" => {
                self.updated(&line["params"]["update"], out);
            }
            (true, false) => unknown(line, out),
            (false, _) => self.answered(line, out),
        }
    }

    fn prompt(&mut self, text: &str, out: &mut Out) {
        self.cancelling = false;
        self.in_turn = true;
        let mut blocks = Vec::new();
        if let Some(role) = self.system_prompt.take() {
            blocks.push(json!({"type": "text", "text": role}));
        }
        blocks.push(json!({"type": "text", "text": text}));
        let params = json!({"sessionId": self.session, "prompt": blocks});
        self.ask(Asked::Prompt, "session/prompt", &params, out);
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.cancelling = true;
        out.send.push(json!({"jsonrpc": "2.0", "method": "session/cancel",
            "params": {"sessionId": self.session}}));
        self.cancel_questions(out);
    }

    fn decide(&mut self, key: &str, decision: Decision, out: &mut Out) {
        let Some(question) = self.open.remove(key) else {
            return;
        };
        let kind = match decision {
            Decision::Allow => "allow_once",
            Decision::Deny => "reject_once",
        };
        let option = question
            .options
            .as_array()
            .into_iter()
            .flatten()
            .find(|option| text_of(option, "kind") == kind)
            .map(|option| &option["optionId"]);
        let outcome = if let Some(id) = option {
            json!({"outcome": "selected", "optionId": id})
        } else {
            out.notice(format!("the agent offered no answer of the kind {kind}, so its question was cancelled"));
            json!({"outcome": "cancelled"})
        };
        out.send.push(json!({"jsonrpc": "2.0", "id": question.id, "result": {"outcome": outcome}}));
    }
}
