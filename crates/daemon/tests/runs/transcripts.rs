//! Recorded talks with the real programs: what they said in, what it meant out.
//!
//! A transcript begins with the version of the program and has a line per line of
//! the talk: `<` went to the program, `>` came from it. `cargo xtask record` makes
//! them; nothing in them is made up.

use chatroom_daemon::harness::{Harness, Out, driver, feed};
use chatroom_daemon::supervisor::RunSpec;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::{RunId, Timestamp, Tool};
use serde_json::Value;

macro_rules! transcripts {
    ($($name:ident: $tool:ident $file:literal)*) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("../transcripts/", $file));
            insta::assert_snapshot!(Replay::of(Tool::$tool).told(text));
        }
    )*};
}

transcripts! {
    claude_session: Claude "claude/session.txt"
    claude_dead_token: Claude "claude/dead-token.txt"
    opencode_session: Opencode "opencode/session.txt"
    opencode_dead_token: Opencode "opencode/dead-token.txt"
    pi_session: Pi "pi/session.txt"
    pi_dead_token: Pi "pi/dead-token.txt"
}

struct Replay {
    tool: Tool,
    harness: Box<dyn Harness>,
    /// Ids of the recording, and what this harness calls them.
    renamed: Vec<(String, String)>,
    told: Vec<String>,
}

impl Replay {
    fn of(tool: Tool) -> Self {
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
        Self { tool, harness, renamed: Vec::new(), told: Vec::new() }
    }

    fn told(mut self, transcript: &str) -> String {
        let mut out = Out::default();
        self.harness.begin(&mut out);
        for line in transcript.lines().filter(|line| !line.starts_with('#')) {
            let (side, line) = line.split_at(2);
            if side == "< " {
                self.sent(&serde_json::from_str(line).expect("JSON"));
                continue;
            }
            let mut line = line.to_owned();
            for (theirs, ours) in &self.renamed {
                line = line.replace(theirs, ours);
            }
            let out = feed(self.harness.as_mut(), line.as_bytes());
            self.tell(&out);
        }
        self.told.join("\n")
    }

    fn tell(&mut self, out: &Out) {
        for signal in &out.signals {
            self.told.push(format!("    {signal:?}"));
        }
    }

    /// Does with the harness what was done when the talk was recorded.
    fn sent(&mut self, line: &Value) {
        let mut out = Out::default();
        match self.tool {
            Tool::Claude => self.sent_to_claude(line, &mut out),
            Tool::Opencode | Tool::Cursor => self.sent_by_acp(line, &mut out),
            Tool::Pi => self.sent_to_pi(line, &mut out),
        }
        self.tell(&out);
    }

    fn prompt(&mut self, text: &str, out: &mut Out) {
        self.told.push(format!("prompt: {text}"));
        self.harness.prompt(text, out);
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.told.push("interrupt".to_owned());
        self.harness.interrupt(out);
    }

    fn decide(&mut self, key: &str, decision: Decision, out: &mut Out) {
        self.told.push(format!("{decision:?}"));
        self.harness.decide(key, decision, out);
    }

    fn sent_to_claude(&mut self, line: &Value, out: &mut Out) {
        match line["type"].as_str() {
            Some("user") => {
                let text = line["message"]["content"][0]["text"].as_str().expect("text");
                self.prompt(text, out);
                if let (Some(theirs), Some(ours)) = (line["uuid"].as_str(), out.send[0]["uuid"].as_str()) {
                    self.renamed.push((theirs.to_owned(), ours.to_owned()));
                }
            }
            Some("control_response") => {
                let response = &line["response"];
                let allow = response["response"]["behavior"] == "allow";
                let decision = if allow { Decision::Allow } else { Decision::Deny };
                self.decide(response["request_id"].as_str().expect("text"), decision, out);
            }
            _ if line["request"]["subtype"] == "interrupt" => self.interrupt(out),
            _ => self.rename(&line["request_id"], "initialize"),
        }
    }

    fn sent_by_acp(&mut self, line: &Value, out: &mut Out) {
        let outcome = &line["result"]["outcome"];
        match (line["method"].as_str(), outcome["optionId"].as_str()) {
            (Some("session/prompt"), _) => {
                let text = line["params"]["prompt"][0]["text"].as_str().expect("text");
                self.prompt(text, out);
            }
            (Some("session/cancel"), _) => self.interrupt(out),
            (None, Some(option)) => {
                let decision = if option == "once" { Decision::Allow } else { Decision::Deny };
                self.decide(&line["id"].to_string(), decision, out);
            }
            _ => {}
        }
    }

    fn sent_to_pi(&mut self, line: &Value, out: &mut Out) {
        match line["type"].as_str() {
            Some("prompt") => {
                self.rename(&line["id"], "prompt");
                self.prompt(line["message"].as_str().expect("text"), out);
            }
            Some("abort") => {
                self.rename(&line["id"], "abort");
                self.interrupt(out);
            }
            _ => self.rename(&line["id"], "state"),
        }
    }

    fn rename(&mut self, theirs: &Value, ours: &str) {
        self.renamed.push((theirs.to_string(), format!("\"{ours}\"")));
    }
}

#[test]
fn each_recording_is_of_the_program_that_is_pinned() {
    let pinned: Value =
        serde_json::from_str(include_str!("../../../../xtask/agents/programs/package.json")).expect("JSON");
    for (tool, package, recordings) in [
        (
            Tool::Claude,
            "@anthropic-ai/claude-code",
            [include_str!("../transcripts/claude/session.txt"), include_str!("../transcripts/claude/dead-token.txt")],
        ),
        (
            Tool::Opencode,
            "opencode-ai",
            [
                include_str!("../transcripts/opencode/session.txt"),
                include_str!("../transcripts/opencode/dead-token.txt"),
            ],
        ),
        (
            Tool::Pi,
            "@earendil-works/pi-coding-agent",
            [include_str!("../transcripts/pi/session.txt"), include_str!("../transcripts/pi/dead-token.txt")],
        ),
    ] {
        let version = pinned["dependencies"][package].as_str().expect("a version");
        for recording in recordings {
            let recorded = recording.lines().next().unwrap_or_default();
            assert_eq!(recorded, format!("# {tool} {version}"), "record it again: cargo xtask record");
        }
    }
}
