//! The server's side: its tables as fields, its decisions as they are.

use std::collections::{BTreeMap, BTreeSet};

use chatroom_domain::agents::{Agent, Desired, Found};
use chatroom_domain::commands::{Command, CommandEvent, StartPlan, deadline_ms, plan_start};
use chatroom_domain::machines::Watermark;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::api::commands::{CommandStatus, CommandType};
use chatroom_protocol::api::daemon::{CommandReceipt, LiveRun, PushCommand, Slot, StartRun};
use chatroom_protocol::api::reports::{Fact, Reports};
use chatroom_protocol::{CommandId, MachineId, RoomId, RunId, Timestamp, Tool, UserId};
use chatroom_server::commands::heard;

/// A run as the server knows it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub live: bool,
    pub has_process: bool,
    activity: RunActivity,
}

#[derive(Debug)]
pub struct Server {
    pub agent: Agent,
    pub runs: BTreeMap<RunId, Known>,
    pub commands: BTreeMap<CommandId, Command>,
    /// How often each command reached an outcome.
    pub outcomes: BTreeMap<CommandId, usize>,
    pub watermark: Watermark,
    /// Every report that was applied.
    applied: BTreeSet<u64>,
    replaces: BTreeMap<CommandId, bool>,
    count: u128,
}

impl Default for Server {
    fn default() -> Self {
        let agent = Agent::untouched(RoomId::from_parts(Timestamp(0), 1), "builder".parse().unwrap());
        Self {
            agent,
            runs: BTreeMap::new(),
            commands: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            watermark: Watermark { journal: None, applied: 0 },
            applied: BTreeSet::new(),
            replaces: BTreeMap::new(),
            count: 0,
        }
    }
}

impl Server {
    pub fn slot(&self) -> Slot {
        Slot { chatroom_id: self.agent.room, role: self.agent.role.clone() }
    }

    fn live(&self) -> Option<(RunId, RunActivity)> {
        self.runs.iter().rev().find(|(_, run)| run.live).map(|(id, run)| (*id, run.activity))
    }

    fn draft(&mut self, kind: CommandType, now: Timestamp) -> Command {
        self.count += 1;
        Command {
            id: CommandId::from_parts(now, self.count),
            machine: "8c0cbb4c-0d0a-4f0c-9d3e-6f1a2b3c4d5e".parse::<MachineId>().unwrap(),
            kind,
            slot: kind.wants_agent().then(|| (self.agent.room, self.agent.role.clone())),
            run: None,
            status: CommandStatus::Pending,
            result: None,
            sent_by: UserId::from_parts(Timestamp(0), 2),
            created_at: now,
            deadline_at: now.plus_millis(deadline_ms(kind)),
            received_at: None,
            processed_at: None,
        }
    }

    fn at_once(&mut self, mut command: Command, now: Timestamp) {
        assert!(command.hear(CommandEvent::Succeeded("at once".into()), now));
        *self.outcomes.entry(command.id).or_default() += 1;
        self.commands.insert(command.id, command);
    }

    pub fn ask(&mut self, kind: CommandType, now: Timestamp) {
        let mut command = self.draft(kind, now);
        match kind {
            CommandType::StartAgent | CommandType::RestartAgent => {
                match plan_start(kind, self.agent.desired, self.live()) {
                    StartPlan::Joins(_) => return self.at_once(command, now),
                    StartPlan::Begins { replaces } => {
                        let run = RunId::from_parts(now, self.count);
                        command.run = Some(run);
                        self.agent.desired = Desired::Running;
                        self.agent.run = Some(run);
                        let known = Known { live: true, has_process: false, activity: RunActivity::Starting };
                        self.runs.insert(run, known);
                        self.replaces.insert(command.id, replaces);
                    }
                }
            }
            CommandType::StopAgent => {
                self.agent.desired = Desired::Stopped;
                if self.live().is_none() {
                    return self.at_once(command, now);
                }
            }
            CommandType::Ping | CommandType::Status => {}
        }
        self.commands.insert(command.id, command);
    }

    /// Returns what is sent now: of the commands about an agent only the first.
    pub fn push(&mut self, now: Timestamp) -> Vec<PushCommand> {
        let waiting = self.commands.values().filter(|command| command.status == CommandStatus::Pending);
        let (lane, alone): (Vec<_>, Vec<_>) = waiting.cloned().partition(|command| command.slot.is_some());
        let mut pushes = Vec::new();
        for command in lane.into_iter().take(1).chain(alone) {
            if command.is_overdue(now) {
                self.hear(command.id, CommandEvent::DeadlinePassed, now);
            } else {
                pushes.push(self.push_of(&command, now));
            }
        }
        pushes
    }

    fn push_of(&self, command: &Command, now: Timestamp) -> PushCommand {
        let replaces = self.replaces.get(&command.id).copied().unwrap_or_default();
        let kind = if replaces { CommandType::RestartAgent } else { command.kind };
        let start = command.run.map(|run_id| StartRun {
            run_id,
            slot: self.slot(),
            tool: Tool::Claude,
            model: None,
            conversation: None,
            working_dir: "/tmp".into(),
            mode: PermissionMode::Auto,
            form: RunForm::Managed,
            run_token: String::new(),
            system_prompt: String::new(),
        });
        PushCommand {
            command_id: command.id,
            kind: kind.as_str().into(),
            expires_in_ms: command.deadline_at.millis_since(now),
            start,
            slot: command.slot.is_some().then(|| self.slot()),
            by: None,
        }
    }

    pub fn hear(&mut self, id: CommandId, event: CommandEvent, now: Timestamp) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        let before = command.clone();
        let changed = command.hear(event, now);
        if before.status.is_terminal() {
            assert!(!changed && before == *command, "an outcome changed: {before:?} {command:?}");
        }
        if changed && command.status.is_terminal() {
            *self.outcomes.entry(id).or_default() += 1;
        }
        let came_to_nothing = changed && matches!(command.status, CommandStatus::Failed | CommandStatus::Expired);
        if let Some(run) = command.run.filter(|_| came_to_nothing)
            && let Some(known) = self.runs.get_mut(&run).filter(|known| !known.has_process)
        {
            known.live = false;
        }
    }

    pub fn receipt(&mut self, id: CommandId, receipt: CommandReceipt, now: Timestamp) {
        self.hear(id, CommandEvent::Received, now);
        if let Some(event) = receipt.outcome.and_then(|outcome| heard(outcome.status, outcome.result)) {
            self.hear(id, event, now);
        }
    }

    pub fn reports(&mut self, body: Reports, now: Timestamp) -> u64 {
        let mut watermark = self.watermark.clone().in_journal(&body.journal_id);
        for report in body.reports {
            if watermark.takes(report.seq) {
                assert!(self.applied.insert(report.seq), "a report was applied twice: {report:?}");
                self.fact(report.fact, now);
            }
        }
        self.watermark = watermark;
        self.watermark.applied
    }

    fn fact(&mut self, fact: Fact, now: Timestamp) {
        match fact {
            Fact::CommandReceived { command_id } => self.hear(command_id, CommandEvent::Received, now),
            Fact::CommandFinished { command_id, status, result } => {
                if let Some(event) = heard(status, result) {
                    self.hear(command_id, event, now);
                }
            }
            Fact::RunStarted { run_id, .. } => {
                if let Some(run) = self.runs.get_mut(&run_id).filter(|run| run.live) {
                    run.has_process = true;
                    run.activity = RunActivity::Idle;
                }
            }
            Fact::RunExited { run_id, .. } => {
                if let Some(run) = self.runs.get_mut(&run_id) {
                    run.live = false;
                }
            }
            _ => {}
        }
    }

    pub fn expire(&mut self, now: Timestamp) {
        let overdue = self.commands.values().filter(|command| command.is_overdue(now));
        for id in overdue.map(|command| command.id).collect::<Vec<_>>() {
            self.hear(id, CommandEvent::DeadlinePassed, now);
        }
    }

    /// Returns whether a command about the agent has no outcome yet.
    pub fn under_way(&self) -> bool {
        self.commands.values().any(|command| command.slot.is_some() && !command.status.is_terminal())
    }

    /// Takes in what lives on the machine.
    pub fn compare(&mut self, alive: Vec<LiveRun>, now: Timestamp) {
        for live in alive {
            let found = Found {
                run: live.run_id,
                known: self.runs.get(&live.run_id).is_some_and(|run| run.live),
                under_way: self.under_way(),
                replaced: self.runs.iter().any(|(id, run)| *id != live.run_id && run.live && run.has_process),
            };
            if self.agent.is_unwanted(found) {
                let command = self.draft(CommandType::StopAgent, now);
                self.commands.insert(command.id, command);
            }
        }
    }
}
