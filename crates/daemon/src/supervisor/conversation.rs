//! The rules that hold for every tool: one prompt at a time, a question has one
//! answer, a turn takes its open questions along.
//!
//! Pure like the harnesses: events and lines come out in the order in which they
//! are to be written and sent.

use std::collections::{HashMap, HashSet};

use chatroom_protocol::api::agents::{PermissionScope, RunActivity};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{PromptFrom, Steerer};
use chatroom_protocol::api::reports::{PermissionOutcome, TurnOutcome};
use chatroom_protocol::{PermissionId, PromptId};
use serde_json::Value;

use super::event::{RunEvent, Words};
use super::wire::{Done, Refused};
use crate::harness::{Always, Harness, Out, Rule, Signal, feed};

/// The longest thing a person can be asked to permit, in bytes: it is shown whole or not at all.
pub const MAX_QUESTION: usize = 64 * 1024;

/// How many questions of one tool are open at once; further ones are answered no.
pub const MAX_OPEN: usize = 64;

/// Something the supervisor is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write this down.
    Write(RunEvent),
    /// The agent goes on with what it is saying.
    Say {
        /// What it is.
        words: Words,
        /// The next part.
        text: String,
    },
    /// What it was saying is over.
    Said,
    /// Make a question ready for people, and write it down.
    Ask {
        /// Its id.
        id: PermissionId,
        /// One line.
        title: String,
        /// What would be done, as the tool said it.
        input: String,
        /// What an answer for the whole run would permit.
        always: String,
    },
    /// Give this line to the tool.
    Send(Value),
    /// End the run: it cannot go on.
    Fail(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Idle,
    /// In a turn: of a prompt of ours, or one the tool began by itself.
    Working {
        prompt: Option<PromptId>,
        begun: bool,
    },
}

/// A question that is open.
struct Open {
    id: PermissionId,
    /// What the harness calls it.
    key: String,
    /// What an answer for the whole run would permit.
    rule: Rule,
}

/// One run's talk with its tool.
pub struct Conversation {
    harness: Box<dyn Harness>,
    phase: Phase,
    told: RunActivity,
    seen: HashSet<PromptId>,
    open: Vec<Open>,
    /// What is permitted for the whole run, and by the answer to which question.
    permitted: HashMap<Rule, PermissionId>,
    mint: fn() -> PermissionId,
}

impl Conversation {
    /// Begins with a tool that was just started; `mint` makes new ids.
    pub fn new(harness: Box<dyn Harness>, mint: fn() -> PermissionId) -> Self {
        Self {
            harness,
            phase: Phase::Starting,
            told: RunActivity::Exited,
            seen: HashSet::new(),
            open: Vec::new(),
            permitted: HashMap::new(),
            mint,
        }
    }

    /// Returns whether the tool has said it takes prompts.
    pub fn is_ready(&self) -> bool {
        self.phase != Phase::Starting
    }

    /// Returns whether a turn is under way.
    pub fn is_working(&self) -> bool {
        matches!(self.phase, Phase::Working { .. })
    }

    /// The tool's process exists.
    pub fn begin(&mut self) -> Vec<Effect> {
        let mut out = Out::default();
        self.harness.begin(&mut out);
        self.effects(out)
    }

    /// The tool printed a line. The second value tells whether it is only a part of what comes whole later.
    pub fn line(&mut self, line: &[u8]) -> (Vec<Effect>, bool) {
        let out = feed(self.harness.as_mut(), line);
        let partial = out.partial;
        (self.effects(out), partial)
    }

    /// Gives a prompt to the tool, unless it had it before.
    pub fn prompt(&mut self, id: PromptId, text: String, from: Option<PromptFrom>) -> Result<Vec<Effect>, Refused> {
        if self.seen.contains(&id) {
            return Ok(Vec::new());
        }
        if self.phase != Phase::Idle {
            return Err(Refused::Busy);
        }
        self.seen.insert(id);
        self.phase = Phase::Working { prompt: Some(id), begun: false };
        let mut out = Out::default();
        self.harness.prompt(&text, &mut out);
        let mut effects = vec![Effect::Write(RunEvent::PromptSent { prompt_id: id, from, text: Some(text) })];
        effects.extend(self.effects(out));
        Ok(effects)
    }

    /// Asks the tool to end its turn, as somebody wants it; nothing if there is none.
    pub fn interrupt(&mut self, by: Option<Steerer>) -> Vec<Effect> {
        if !self.is_working() {
            return Vec::new();
        }
        let mut effects = vec![Effect::Write(RunEvent::InterruptAsked { by })];
        effects.extend(self.leave_turn());
        effects
    }

    /// Asks the tool to end its turn, because the run is to end.
    pub fn leave_turn(&mut self) -> Vec<Effect> {
        let mut out = Out::default();
        self.harness.interrupt(&mut out);
        self.effects(out)
    }

    /// Answers an open question.
    pub fn decide(
        &mut self,
        id: PermissionId,
        decision: Decision,
        scope: PermissionScope,
        by: Option<&Steerer>,
    ) -> Result<Vec<Effect>, Refused> {
        let at = self.open.iter().position(|open| open.id == id).ok_or(Refused::PermissionClosed)?;
        let rule = self.open[at].rule;
        let for_run = decision == Decision::Allow && scope == PermissionScope::Run;
        let mut answered = vec![self.open.remove(at)];
        if for_run {
            self.permitted.insert(rule, id);
            // What it permits may be asked already.
            answered.extend(self.open.extract_if(.., |open| open.rule == rule));
        }
        let outcome = match decision {
            Decision::Allow => PermissionOutcome::Allowed,
            Decision::Deny => PermissionOutcome::Denied,
        };
        let mut effects = Vec::new();
        let mut out = Out::default();
        for Open { id: permission_id, key, .. } in answered {
            self.harness.decide(&key, decision, &mut out);
            let scope = if for_run { PermissionScope::Run } else { PermissionScope::Once };
            let closed = RunEvent::PermissionClosed { permission_id, outcome, by: by.cloned(), scope };
            effects.push(Effect::Write(closed));
        }
        effects.extend(self.effects(out));
        Ok(effects)
    }

    /// The tool is gone: closes what it left open.
    pub fn finish(&mut self, outcome: TurnOutcome, detail: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.turn_ended(outcome, Some(detail.to_owned()), &mut effects);
        self.withdraw(&mut effects);
        effects
    }

    fn effects(&mut self, out: Out) -> Vec<Effect> {
        let mut effects = Vec::new();
        for signal in out.signals {
            self.signal(signal, &mut effects);
        }
        let activity = match self.phase {
            Phase::Starting => RunActivity::Starting,
            _ if !self.open.is_empty() => RunActivity::WaitingPermission,
            Phase::Idle => RunActivity::Idle,
            Phase::Working { .. } => RunActivity::Working,
        };
        if std::mem::replace(&mut self.told, activity) != activity {
            effects.push(Effect::Write(RunEvent::Activity { activity }));
        }
        effects.extend(out.send.into_iter().map(Effect::Send));
        effects
    }

    fn signal(&mut self, signal: Signal, effects: &mut Vec<Effect>) {
        match signal {
            Signal::Ready if self.phase == Phase::Starting => self.phase = Phase::Idle,
            Signal::Ready => {}
            Signal::Output => self.output(effects),
            Signal::TurnEnded { outcome, detail } => self.turn_ended(outcome, detail, effects),
            Signal::Asked { key, title, input, always: Always { rule, .. } } if self.permitted.contains_key(&rule) => {
                let permission_id = self.permitted[&rule];
                let repeated = RunEvent::PermissionRepeated { permission_id, title, input };
                self.answer(&key, Decision::Allow, repeated, effects);
            }
            Signal::Asked { key, input, .. } if input.len() > MAX_QUESTION => {
                let text = format!(
                    "the agent asked to do something of {} bytes, more than can be shown (at most {MAX_QUESTION}); \
                     it was denied, because nobody can permit what they do not see",
                    input.len()
                );
                self.deny(&key, text, effects);
            }
            Signal::Asked { key, title, .. } if self.open.len() >= MAX_OPEN => {
                let text = format!("asked too much at once and was answered no: {title}");
                self.deny(&key, text, effects);
            }
            Signal::Asked { key, title, input, always: Always { rule, words } } => {
                self.output(effects);
                let id = (self.mint)();
                self.open.push(Open { id, key, rule });
                effects.push(Effect::Ask { id, title, input, always: words });
            }
            Signal::AskGone { key } => {
                let gone = self.open.extract_if(.., |open| open.key == key);
                effects.extend(gone.map(|open| Effect::Write(withdrawn(open.id))));
            }
            Signal::Part { words, text } => effects.push(Effect::Say { words, text }),
            Signal::PartsEnd => effects.push(Effect::Said),
            Signal::Story(event) => effects.push(Effect::Write(event)),
            Signal::Failed { reason } => effects.push(Effect::Fail(reason)),
        }
    }

    /// Answers a question with no, in nobody's name, and says why.
    fn deny(&mut self, key: &str, text: String, effects: &mut Vec<Effect>) {
        self.answer(key, Decision::Deny, RunEvent::Notice { text }, effects);
    }

    /// Answers a question that no person has to see, and writes down what is told of it.
    fn answer(&mut self, key: &str, decision: Decision, told: RunEvent, effects: &mut Vec<Effect>) {
        self.output(effects);
        effects.push(Effect::Write(told));
        let mut out = Out::default();
        self.harness.decide(key, decision, &mut out);
        effects.extend(out.send.into_iter().map(Effect::Send));
    }

    fn output(&mut self, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Working { prompt: Some(prompt_id), begun } => {
                if !std::mem::replace(begun, true) {
                    effects.push(Effect::Write(RunEvent::PromptStarted { prompt_id: *prompt_id }));
                }
            }
            Phase::Idle => self.phase = Phase::Working { prompt: None, begun: true },
            Phase::Starting | Phase::Working { .. } => {}
        }
    }

    fn turn_ended(&mut self, outcome: TurnOutcome, detail: Option<String>, effects: &mut Vec<Effect>) {
        let Phase::Working { prompt, .. } = self.phase else {
            return;
        };
        self.phase = Phase::Idle;
        self.withdraw(effects);
        match (prompt, outcome, detail) {
            (Some(prompt_id), outcome, detail) => {
                effects.push(Effect::Write(RunEvent::TurnEnded { prompt_id, outcome, detail }));
            }
            // Nobody waits for a turn the tool began by itself, but its failure is worth a line.
            (None, TurnOutcome::Error, Some(text)) => {
                effects.push(Effect::Write(RunEvent::Notice { text }));
            }
            (None, ..) => {}
        }
    }

    fn withdraw(&mut self, effects: &mut Vec<Effect>) {
        effects.extend(self.open.drain(..).map(|open| Effect::Write(withdrawn(open.id))));
    }
}

/// Tells that a question is gone with its turn.
fn withdrawn(permission_id: PermissionId) -> RunEvent {
    let scope = PermissionScope::Once;
    RunEvent::PermissionClosed { permission_id, outcome: PermissionOutcome::Withdrawn, by: None, scope }
}

/// Returns what a prompt came to: no effects means it was there before.
pub fn done(effects: &[Effect]) -> Done {
    if effects.is_empty() { Done::Nothing } else { Done::Done }
}
