//! The agents of this machine: at most one live run in each slot.
//!
//! One task owns the slots and takes messages; each run has a task of its own,
//! so a slow one holds up no other. A daemon that comes back finds its runs in
//! the journal and attaches to their supervisors; what cannot be attached to is
//! ended and told.

mod facts;
pub(crate) mod folders;
mod launch;
mod queue;
mod run;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::api::daemon::{ChangePrompt, DecidePermission, PushPrompt, Slot, StartRun, Steerer};
use chatroom_protocol::api::terminal::JoinTerminal;
use chatroom_protocol::{PromptId, RunId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

pub use launch::Ground;
pub use run::started_entries;

use crate::attachments;
use crate::home::Home;
use crate::journal::{Entry, Journal, JournalError};
use crate::platform::Platform;
use crate::process::ProcessId;
use crate::process::tree::{self, Root};
use crate::supervisor::client::{self, Viewer};
use crate::supervisor::event::RunEvent;
use crate::supervisor::read_events;
use run::{Context, RunAsk};

/// How a start went: the supervisor, or why there is none.
type Began = Result<ProcessId, String>;

/// Why a run could not be steered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SteerError {
    /// It is over, or never was.
    #[error("this run is not live on this machine")]
    NotRunning,
    /// The tool has it, or somebody took it back.
    #[error("this prompt was given to the agent already, or taken back; it cannot be changed any more")]
    PromptSettled,
    /// The question is answered, or gone with its turn.
    #[error("this permission is no longer open")]
    PermissionClosed,
    /// The answer is about something else than what is asked.
    #[error("what is asked is not what was shown; look again before you answer")]
    PermissionChanged,
    /// It has no terminal.
    #[error("this run has no terminal; `chatroom agent logs` shows what it does")]
    NoTerminal,
    /// As many viewers as a run may have are there.
    #[error("{0}")]
    TooManyViewers(String),
    /// It could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The supervisor did not do it.
    #[error("{0}")]
    Failed(String),
}

/// The runs of this machine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Runs {
    asks: mpsc::UnboundedSender<Ask>,
    journal: Journal,
    home: Home,
    platform: Platform,
}

#[derive(Debug)]
enum Ask {
    Start { start: Box<StartRun>, reply: oneshot::Sender<Started> },
    Stop { slot: Slot, by: Option<Steerer>, reply: oneshot::Sender<(RunId, oneshot::Receiver<()>)> },
    Of { run_id: RunId, ask: RunAsk },
    StopAll { done: oneshot::Sender<()> },
}

/// A run that is being started, or lives.
#[derive(Debug)]
struct Started {
    run_id: RunId,
    is_new: bool,
    began: watch::Receiver<Option<Began>>,
}

impl Runs {
    /// Returns a handle, and the owner, which must be run.
    pub fn new(ground: Ground, journal: Journal, platform: Platform) -> (Self, Owner) {
        let (asks, queue) = mpsc::unbounded_channel();
        let home = ground.home.clone();
        let owner = Owner {
            ground: Arc::new(ground),
            journal: journal.clone(),
            queue,
            live: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            leaving: Vec::new(),
            is_closing: false,
        };
        (Self { asks, journal, home, platform }, owner)
    }

    /// Starts a run, unless its slot has one. Answers in words for people, when the tool was started.
    pub async fn start(&self, start: StartRun) -> Result<String, String> {
        let closed = || "the daemon is stopping".to_owned();
        let (reply, answer) = oneshot::channel();
        let start = Box::new(start);
        let asked = start.run_id;
        self.asks.send(Ask::Start { start, reply }).map_err(|_| closed())?;
        let mut started = answer.await.map_err(|_| closed())?;
        if started.run_id != asked {
            let other = started.run_id;
            return Err(format!("another run of this role, {other}, lives on this machine; stop it first"));
        }
        let began = started.began.wait_for(Option::is_some).await;
        let began = began.ok().and_then(|began| began.clone());
        let supervisor = began.unwrap_or_else(|| Err("its start ended unexpectedly".to_owned()))?;
        Ok(if started.is_new {
            format!("started {asked} (pid {})", supervisor.pid)
        } else {
            format!("already running {asked}")
        })
    }

    /// Ends what lives in a slot, with every process of it. Nothing there is fine.
    pub async fn stop(&self, slot: Slot, by: Option<Steerer>) -> String {
        let (reply, answer) = oneshot::channel();
        // A closed owner has ended every run.
        let _ = self.asks.send(Ask::Stop { slot, by, reply });
        match answer.await {
            Ok((run_id, ended)) => {
                let _ = ended.await;
                format!("stopped {run_id}")
            }
            Err(_) => "was not running".to_owned(),
        }
    }

    /// Ends every run and takes no more; returns when none is left.
    pub async fn stop_all(&self) {
        let (done, answer) = oneshot::channel();
        let _ = self.asks.send(Ask::StopAll { done });
        let _ = answer.await;
    }

    /// Takes a prompt in. Returns whether it was there before.
    pub async fn prompt(&self, run_id: RunId, push: PushPrompt) -> Result<bool, SteerError> {
        let PushPrompt { prompt_id, text, from, files } = push;
        if self.has_prompt(run_id, prompt_id)? {
            return Ok(true);
        }
        let brought = attachments::bring(&self.home, &self.platform, run_id, text, &files).await;
        let text = brought.map_err(|error| SteerError::Failed(error.to_string()))?;
        // It may have been pushed again meanwhile.
        if self.has_prompt(run_id, prompt_id)? {
            return Ok(true);
        }
        self.journal.append(vec![Entry::PromptAccepted { run_id, prompt_id, text, from }]).await?;
        self.of(run_id, RunAsk::Look);
        Ok(false)
    }

    fn has_prompt(&self, run_id: RunId, prompt_id: PromptId) -> Result<bool, SteerError> {
        let known = self.journal.read(|state| {
            let run = state.runs.get(&run_id).filter(|run| run.started);
            run.map(|run| run.has_prompt(prompt_id))
        });
        known.ok_or(SteerError::NotRunning)
    }

    /// Changes a prompt the tool does not have yet, or takes it back.
    pub async fn change(&self, run_id: RunId, prompt_id: PromptId, change: ChangePrompt) -> Result<(), SteerError> {
        let (done, answer) = oneshot::channel();
        self.of(run_id, RunAsk::Change { prompt_id, change, done });
        answer.await.unwrap_or(Err(SteerError::NotRunning))
    }

    /// Ends the turn of a run. Returns whether there was one.
    pub async fn interrupt(&self, run_id: RunId, by: Option<Steerer>) -> Result<bool, SteerError> {
        let (done, answer) = oneshot::channel();
        self.of(run_id, RunAsk::Interrupt { by, done });
        answer.await.unwrap_or(Err(SteerError::NotRunning))
    }

    /// Answers a question of a run, if it is the one that was shown.
    pub async fn decide(
        &self,
        run_id: RunId,
        permission_id: chatroom_protocol::PermissionId,
        answer: DecidePermission,
    ) -> Result<(), SteerError> {
        let asked = self.journal.read(|state| {
            let run = state.runs.get(&run_id)?;
            Some(run.questions.get(&permission_id).cloned())
        });
        match asked {
            None => return Err(SteerError::NotRunning),
            Some(None) => return Err(SteerError::PermissionClosed),
            Some(Some(digest)) if digest != answer.digest => return Err(SteerError::PermissionChanged),
            Some(Some(_)) => {}
        }
        let (done, decided) = oneshot::channel();
        let DecidePermission { decision, scope, by, .. } = answer;
        self.of(run_id, RunAsk::Decide { permission_id, decision, scope, by, done });
        decided.await.unwrap_or(Err(SteerError::NotRunning))
    }

    /// Joins the terminal of a run.
    pub async fn view(&self, run_id: RunId, join: JoinTerminal) -> Result<Viewer, SteerError> {
        let live = self.journal.read(|state| {
            let run = state.runs.get(&run_id).filter(|run| run.started);
            run.map(|run| run.supervisor)
        });
        let supervisor = live.ok_or(SteerError::NotRunning)?;
        let viewer = client::view(&self.home.run_dir(run_id), supervisor, join).await.map_err(run::steer)?;
        viewer.ok_or(SteerError::NotRunning)
    }

    /// Returns one line about what lives.
    pub fn summary(&self) -> String {
        let live = self.journal.read(crate::journal::State::live_runs);
        let each: Vec<String> =
            live.iter().map(|run| format!("{} ({}, {})", run.role, run.tool, run.activity.as_str())).collect();
        match each.len() {
            0 => "no agents".to_owned(),
            1 => format!("1 agent: {}", each[0]),
            count => format!("{count} agents: {}", each.join(", ")),
        }
    }

    fn of(&self, run_id: RunId, ask: RunAsk) {
        // A closed owner drops the question, and whoever asked sees that.
        let _ = self.asks.send(Ask::Of { run_id, ask });
    }
}

/// Owns the slots. It ends when it was told to stop all and all is over.
pub struct Owner {
    ground: Arc<Ground>,
    journal: Journal,
    queue: mpsc::UnboundedReceiver<Ask>,
    live: HashMap<RunId, Live>,
    tasks: JoinSet<()>,
    by_task: HashMap<Id, RunId>,
    leaving: Vec<oneshot::Sender<()>>,
    is_closing: bool,
}

struct Live {
    slot: Slot,
    asks: mpsc::UnboundedSender<RunAsk>,
    began: watch::Receiver<Option<Began>>,
    give_up: CancellationToken,
}

impl Owner {
    /// Finds out what became of the runs of the daemon before this one. To be called once, before [`Owner::run`].
    pub async fn recover(&mut self) -> Result<(), JournalError> {
        let runs = self.journal.read(|state| state.runs.clone());
        for (run_id, record) in &runs {
            let was_started = record.started || self.has_started(*run_id);
            if !was_started {
                tree::end(Root::At(record.supervisor), None, *run_id, Duration::ZERO, || {}).await;
                self.journal.append(vec![Entry::RunEnded { run_id: *run_id }]).await?;
                continue;
            }
            if !record.started {
                self.journal.append(run::started_entries(*run_id, record.supervisor)).await?;
            }
            let (began, _) = watch::channel(Some(Ok(record.supervisor)));
            let (context, live) = self.context(*run_id, record.slot.clone(), began.subscribe());
            self.adopt(*run_id, live, run::resume(context, record.supervisor));
        }
        let is_live = |run_id| runs.contains_key(&run_id);
        folders::end_strays(&self.ground.home, is_live).await;
        folders::prune(&self.ground.home, is_live);
        Ok(())
    }

    /// Whether the supervisor wrote down that it started the tool, though the daemon did not live to hear it.
    fn has_started(&self, run_id: RunId) -> bool {
        read_events(&self.ground.home.run_dir(run_id), 0)
            .is_ok_and(|events| events.iter().any(|event| matches!(event.event, RunEvent::ToolStarted { .. })))
    }

    /// Takes messages until everything was stopped.
    pub async fn run(mut self) {
        loop {
            if self.is_closing && self.tasks.is_empty() {
                for done in self.leaving {
                    let _ = done.send(());
                }
                return;
            }
            tokio::select! {
                Some(ask) = self.queue.recv() => self.answer(ask),
                Some(ended) = self.tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "the task of a run ended badly");
                            error.id()
                        }
                    };
                    if let Some(run_id) = self.by_task.remove(&id) {
                        self.live.remove(&run_id);
                        let live = &self.live;
                        folders::prune(&self.ground.home, |run| live.contains_key(&run));
                    }
                }
                // Every handle is gone, and nothing lives.
                else => self.close(),
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            // Dropping the question tells that the daemon is stopping.
            Ask::Start { .. } if self.is_closing => {}
            Ask::Start { start, reply } => {
                let _ = reply.send(self.start(*start));
            }
            Ask::Stop { slot, by, reply } => {
                if let Some((run_id, live)) = self.in_slot(&slot) {
                    let _ = reply.send((run_id, live.stop(by)));
                }
            }
            Ask::Of { run_id, ask } => {
                if let Some(live) = self.live.get(&run_id) {
                    let _ = live.asks.send(ask);
                }
            }
            Ask::StopAll { done } => {
                self.leaving.push(done);
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closing, true) {
            for live in self.live.values() {
                // The end of its task tells when it is over.
                drop(live.stop(None));
            }
        }
    }

    fn start(&mut self, start: StartRun) -> Started {
        let same = self.live.get(&start.run_id).map(|live| (start.run_id, live));
        if let Some((run_id, live)) = same.or_else(|| self.in_slot(&start.slot)) {
            return Started { run_id, is_new: false, began: live.began.clone() };
        }
        let run_id = start.run_id;
        let (tell, began) = watch::channel(None);
        let (context, live) = self.context(run_id, start.slot.clone(), began.clone());
        self.adopt(run_id, live, run::start(context, start, tell));
        Started { run_id, is_new: true, began }
    }

    /// Returns what lives in a slot, or is being started there.
    ///
    /// A run whose end is told is over, even while its task waits for the last of its processes.
    fn in_slot(&self, slot: &Slot) -> Option<(RunId, &Live)> {
        let is_known = |run_id| self.journal.read(|state| state.runs.contains_key(run_id));
        self.live
            .iter()
            .find(|(run_id, live)| live.slot == *slot && (live.began.borrow().is_none() || is_known(run_id)))
            .map(|(run_id, live)| (*run_id, live))
    }

    fn context(&self, run_id: RunId, slot: Slot, began: watch::Receiver<Option<Began>>) -> (Context, Live) {
        let (asks, queue) = mpsc::unbounded_channel();
        let give_up = CancellationToken::new();
        let context = Context {
            ground: Arc::clone(&self.ground),
            journal: self.journal.clone(),
            run_id,
            asks: queue,
            give_up: give_up.clone(),
        };
        (context, Live { slot, asks, began, give_up })
    }

    fn adopt(&mut self, run_id: RunId, live: Live, task: impl Future<Output = ()> + Send + 'static) {
        self.live.insert(run_id, live);
        let id = self.tasks.spawn(task).id();
        self.by_task.insert(id, run_id);
    }
}

impl Live {
    fn stop(&self, by: Option<Steerer>) -> oneshot::Receiver<()> {
        let (done, ended) = oneshot::channel();
        self.give_up.cancel();
        // A run that is over drops the question, which tells the same.
        let _ = self.asks.send(RunAsk::Stop { by, done });
        ended
    }
}
