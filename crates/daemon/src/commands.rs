//! Commands of the server: written down, then done, each to exactly one outcome.
//!
//! A command that comes again is answered from the journal. Commands about one
//! agent are done in the order they came; nothing else waits for anything, so a
//! slow start holds up no ping. A command that panics is its own failure.

use std::collections::HashMap;

use chatroom_protocol::api::commands::{CommandStatus, CommandType};
use chatroom_protocol::api::daemon::{CommandOutcome, CommandReceipt, PushCommand, Slot, StartRun, Steerer};
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{CommandId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::journal::{CommandRecord, Entry, Journal, JournalError, State};
use crate::runs::Runs;

/// Takes commands in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Commands(mpsc::UnboundedSender<Ask>);

#[derive(Debug)]
struct Ask {
    push: PushCommand,
    reply: oneshot::Sender<Result<CommandReceipt, JournalError>>,
}

/// Owns the queues. It ends when every [`Commands`] is gone.
pub struct Owner {
    queue: mpsc::UnboundedReceiver<Ask>,
    journal: Journal,
    runs: Runs,
    /// Resolves when the last command of a slot is over.
    last: HashMap<Slot, oneshot::Receiver<()>>,
    tasks: JoinSet<()>,
}

/// A command with all that is needed to do it.
#[derive(Debug)]
struct Work {
    command_id: CommandId,
    kind: String,
    deadline_at: Timestamp,
    slot: Option<Slot>,
    start: Option<StartRun>,
    by: Option<Steerer>,
}

impl Commands {
    /// Returns a handle, and the owner, which must be run.
    pub fn new(journal: Journal, runs: Runs) -> (Self, Owner) {
        let (asks, queue) = mpsc::unbounded_channel();
        let owner = Owner { queue, journal, runs, last: HashMap::new(), tasks: JoinSet::new() };
        (Self(asks), owner)
    }

    /// Writes a command down and sees that it is done. Returns as soon as it is written down.
    pub async fn receive(&self, push: PushCommand) -> Result<CommandReceipt, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Ask { push, reply }).map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }
}

impl Owner {
    /// Brings what the daemon before this one left unfinished to an outcome. To be called once, after the runs were recovered.
    pub async fn recover(&mut self) -> Result<(), JournalError> {
        let open: Vec<(CommandId, CommandRecord)> = self.journal.read(|state| {
            let open = state.commands.iter().filter(|(_, record)| record.outcome.is_none());
            open.map(|(id, record)| (*id, record.clone())).collect()
        });
        for (command_id, record) in open {
            // The run's token died with the daemon before; the server starts the agent once more with another.
            if let Some(run_id) = record.run_id.filter(|_| !record.started) {
                let reason = "the daemon restarted before the start".to_owned();
                let fact = Fact::RunExited { run_id, requested: false, reason };
                self.journal.append(vec![Entry::Fact { fact }]).await?;
            }
            match left_over(&record) {
                Some(outcome) => finish(&self.journal, command_id, outcome).await?,
                None => self.enqueue(Work {
                    command_id,
                    kind: record.kind,
                    deadline_at: record.deadline_at,
                    slot: record.slot,
                    start: None,
                    by: None,
                }),
            }
        }
        Ok(())
    }

    /// Takes commands until nobody can send any, then waits for those under way.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                ask = self.queue.recv() => match ask {
                    Some(Ask { push, reply }) => {
                        let receipt = self.receive(push).await;
                        // Whoever pushed may be gone; it comes again then.
                        let _ = reply.send(receipt);
                    }
                    None => break,
                },
                Some(_) = self.tasks.join_next() => {}
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    async fn receive(&mut self, push: PushCommand) -> Result<CommandReceipt, JournalError> {
        let command_id = push.command_id;
        if let Some(receipt) = self.journal.read(|state| known(state, command_id)) {
            return Ok(receipt);
        }
        let deadline_at = crate::now().plus_millis(push.expires_in_ms);
        self.journal.append(received(&push, deadline_at)).await?;
        let slot = slot(&push);
        let PushCommand { kind, start, by, .. } = push;
        self.enqueue(Work { command_id, kind, deadline_at, slot, start, by });
        Ok(CommandReceipt { duplicate: false, outcome: None })
    }

    fn enqueue(&mut self, work: Work) {
        self.last.retain(|_, over| matches!(over.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        let (over, is_over) = oneshot::channel::<()>();
        let before = work.slot.clone().and_then(|slot| self.last.insert(slot, is_over));
        let journal = self.journal.clone();
        let runs = self.runs.clone();
        self.tasks.spawn(async move {
            if let Some(before) = before {
                // Resolves when the one before is over, however it ended.
                let _ = before.await;
            }
            let command_id = work.command_id;
            let outcome = execute(work, runs).await;
            if let Err(error) = finish(&journal, command_id, outcome).await {
                tracing::error!(command.id = %command_id, %error, "the outcome of a command could not be written down");
            }
            drop(over);
        });
    }
}

async fn execute(work: Work, runs: Runs) -> CommandOutcome {
    let Some(kind) = CommandType::ALL.into_iter().find(|kind| kind.as_str() == work.kind) else {
        return failed(format!(
            "this daemon (version {}) does not know the command {:?}; update it",
            crate::VERSION,
            work.kind.chars().take(40).collect::<String>()
        ));
    };
    if let Some(outcome) = too_late(work.deadline_at, crate::now()) {
        return outcome;
    }
    isolated(perform(kind, work, runs)).await
}

async fn perform(kind: CommandType, work: Work, runs: Runs) -> CommandOutcome {
    match (kind, work.start, work.slot) {
        (CommandType::Ping, _, _) => completed("pong"),
        (CommandType::Status, _, _) => completed(runs.summary()),
        (CommandType::StartAgent, Some(start), _) => began(runs.start(start).await),
        (CommandType::RestartAgent, Some(start), _) => {
            runs.stop(start.slot.clone(), work.by).await;
            began(runs.start(start).await)
        }
        (CommandType::StopAgent, _, Some(slot)) => completed(runs.stop(slot, work.by).await),
        (CommandType::StartAgent | CommandType::RestartAgent, None, _) => {
            failed("the command does not say what to start")
        }
        (CommandType::StopAgent, _, None) => failed("the command does not say what to stop"),
    }
}

/// Does something in a task of its own; a panic there is a failure here.
async fn isolated(work: impl Future<Output = CommandOutcome> + Send + 'static) -> CommandOutcome {
    AbortOnDropHandle::new(tokio::spawn(work)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a command failed by a fault of the daemon");
        failed("it failed by a fault of the daemon, which is in its log")
    })
}

async fn finish(journal: &Journal, command_id: CommandId, outcome: CommandOutcome) -> Result<(), JournalError> {
    journal.append(finished(command_id, outcome)).await
}

/// Returns the answer to a command that came before.
pub fn known(state: &State, command_id: CommandId) -> Option<CommandReceipt> {
    let record = state.commands.get(&command_id)?;
    Some(CommandReceipt { duplicate: true, outcome: record.outcome.clone() })
}

/// Returns what is written when a command comes for the first time.
pub fn received(push: &PushCommand, deadline_at: Timestamp) -> Vec<Entry> {
    let command_id = push.command_id;
    let received = Entry::CommandReceived {
        command_id,
        kind: push.kind.clone(),
        deadline_at,
        slot: slot(push),
        run_id: push.start.as_ref().map(|start| start.run_id),
    };
    vec![received, Entry::Fact { fact: Fact::CommandReceived { command_id } }]
}

/// Returns what is written when a command has its outcome.
pub fn finished(command_id: CommandId, outcome: CommandOutcome) -> Vec<Entry> {
    let fact = Fact::CommandFinished { command_id, status: outcome.status, result: outcome.result.clone() };
    vec![Entry::CommandFinished { command_id, outcome }, Entry::Fact { fact }]
}

/// Returns the outcome of a command whose deadline has passed.
pub fn too_late(deadline_at: Timestamp, now: Timestamp) -> Option<CommandOutcome> {
    (now >= deadline_at).then(|| CommandOutcome {
        status: CommandStatus::Expired,
        result: "its deadline passed before it could start".to_owned(),
    })
}

/// Returns the outcome of a command the daemon before this one did not finish; `None` if it is to be done again.
///
/// A start is never tried again. Stopping twice does no harm, and asking neither.
pub fn left_over(record: &CommandRecord) -> Option<CommandOutcome> {
    if !matches!(record.kind.as_str(), "start-agent" | "restart-agent") {
        return None;
    }
    Some(match record.run_id {
        Some(run_id) if record.started => completed(format!("started {run_id}; the daemon restarted meanwhile")),
        _ => failed("daemon restarted before the start; outcome known: not started"),
    })
}

fn slot(push: &PushCommand) -> Option<Slot> {
    push.start.as_ref().map(|start| start.slot.clone()).or_else(|| push.slot.clone())
}

fn began(started: Result<String, String>) -> CommandOutcome {
    started.map_or_else(failed, completed)
}

fn completed(result: impl Into<String>) -> CommandOutcome {
    CommandOutcome { status: CommandStatus::Completed, result: result.into() }
}

fn failed(result: impl Into<String>) -> CommandOutcome {
    CommandOutcome { status: CommandStatus::Failed, result: result.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_of_its_own() {
        let outcome = isolated(async { panic!("on purpose") }).await;
        assert_eq!(outcome.status, CommandStatus::Failed);
        let outcome = isolated(async { completed("pong") }).await;
        assert_eq!(outcome, completed("pong"));
    }
}
