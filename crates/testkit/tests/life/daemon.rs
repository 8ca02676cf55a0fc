//! The daemon's side: a file of records, supervisors that outlive it, and its decisions as they are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chatroom_daemon::commands::{finished, known, left_over, received, too_late};
use chatroom_daemon::journal::{Entry, State};
use chatroom_daemon::process::ProcessId;
use chatroom_daemon::runs::started_entries;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::daemon::{CommandOutcome, CommandReceipt, PushCommand, Slot, StartRun};
use chatroom_protocol::api::reports::{Fact, Report};
use chatroom_protocol::{CommandId, RunId, Timestamp, Tool};

const SUPERVISOR: ProcessId = ProcessId { pid: 42, start_time: 7 };

/// What a supervisor is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It waits to be told to start its tool, and leaves with the daemon that made it.
    Waiting,
    /// Its tool runs.
    Running,
}

#[derive(Debug, Clone)]
struct Work {
    command_id: CommandId,
    kind: String,
    deadline_at: Timestamp,
    start: Option<StartRun>,
}

/// How far the command about the agent is.
#[derive(Debug, Clone)]
enum At {
    Begun,
    Ended,
    Spawned,
    WrittenDown,
    Told,
    Done(CommandOutcome),
}

/// What a daemon holds in memory.
#[derive(Debug, Default)]
struct Memory {
    state: State,
    lane: VecDeque<Work>,
    at: Option<At>,
    /// How many more writes it lives for.
    lives: Option<u8>,
}

#[derive(Debug, Default)]
pub struct Daemon {
    disk: Vec<Vec<u8>>,
    memory: Memory,
    pub epoch: u64,
    pub processes: BTreeMap<RunId, Process>,
    /// What supervisors wrote down themselves: that their tool was started.
    told: BTreeSet<RunId>,
    /// How often a run's tool was started, and at which moment that was decided.
    pub starts: BTreeMap<RunId, Vec<Timestamp>>,
    decided_at: Option<Timestamp>,
}

/// The daemon was killed.
struct Killed;

fn outcome(status: CommandStatus, result: &str) -> CommandOutcome {
    CommandOutcome { status, result: result.into() }
}

impl Daemon {
    pub fn state(&self) -> &State {
        &self.memory.state
    }

    fn append(&mut self, mut entries: Vec<Entry>, now: Timestamp) -> Result<(), Killed> {
        if let Some(lives) = &mut self.memory.lives {
            *lives = lives.checked_sub(1).ok_or(Killed)?;
        }
        self.memory.state.number(entries.iter_mut(), now);
        for entry in &entries {
            self.disk.push(serde_json::to_vec(entry).unwrap());
            self.memory.state.apply(entry);
        }
        Ok(())
    }

    /// Starts the daemon, after whatever became of the one before. `lives` writes later it is killed.
    pub fn begin(&mut self, lives: Option<u8>, now: Timestamp) {
        self.processes.retain(|_, process| *process == Process::Running);
        let mut state = State::default();
        for record in &self.disk {
            state.apply(&serde_json::from_slice(record).unwrap());
        }
        self.memory = Memory { state, lane: VecDeque::new(), at: None, lives };
        self.epoch += 1;
        if self.disk.is_empty() {
            self.memory.state.journal_id = "journal".into();
            let state = Box::new(self.memory.state.clone());
            self.disk.push(serde_json::to_vec(&Entry::Begun { state }).unwrap());
        }
        match self.recover(now) {
            Ok(()) => self.memory.lives = None,
            Err(Killed) => self.begin(None, now),
        }
    }

    /// Runs first, then commands.
    fn recover(&mut self, now: Timestamp) -> Result<(), Killed> {
        for (run_id, record) in self.memory.state.runs.clone() {
            if !record.started && !self.told.contains(&run_id) {
                self.append(vec![Entry::RunEnded { run_id }], now)?;
                continue;
            }
            if !record.started {
                self.append(started_entries(run_id, record.supervisor), now)?;
            }
            if !self.processes.contains_key(&run_id) {
                self.ended(run_id, now)?;
            }
        }
        for (command_id, record) in self.memory.state.commands.clone() {
            if record.outcome.is_some() {
                continue;
            }
            match left_over(&record) {
                Some(outcome) => self.append(finished(command_id, outcome), now)?,
                None => self.memory.lane.push_back(Work {
                    command_id,
                    kind: record.kind,
                    deadline_at: record.deadline_at,
                    start: None,
                }),
            }
        }
        Ok(())
    }

    fn ended(&mut self, run_id: RunId, now: Timestamp) -> Result<(), Killed> {
        self.processes.remove(&run_id);
        let fact = Fact::RunExited { run_id, requested: true, reason: String::new() };
        self.append(vec![Entry::Fact { fact }, Entry::RunEnded { run_id }], now)
    }

    pub fn receive(&mut self, push: PushCommand, now: Timestamp) -> CommandReceipt {
        if let Some(receipt) = known(&self.memory.state, push.command_id) {
            return receipt;
        }
        let deadline_at = now.plus_millis(push.expires_in_ms);
        let _ = self.append(received(&push, deadline_at), now);
        let work = Work { command_id: push.command_id, kind: push.kind, deadline_at, start: push.start };
        self.memory.lane.push_back(work);
        CommandReceipt { duplicate: false, outcome: None }
    }

    pub fn reports(&self) -> Vec<Report> {
        self.memory.state.unreported.iter().take(256).cloned().collect()
    }

    pub fn applied(&mut self, through: u64, now: Timestamp) {
        let _ = self.append(vec![Entry::Applied { through }], now);
    }

    /// A tool ends by itself.
    pub fn tool_ends(&mut self, now: Timestamp) {
        let running = self.processes.iter().find(|(_, process)| **process == Process::Running);
        // What a start under way has not been told of, it will find out.
        if let Some(run_id) =
            running.map(|(id, _)| *id).filter(|id| self.memory.state.runs.get(id).is_some_and(|run| run.started))
        {
            let _ = self.ended(run_id, now);
        }
    }

    /// Goes one step further with what it does; returns whether there was one.
    pub fn go(&mut self, slot: &Slot, now: Timestamp) -> bool {
        let Some(work) = self.memory.lane.front().cloned() else { return false };
        let at = self.memory.at.take().unwrap_or(At::Begun);
        match self.next(&work, at, slot, now) {
            Ok(next) => {
                if next.is_none() {
                    self.memory.lane.pop_front();
                }
                self.memory.at = next;
            }
            Err(Killed) => self.begin(None, now),
        }
        true
    }

    fn next(&mut self, work: &Work, at: At, slot: &Slot, now: Timestamp) -> Result<Option<At>, Killed> {
        let live = self.memory.state.live_in(slot);
        Ok(Some(match (at, &work.start) {
            (At::Done(outcome), _) => {
                self.append(finished(work.command_id, outcome), now)?;
                return Ok(None);
            }
            (At::Begun, start) => {
                self.decided_at = Some(now);
                if let Some(late) = too_late(work.deadline_at, now) {
                    return Ok(Some(At::Done(late)));
                }
                match (work.kind.as_str(), start, live) {
                    ("stop-agent" | "restart-agent", _, Some(run)) => {
                        self.ended(run, now)?;
                        if start.is_some() { At::Ended } else { At::Done(outcome(CommandStatus::Completed, "stopped")) }
                    }
                    ("start-agent", Some(start), Some(run)) if run != start.run_id => {
                        At::Done(outcome(CommandStatus::Failed, "another run of this role lives on this machine"))
                    }
                    ("start-agent" | "restart-agent", Some(_), None) => At::Ended,
                    _ => At::Done(outcome(CommandStatus::Completed, "was not running, or pong")),
                }
            }
            (At::Ended, Some(start)) => {
                self.processes.insert(start.run_id, Process::Waiting);
                At::Spawned
            }
            (At::Spawned, Some(start)) => {
                let (run_id, slot) = (start.run_id, start.slot.clone());
                self.append(vec![Entry::RunSpawned { run_id, slot, tool: Tool::Claude, supervisor: SUPERVISOR }], now)?;
                At::WrittenDown
            }
            (At::WrittenDown, Some(start)) => {
                self.processes.insert(start.run_id, Process::Running);
                self.told.insert(start.run_id);
                self.starts.entry(start.run_id).or_default().extend(self.decided_at);
                At::Told
            }
            (At::Told, Some(start)) => {
                self.append(started_entries(start.run_id, SUPERVISOR), now)?;
                At::Done(outcome(CommandStatus::Completed, "started"))
            }
            (_, None) => At::Done(outcome(CommandStatus::Failed, "the command does not say what to start")),
        }))
    }
}
