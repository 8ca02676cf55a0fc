//! The one thread that decides and writes: a batch is whatever was asked while the batch before it was synced.
//!
//! Publishing belongs to it, not to the request: whoever asked may be gone, what became durable is shown all the same.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::change::Change;
use super::checkpoint;
use super::command::{Answer, Appended, Command, Created};
use super::decide;
use super::error::{Refusal, Stopped};
use super::ledger::{Ledger, News};
use super::shared::Shared;
use super::stream::Life;
use super::wal::{RollError, Wal};
use crate::protocol::Lifetime;

/// How many segments may wait for their checkpoint before appends are refused.
const MOST_SEGMENTS: u64 = 8;
/// How often it looks for streams whose time is over.
const TICK: Duration = Duration::from_millis(500);
/// After how many ticks with changes a checkpoint is taken, full segment or not.
const TICKS: u32 = 120;
/// A batch that took more room than this gives it back.
const KEPT: usize = 64 << 10;
/// Up to how many bytes a request is small: whoever does it for the thread is not held up by its size.
const SMALL: u64 = 64 << 10;

/// The writer of an engine; [`Engine::start`](crate::Engine::start) runs it on a thread of its own.
pub struct Committer {
    shared: Arc<Shared>,
    ledger: Ledger,
    wal: Wal,
    /// The first segment that the last checkpoint, taken or written, does not cover.
    covered: u64,
    has_changes: bool,
    ticks: u32,
    /// What was asked and is being decided; empty in between, as the next.
    commands: Vec<Command>,
    batch: Batch,
}

/// What becomes durable together.
#[derive(Default)]
struct Batch {
    framed: Vec<u8>,
    news: Vec<News>,
    answers: Vec<Settled>,
}

/// An answer that waits for the sync.
enum Settled {
    Created(Answer<Created>, Result<Created, Refusal>),
    Appended(Answer<Appended>, Result<Appended, Refusal>),
    Deleted(Answer<()>, Result<(), Refusal>),
}

impl Settled {
    fn send(self) {
        // Whoever asked may be gone.
        match self {
            Self::Created(answer, result) => drop(answer.send(result)),
            Self::Appended(answer, result) => drop(answer.send(result)),
            Self::Deleted(answer, result) => drop(answer.send(result)),
        }
    }
}

/// Why a change was not taken into the batch.
enum Unwritten {
    Refused(Refusal),
    Stopped,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, ledger: Ledger, wal: Wal) -> Self {
        let covered = wal.number();
        let (commands, batch) = (Vec::new(), Batch::default());
        Self { shared, ledger, wal, covered, has_changes: false, ticks: 0, commands, batch }
    }

    /// Whether nothing waits but one small request that the segment has room for.
    pub(crate) fn has_little_to_do(&self) -> bool {
        let queue = self.shared.queue();
        // A record is little more than its request, and twice as much is not looked at closely.
        let room = usize::try_from(2 * SMALL).unwrap_or(usize::MAX);
        queue.commands.len() == 1 && queue.bytes <= SMALL && self.wal.fits(room)
    }

    /// Decides what waits, makes it durable, shows it and answers. Returns how many requests there were.
    pub fn commit(&mut self) -> Result<usize, Stopped> {
        let mut commands = std::mem::take(&mut self.commands);
        {
            let mut queue = self.shared.queue();
            queue.bytes = 0;
            std::mem::swap(&mut queue.commands, &mut commands);
        }
        if self.shared.is_stopped() {
            return Err(Stopped);
        }
        let count = commands.len();
        if count > 0 {
            self.shared.is_crowded.store(count > 1, Ordering::Relaxed);
        }
        let mut batch = std::mem::take(&mut self.batch);
        for command in commands.drain(..) {
            if self.take(command, &mut batch).is_err() {
                self.shared.stop();
                return Err(Stopped);
            }
        }
        self.settle(&mut batch)?;
        self.commands = commands;
        batch.framed.shrink_to(KEPT);
        self.batch = batch;
        Ok(count)
    }

    fn take(&mut self, command: Command, batch: &mut Batch) -> Result<(), Stopped> {
        let now = self.shared.options.clock.now();
        match command {
            Command::Create { path, create, prepared, source, answer } => {
                let over = self.expire(&path, now, batch).and_then(|()| match &create.fork {
                    Some(fork) => self.expire(&fork.path, now, batch),
                    None => Ok(()),
                });
                let options = &self.shared.options;
                let decided = over.and_then(|()| {
                    decide::create(&self.ledger, options, &path, &create, &prepared, source.as_deref(), now)
                        .map_err(Unwritten::Refused)
                });
                let result = self.record(decided, batch)?;
                batch.answers.push(Settled::Created(answer, result));
            }
            Command::Append { path, append, prepared, answer } => {
                let is_over = self.ledger.at(&path).is_some_and(|entry| entry.stream.is_over(now));
                let decided = if is_over {
                    self.expire(&path, now, batch).and(Err(Unwritten::Refused(Refusal::NotFound)))
                } else {
                    let options = &self.shared.options;
                    decide::append(&self.ledger, options, &path, &append, &prepared, now).map_err(Unwritten::Refused)
                };
                let result = self.record(decided, batch)?;
                batch.answers.push(Settled::Appended(answer, result));
            }
            Command::Delete { path, answer } => {
                let over = self.expire(&path, now, batch);
                let decided = over.and_then(|()| decide::delete(&self.ledger, &path).map_err(Unwritten::Refused));
                let result = self.record(decided, batch)?;
                batch.answers.push(Settled::Deleted(answer, result));
            }
        }
        Ok(())
    }

    /// Ends the stream at a path if its time is over.
    fn expire(&mut self, path: &str, now: u64, batch: &mut Batch) -> Result<(), Unwritten> {
        let over = self.ledger.at(path).filter(|entry| entry.life == Life::Living && entry.stream.is_over(now));
        match over.map(|entry| entry.stream.id()) {
            Some(id) => self.write(Change::Expire { id }, batch),
            None => Ok(()),
        }
    }

    fn record<T>(
        &mut self,
        decided: Result<decide::Decision<T>, Unwritten>,
        batch: &mut Batch,
    ) -> Result<Result<T, Refusal>, Stopped> {
        let written = decided.and_then(|(change, answer)| match change {
            Some(change) => self.write(change, batch).map(|()| answer),
            None => Ok(answer),
        });
        match written {
            Ok(answer) => Ok(Ok(answer)),
            Err(Unwritten::Refused(refusal)) => Ok(Err(refusal)),
            Err(Unwritten::Stopped) => Err(Stopped),
        }
    }

    /// Takes a change into the batch. Room for it is found first: a change that is refused has left no trace.
    fn write(&mut self, change: Change, batch: &mut Batch) -> Result<(), Unwritten> {
        let begin = batch.framed.len();
        self.wal.frame(&mut batch.framed, |to| change.put(to));
        if !self.wal.fits(batch.framed.len()) {
            let size = batch.framed.len() - begin;
            batch.framed.truncate(begin);
            if !self.wal.could_fit(size) {
                return Err(Unwritten::Refused(Refusal::TooLarge(self.shared.options.max_body)));
            }
            self.settle(batch).map_err(|Stopped| Unwritten::Stopped)?;
            self.roll()?;
            // In its new place.
            self.wal.frame(&mut batch.framed, |to| change.put(to));
        }
        if let Err(error) = self.ledger.apply(change, &mut batch.news) {
            tracing::error!(%error, "a decision contradicts what is known of its stream");
            return Err(Unwritten::Stopped);
        }
        self.has_changes = true;
        Ok(())
    }

    /// Makes a batch durable, shows it, and answers.
    fn settle(&mut self, batch: &mut Batch) -> Result<(), Stopped> {
        if !batch.framed.is_empty() {
            if let Err(error) = self.wal.write(&batch.framed) {
                tracing::error!(%error, segment = self.wal.number(), "the log cannot be written; nothing more is taken");
                self.shared.stop();
                return Err(Stopped);
            }
            batch.framed.clear();
            self.shared.publish(&mut batch.news);
        }
        batch.answers.drain(..).for_each(Settled::send);
        Ok(())
    }

    /// Goes on in the next segment, and takes a checkpoint unless one is still being written.
    fn roll(&mut self) -> Result<(), Unwritten> {
        if self.wal.number() + 1 - self.shared.checkpointed.load(Ordering::Acquire) >= MOST_SEGMENTS {
            let failing = self.shared.chores().failing;
            return Err(Unwritten::Refused(if failing { Refusal::NoRoom } else { Refusal::Busy }));
        }
        match self.wal.roll() {
            Ok(()) => {}
            Err(RollError::NoRoom(error)) => {
                tracing::warn!(%error, "there is no room for a further segment of the log");
                return Err(Unwritten::Refused(Refusal::NoRoom));
            }
            Err(RollError::Broken(error)) => {
                tracing::error!(%error, "the next segment of the log cannot be begun; nothing more is taken");
                self.shared.stop();
                return Err(Unwritten::Stopped);
            }
        }
        let mut chores = self.shared.chores();
        chores.wants_spare = true;
        if chores.snapshot.is_none() && self.shared.checkpointed.load(Ordering::Acquire) == self.covered {
            self.covered = self.wal.number();
            chores.snapshot = Some(checkpoint::take(&mut self.ledger, self.covered));
            self.has_changes = false;
            self.ticks = 0;
        }
        drop(chores);
        self.shared.chore.notify_all();
        Ok(())
    }

    /// Takes a checkpoint now, unless one is still being written.
    pub fn checkpoint(&mut self) -> Result<(), Stopped> {
        match self.roll() {
            Ok(()) | Err(Unwritten::Refused(_)) => Ok(()),
            Err(Unwritten::Stopped) => Err(Stopped),
        }
    }

    /// Ends streams whose time is over, notes which were read, and gives up what retention does not keep.
    pub fn tick(&mut self) -> Result<(), Stopped> {
        let now = self.shared.options.clock.now();
        let mut changes = Vec::new();
        for entry in self.ledger.mortal.iter().filter_map(|id| self.ledger.entries.get(id)) {
            let id = entry.stream.id();
            if entry.stream.is_over(now) {
                changes.push(Change::Expire { id });
            } else if let Lifetime::Ttl(seconds) = entry.stream.made.lifetime
                && entry.last_used() - entry.used >= slack(seconds)
            {
                changes.push(Change::Touch { id, at: entry.last_used() });
            }
        }
        for entry in self.ledger.entries.values().filter(|entry| entry.forks == 0) {
            let Some(keep) = self.shared.options.retains(&entry.stream.made.path) else { continue };
            let cut = entry.stream.last_cut(entry.tail.saturating_sub(keep));
            if let Some(before) = cut.filter(|cut| *cut > entry.oldest) {
                changes.push(Change::Trim { id: entry.stream.id(), before });
            }
        }
        let mut batch = Batch::default();
        for change in changes {
            match self.write(change, &mut batch) {
                Ok(()) => {}
                // The next tick finds it again.
                Err(Unwritten::Refused(_)) => break,
                Err(Unwritten::Stopped) => {
                    self.shared.stop();
                    return Err(Stopped);
                }
            }
        }
        self.settle(&mut batch)?;
        self.ticks += 1;
        if self.has_changes && self.ticks >= TICKS { self.checkpoint() } else { Ok(()) }
    }

    /// Waits while too much of the log has no checkpoint, unless that cannot be helped.
    fn wait_for_flusher(&self) {
        let shared = &self.shared;
        let is_behind = || self.wal.number() + 2 - shared.checkpointed.load(Ordering::Acquire) >= MOST_SEGMENTS;
        let mut chores = shared.chores();
        while is_behind() && !chores.failing && !chores.closing && !shared.is_stopped() {
            chores = shared.chore.wait_timeout(chores, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Does the work of a committer until nobody uses the engine any more, or it stops.
///
/// Others may do some of it in between: whoever holds the committer decides and writes.
pub(crate) fn run(shared: &Arc<Shared>, committer: &Mutex<Option<Committer>>) {
    // Also if this thread panics: nobody shall wait for an answer that cannot come.
    let _stop = StopAtEnd(shared.clone());
    let mut ticked = std::time::Instant::now();
    loop {
        let is_over = {
            let queue = shared.queue();
            let idle = queue.commands.is_empty() && !queue.closing && !shared.is_stopped();
            let queue = if idle {
                let wait = TICK.saturating_sub(ticked.elapsed());
                shared.arrived.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
            } else {
                queue
            };
            queue.closing && queue.commands.is_empty()
        };
        // Whoever panicked with it has left it halfway.
        let Ok(mut held) = committer.lock() else {
            return;
        };
        let working = held.as_mut().filter(|_| !is_over);
        let done = working.ok_or(Stopped).and_then(|committer| {
            committer.wait_for_flusher();
            committer.commit()?;
            if ticked.elapsed() < TICK {
                return Ok(());
            }
            ticked = std::time::Instant::now();
            committer.tick()
        });
        if done.is_err() {
            *held = None;
            return;
        }
    }
}

/// Stops an engine when its writer ends, in whatever way.
struct StopAtEnd(Arc<Shared>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// How far behind the log may be about when a stream was last read, in milliseconds.
pub(crate) fn slack(ttl: u64) -> u64 {
    (ttl.saturating_mul(1000) / 16).max(1000)
}
