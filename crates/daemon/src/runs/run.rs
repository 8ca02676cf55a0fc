//! One run, from its start to its end. One task owns it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::api::agents::{PermissionScope, RunActivity};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{ChangePrompt, StartRun, Steerer};
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{PermissionId, PromptId, RunId};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::facts::{self, SUPERVISOR_GONE};
use super::launch::{Ground, prepare};
use super::{Began, SteerError, queue};
use crate::journal::{Entry, Journal, JournalError, PromptStage};
use crate::process::ProcessId;
use crate::process::tree::{self, Root};
use crate::supervisor::client::{self, Control, Events, Supervised};
use crate::supervisor::event::{RunEvent, Sequenced};
use crate::supervisor::wire::{Done, Refused};
use crate::supervisor::{log, read_events};

/// How long a supervisor may take to end its run; then it is done without it.
const STOP: Duration = Duration::from_secs(45);
/// How long a supervisor's process may take to go once its run is over.
const COLLECT: Duration = Duration::from_secs(10);
/// How long to wait when the disk takes nothing.
const DISK: Duration = Duration::from_secs(5);

/// What is asked of a run.
#[derive(Debug)]
pub(super) enum RunAsk {
    Stop {
        by: Option<Steerer>,
        done: oneshot::Sender<()>,
    },
    Interrupt {
        by: Option<Steerer>,
        done: oneshot::Sender<Result<bool, SteerError>>,
    },
    Decide {
        permission_id: PermissionId,
        decision: Decision,
        scope: PermissionScope,
        by: Option<Steerer>,
        done: oneshot::Sender<Result<(), SteerError>>,
    },
    Change {
        prompt_id: PromptId,
        change: ChangePrompt,
        done: oneshot::Sender<Result<(), SteerError>>,
    },
    /// There may be a prompt to give.
    Look,
}

/// A change of a prompt that is not decided yet.
struct Change {
    prompt_id: PromptId,
    wanted: ChangePrompt,
    done: oneshot::Sender<Result<(), SteerError>>,
}

/// What a run's task works with.
pub(super) struct Context {
    pub(super) ground: Arc<Ground>,
    pub(super) journal: Journal,
    pub(super) run_id: RunId,
    pub(super) asks: mpsc::UnboundedReceiver<RunAsk>,
    /// Ends a start that is not through.
    pub(super) give_up: CancellationToken,
}

/// A run whose tool was started.
struct Run {
    context: Context,
    control: Control,
    events: Events,
    child: Option<Child>,
    is_ready: bool,
    given: HashSet<PromptId>,
    /// Prompts the supervisor may have.
    offered: HashSet<PromptId>,
    changes: VecDeque<Change>,
    /// The last event that was taken in, and the one up to which they must be, before it is known which prompts the
    /// tool has: an earlier daemon may have given one without hearing of it.
    taken: u64,
    behind: u64,
    stops: Vec<oneshot::Sender<()>>,
    stop_until: Option<Instant>,
}

/// Starts a run and stays with it until it is over.
pub(super) async fn start(context: Context, start: StartRun, began: watch::Sender<Option<Began>>) {
    let (transcripts, run_id) = (context.ground.transcripts.clone(), context.run_id);
    begin(context, start, began).await;
    transcripts.grew(run_id);
}

async fn begin(context: Context, start: StartRun, began: watch::Sender<Option<Began>>) {
    let tell = |outcome: Began| began.send_replace(Some(outcome));
    let supervised = match launch(&context, &start).await {
        Ok(supervised) => supervised,
        Err(reason) => {
            tell(Err(reason));
            return;
        }
    };
    tell(Ok(supervised.id()));
    let (control, events, child) = supervised.split();
    Run::new(context, control, events, child, false).stay().await;
}

/// Goes on with a run an earlier daemon started.
pub(super) async fn resume(context: Context, supervisor: ProcessId) {
    let (transcripts, run_id) = (context.ground.transcripts.clone(), context.run_id);
    go_on(context, supervisor).await;
    transcripts.grew(run_id);
}

async fn go_on(context: Context, supervisor: ProcessId) {
    let (seen, is_ready) = last_known(&context);
    let run_dir = context.ground.home.run_dir(context.run_id);
    match client::attach(&run_dir, supervisor, seen).await {
        Ok(Some(supervised)) => {
            let (control, events, child) = supervised.split();
            Run::new(context, control, events, child, is_ready).stay().await;
        }
        Ok(None) => settle(&context, supervisor, false).await,
        Err(error) => {
            tracing::warn!(run.id = %context.run_id, %error, "the supervisor of a run cannot be attached to");
            settle(&context, supervisor, false).await;
        }
    }
}

/// Returns the last event that was taken in, and whether the run was idle then.
fn last_known(context: &Context) -> (u64, bool) {
    context.journal.read(|state| {
        let run = state.runs.get(&context.run_id);
        run.map_or((0, false), |run| (run.seen, run.activity == RunActivity::Idle))
    })
}

async fn launch(context: &Context, start: &StartRun) -> Result<Supervised, String> {
    let Context { ground, journal, run_id, give_up, .. } = context;
    let spec = prepare(ground, start)?;
    let spawning = client::spawn(&ground.exe, &spec.run_dir);
    let supervised = tokio::select! {
        spawned = spawning => spawned.map_err(|error| error.to_string())?,
        () = give_up.cancelled() => return Err("stopped before it was started".to_owned()),
    };
    let supervisor = supervised.id();
    let spawned = Entry::RunSpawned { run_id: *run_id, slot: start.slot.clone(), tool: start.tool, supervisor };
    // Without its `go` the supervisor leaves, and executes nothing.
    journal.append(vec![spawned]).await.map_err(|error| error.to_string())?;
    let started = if give_up.is_cancelled() {
        Err("stopped before it was started".to_owned())
    } else {
        supervised.go(spec).await.map_err(|error| error.to_string())
    };
    let entries = match &started {
        Ok(()) => started_entries(*run_id, supervisor),
        Err(_) => vec![Entry::RunEnded { run_id: *run_id }],
    };
    if started.is_err() {
        end_tree(*run_id, supervisor).await;
    }
    write(journal, entries).await.map_err(|error| error.to_string())?;
    started.map(|()| supervised)
}

/// Returns what to write when a tool was started.
pub fn started_entries(run_id: RunId, supervisor: ProcessId) -> Vec<Entry> {
    let ProcessId { pid, start_time } = supervisor;
    let fact = Fact::RunStarted { run_id, pid, start_time };
    vec![Entry::RunStarted { run_id }, Entry::Fact { fact }]
}

/// Writes, however long the disk is full: what a run did is not forgotten.
async fn write(journal: &Journal, entries: Vec<Entry>) -> Result<(), JournalError> {
    loop {
        match journal.append(entries.clone()).await {
            Err(JournalError::Log(_)) => sleep(DISK).await,
            done => return done,
        }
    }
}

async fn end_tree(run_id: RunId, supervisor: ProcessId) {
    let left = tree::end(Root::At(supervisor), None, run_id, Duration::ZERO, || {}).await;
    if !left.is_empty() {
        tracing::error!(run.id = %run_id, ?left, "processes of a run cannot be ended");
    }
}

/// Ends what a lost supervisor left, and tells what is known of its run.
async fn settle(context: &Context, supervisor: ProcessId, requested: bool) {
    let run_id = context.run_id;
    end_tree(run_id, supervisor).await;
    let Some(record) = context.journal.read(|state| state.runs.get(&run_id).cloned()) else {
        return;
    };
    let run_dir = context.ground.home.run_dir(run_id);
    let rest = read_events(&run_dir, record.seen).unwrap_or_else(|error| {
        tracing::warn!(run.id = %run_id, %error, "the last events of a run cannot be read");
        Vec::new()
    });
    for event in rest {
        let entries = facts::entries(run_id, event);
        if write(&context.journal, entries).await.is_err() {
            return;
        }
    }
    // The last events may have told its end already.
    if let Some(record) = context.journal.read(|state| state.runs.get(&run_id).cloned()) {
        if let Err(error) = log::amend(&run_dir, SUPERVISOR_GONE, requested) {
            tracing::warn!(run.id = %run_id, %error, "the end of a run cannot be written into its log");
        }
        let entries = facts::lost(run_id, &record, requested);
        // Refused only while the daemon ends; the next one settles it.
        let _ = write(&context.journal, entries).await;
    }
}

impl Run {
    fn new(context: Context, control: Control, events: Events, child: Option<Child>, is_ready: bool) -> Self {
        let (taken, _) = last_known(&context);
        Self {
            behind: control.last_seq(),
            taken,
            context,
            control,
            events,
            child,
            is_ready,
            given: HashSet::new(),
            offered: HashSet::new(),
            changes: VecDeque::new(),
            stops: Vec::new(),
            stop_until: None,
        }
    }

    async fn stay(mut self) {
        loop {
            self.change_prompts().await;
            self.give_next_prompt().await;
            let until = self.stop_until.unwrap_or_else(Instant::now);
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => {
                        if self.take(event).await {
                            break;
                        }
                    }
                    None => {
                        if !self.attach_again().await {
                            settle(&self.context, self.control.id(), self.stop_until.is_some()).await;
                            break;
                        }
                    }
                },
                Some(ask) = self.context.asks.recv() => self.answer(ask).await,
                () = sleep_until(until), if self.stop_until.is_some() => {
                    settle(&self.context, self.control.id(), true).await;
                    break;
                }
            }
        }
        self.collect().await;
        for stop in self.stops {
            // Whoever asked may be gone.
            let _ = stop.send(());
        }
    }

    /// Takes an event in; returns whether the run is over.
    async fn take(&mut self, event: Sequenced<RunEvent>) -> bool {
        let run_id = self.context.run_id;
        self.context.ground.transcripts.grew(run_id);
        self.taken = self.taken.max(event.seq);
        let is_known =
            self.context.journal.read(|state| state.runs.get(&run_id).is_some_and(|run| event.seq <= run.seen));
        if is_known {
            return false;
        }
        match &event.event {
            RunEvent::Activity { activity } => self.is_ready = *activity == RunActivity::Idle,
            RunEvent::PromptSent { .. } => self.is_ready = false,
            _ => {}
        }
        let is_over = matches!(event.event, RunEvent::Exited { .. });
        let entries = facts::entries(run_id, event);
        if !entries.is_empty() {
            // Refused only while the daemon ends; the next one is told again.
            let _ = write(&self.context.journal, entries).await;
        }
        is_over
    }

    async fn give_next_prompt(&mut self) {
        while self.is_ready && self.stop_until.is_none() {
            let run_id = self.context.run_id;
            let next = self.context.journal.read(|state| {
                let run = state.runs.get(&run_id)?;
                run.prompts.iter().find_map(|prompt| match &prompt.stage {
                    PromptStage::Waiting { text, from } if !self.given.contains(&prompt.prompt_id) => {
                        Some((prompt.prompt_id, text.clone(), from.clone()))
                    }
                    _ => None,
                })
            });
            let Some((prompt_id, text, from)) = next else {
                return;
            };
            self.offered.insert(prompt_id);
            match self.control.prompt(prompt_id, text, from).await {
                Ok(Done::Done) => {
                    self.given.insert(prompt_id);
                    self.is_ready = false;
                }
                Ok(Done::Nothing) => {
                    self.given.insert(prompt_id);
                }
                Err(error) => {
                    // Busy: its next idle moment is told. Anything else shows in its events.
                    tracing::debug!(run.id = %run_id, %error, "a prompt was not taken");
                    if matches!(error, client::Error::Refused(_)) {
                        self.offered.remove(&prompt_id);
                    }
                    self.is_ready = false;
                }
            }
        }
    }

    /// Decides what is to become of prompts, once it is known which of them the tool has.
    async fn change_prompts(&mut self) {
        let run_id = self.context.run_id;
        while self.taken >= self.behind
            && let Some(Change { prompt_id, wanted, done }) = self.changes.pop_front()
        {
            let entries = self.context.journal.read(|state| {
                let run = state.runs.get(&run_id).ok_or(SteerError::NotRunning)?;
                queue::change(run_id, run, &self.offered, prompt_id, wanted)
            });
            let changed = match entries {
                Ok(entries) if entries.is_empty() => Ok(()),
                Ok(entries) => self.context.journal.append(entries).await.map_err(SteerError::from),
                Err(refused) => Err(refused),
            };
            // Whoever asked may be gone.
            let _ = done.send(changed);
        }
    }

    async fn answer(&mut self, ask: RunAsk) {
        match ask {
            RunAsk::Look => {}
            RunAsk::Change { prompt_id, change, done } => {
                self.changes.push_back(Change { prompt_id, wanted: change, done });
            }
            RunAsk::Stop { by, done } => {
                self.stops.push(done);
                if self.stop_until.is_none() {
                    self.stop_until = Some(Instant::now() + STOP);
                    if let Err(error) = self.control.stop(by).await {
                        tracing::debug!(run.id = %self.context.run_id, %error, "a run did not take its stop");
                    }
                }
            }
            RunAsk::Interrupt { by, done } => {
                let asked = self.control.interrupt(by).await;
                let answer = asked.map(|done| done == Done::Done).map_err(steer);
                let _ = done.send(answer);
            }
            RunAsk::Decide { permission_id, decision, scope, by, done } => {
                let asked = self.control.decide(permission_id, decision, scope, by).await;
                let _ = done.send(asked.map_err(steer));
            }
        }
    }

    /// The connection may have broken without the run.
    async fn attach_again(&mut self) -> bool {
        let id = self.control.id();
        let run_id = self.context.run_id;
        let run_dir = self.context.ground.home.run_dir(run_id);
        for _ in 0..5 {
            if !id.is_alive() {
                break;
            }
            let (seen, is_ready) = last_known(&self.context);
            if let Ok(Some(supervised)) = client::attach(&run_dir, id, seen).await {
                let (control, events, _) = supervised.split();
                self.behind = control.last_seq();
                self.control = control;
                self.events = events;
                self.is_ready = is_ready;
                return true;
            }
            sleep(Duration::from_millis(200)).await;
        }
        false
    }

    /// Waits for the supervisor's process, so that it is no zombie.
    async fn collect(&mut self) {
        let Some(child) = &mut self.child else {
            return;
        };
        if timeout(COLLECT, child.wait()).await.is_err() {
            // Its run is over; nothing of it is lost.
            let _ = child.kill().await;
        }
    }
}

pub(super) fn steer(error: client::Error) -> SteerError {
    match error {
        client::Error::Refused(Refused::NoTerminal) => SteerError::NoTerminal,
        client::Error::Refused(why @ Refused::TooManyViewers { .. }) => SteerError::TooManyViewers(why.to_string()),
        client::Error::Refused(Refused::PermissionClosed) => SteerError::PermissionClosed,
        client::Error::Refused(Refused::Over | Refused::NotStarted) | client::Error::Closed => SteerError::NotRunning,
        other => SteerError::Failed(other.to_string()),
    }
}
