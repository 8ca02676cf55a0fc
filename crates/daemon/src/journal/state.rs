//! What the records of a journal amount to.

use std::collections::{BTreeMap, VecDeque};

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::daemon::{CommandOutcome, LiveRun, PromptFrom, Slot};
use chatroom_protocol::api::reports::{Fact, Report};
use chatroom_protocol::{CommandId, PermissionId, PromptId, RunId, Timestamp, Tool};
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::process::ProcessId;

/// How many finished commands are remembered.
const FINISHED: usize = 1_000;

/// The journal in memory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Names this journal; a new one counts its reports anew.
    pub journal_id: String,
    /// The credential it was begun for, as a digest; nothing if it was begun for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub begun_for: String,
    /// The number of its last entry. Versions before its history did not count.
    #[serde(default)]
    pub entries: u64,
    /// The number of the last report.
    pub last_seq: u64,
    /// The number up to which the server has them.
    pub applied: u64,
    /// The reports it does not have.
    pub unreported: VecDeque<Report>,
    /// Commands without an outcome and the last ones with one, by id: ids sort by time.
    pub commands: BTreeMap<CommandId, CommandRecord>,
    /// The runs that have not ended.
    pub runs: BTreeMap<RunId, RunRecord>,
}

/// A command as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandRecord {
    /// Its type as it was sent.
    pub kind: String,
    /// Past this it must not start.
    pub deadline_at: Timestamp,
    /// The agent it is about.
    pub slot: Option<Slot>,
    /// The run it starts.
    pub run_id: Option<RunId>,
    /// Whether that run's tool was started.
    pub started: bool,
    /// How it came out.
    pub outcome: Option<CommandOutcome>,
}

/// A run as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Its place.
    pub slot: Slot,
    /// The program.
    pub tool: Tool,
    /// Its supervisor.
    pub supervisor: ProcessId,
    /// Whether the tool was started.
    pub started: bool,
    /// Everything up to this event is reported.
    pub seen: u64,
    /// What it last said it does.
    pub activity: RunActivity,
    /// Its prompts, in order.
    pub prompts: Vec<PromptRecord>,
    /// Its open questions, with the hash of what was shown.
    pub questions: BTreeMap<PermissionId, String>,
}

/// A prompt of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptRecord {
    /// Which.
    pub prompt_id: PromptId,
    /// Where it is.
    pub stage: PromptStage,
}

/// Where a prompt is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum PromptStage {
    /// It waits for the turn before it.
    Waiting {
        /// Its text.
        text: String,
        /// Who it is from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PromptFrom>,
    },
    /// It was given to the tool.
    Sent,
    /// The tool answered it.
    Begun,
    /// It was taken back before the tool had it; remembered, because its push may come after that.
    Withdrawn,
}

impl RunRecord {
    /// Returns whether this prompt was accepted before.
    pub fn has_prompt(&self, prompt_id: PromptId) -> bool {
        self.prompts.iter().any(|known| known.prompt_id == prompt_id)
    }
}

impl State {
    /// Gives the facts among new records their numbers; returns the last.
    pub fn number<'a>(&self, entries: impl Iterator<Item = &'a mut Entry>, at: Timestamp) -> u64 {
        let mut seq = self.last_seq;
        for entry in entries {
            if let Entry::Fact { fact } = entry {
                seq += 1;
                let report = Report { seq, at, fact: fact.clone() };
                *entry = Entry::Report { report };
            }
        }
        seq
    }

    /// Takes a record in.
    pub fn apply(&mut self, entry: &Entry) {
        match entry.clone() {
            Entry::Begun { state } => *self = *state,
            Entry::CommandReceived { command_id, kind, deadline_at, slot, run_id } => {
                let record = CommandRecord { kind, deadline_at, slot, run_id, started: false, outcome: None };
                self.commands.entry(command_id).or_insert(record);
            }
            Entry::CommandFinished { command_id, outcome } => {
                if let Some(command) = self.commands.get_mut(&command_id) {
                    command.outcome = Some(outcome);
                }
                self.forget_commands();
            }
            Entry::RunSpawned { run_id, slot, tool, supervisor } => {
                let record = RunRecord {
                    slot,
                    tool,
                    supervisor,
                    started: false,
                    seen: 0,
                    activity: RunActivity::Starting,
                    prompts: Vec::new(),
                    questions: BTreeMap::new(),
                };
                self.runs.insert(run_id, record);
            }
            Entry::RunStarted { run_id } => {
                if let Some(run) = self.runs.get_mut(&run_id) {
                    run.started = true;
                }
                for command in self.commands.values_mut().filter(|command| command.run_id == Some(run_id)) {
                    command.started = true;
                }
            }
            Entry::RunEventSeen { run_id, seq } => {
                if let Some(run) = self.runs.get_mut(&run_id) {
                    run.seen = run.seen.max(seq);
                }
            }
            Entry::RunEnded { run_id } => {
                self.runs.remove(&run_id);
            }
            Entry::PromptAccepted { run_id, prompt_id, text, from } => {
                if let Some(run) = self.runs.get_mut(&run_id).filter(|run| !run.has_prompt(prompt_id)) {
                    let stage = PromptStage::Waiting { text, from };
                    run.prompts.push(PromptRecord { prompt_id, stage });
                }
            }
            Entry::Fact { .. } => {}
            Entry::Report { report } => {
                self.apply_fact(&report.fact);
                // A file system may give the end of a file twice after a crash.
                if report.seq > self.last_seq {
                    self.last_seq = report.seq;
                    self.unreported.push_back(report);
                }
            }
            Entry::Applied { through } => {
                self.applied = self.applied.max(through.min(self.last_seq));
                while self.unreported.front().is_some_and(|report| report.seq <= through) {
                    self.unreported.pop_front();
                }
            }
        }
    }

    fn apply_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::RunActivity { run_id, activity } => {
                if let Some(run) = self.runs.get_mut(run_id) {
                    run.activity = *activity;
                }
            }
            Fact::PromptSent { run_id, prompt_id } => {
                self.advance(*run_id, *prompt_id, PromptStage::Sent);
            }
            Fact::PromptEdited { run_id, prompt_id, text } => {
                if let Some(PromptStage::Waiting { text: waiting, .. }) = self.stage_of(*run_id, *prompt_id) {
                    waiting.clone_from(text);
                }
            }
            Fact::PromptWithdrawn { run_id, prompt_id } => {
                if let Some(run) = self.runs.get_mut(run_id).filter(|run| !run.has_prompt(*prompt_id)) {
                    run.prompts.push(PromptRecord { prompt_id: *prompt_id, stage: PromptStage::Withdrawn });
                }
                self.advance(*run_id, *prompt_id, PromptStage::Withdrawn);
            }
            Fact::PromptStarted { run_id, prompt_id } | Fact::TurnEnded { run_id, prompt_id, .. } => {
                self.advance(*run_id, *prompt_id, PromptStage::Begun);
            }
            Fact::PermissionAsked { run_id, permission_id, digest, .. } => {
                if let Some(run) = self.runs.get_mut(run_id) {
                    run.questions.insert(*permission_id, digest.clone());
                }
            }
            Fact::PermissionClosed { run_id, permission_id, .. } => {
                if let Some(run) = self.runs.get_mut(run_id) {
                    run.questions.remove(permission_id);
                }
            }
            _ => {}
        }
    }

    fn advance(&mut self, run_id: RunId, prompt_id: PromptId, stage: PromptStage) {
        if let Some(known) = self.stage_of(run_id, prompt_id) {
            *known = stage;
        }
    }

    fn stage_of(&mut self, run_id: RunId, prompt_id: PromptId) -> Option<&mut PromptStage> {
        let prompts = &mut self.runs.get_mut(&run_id)?.prompts;
        prompts.iter_mut().find(|known| known.prompt_id == prompt_id).map(|known| &mut known.stage)
    }

    fn forget_commands(&mut self) {
        let finished = |record: &CommandRecord| record.outcome.is_some();
        let count = self.commands.values().filter(|record| finished(record)).count();
        if count > FINISHED {
            let oldest = self.commands.iter().find(|(_, record)| finished(record)).map(|(id, _)| *id);
            if let Some(id) = oldest {
                self.commands.remove(&id);
            }
        }
    }

    /// Returns the live run of a slot.
    pub fn live_in(&self, slot: &Slot) -> Option<RunId> {
        self.runs.iter().find(|(_, run)| run.slot == *slot && run.started).map(|(id, _)| *id)
    }

    /// Returns the live runs for people and for the server.
    pub fn live_runs(&self) -> Vec<LiveRun> {
        self.runs
            .iter()
            .filter(|(_, run)| run.started)
            .map(|(run_id, run)| LiveRun {
                run_id: *run_id,
                chatroom_id: run.slot.chatroom_id,
                role: run.slot.role.clone(),
                tool: run.tool,
                activity: run.activity,
            })
            .collect()
    }
}
