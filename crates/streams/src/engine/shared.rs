//! What the threads of an engine share with those who use it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

use super::checkpoint::Snapshot;
use super::command::Command;
use super::error::{Refusal, Stopped};
use super::ledger::News;
use super::options::Options;
use super::stream::{Life, Stream};
use super::wal::Spares;
use crate::disk::Disk;

type Paths = HashMap<Arc<str>, Arc<Stream>>;

pub(crate) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub options: Options,
    pub spares: Arc<Spares>,
    /// The streams that readers may see, by path.
    paths: RwLock<Paths>,
    queue: Mutex<Queue>,
    /// Told when something waits in the queue, or the end has come.
    pub arrived: Condvar,
    chores: Mutex<Chores>,
    /// Told when there is something for the flusher, or it is done with something.
    pub chore: Condvar,
    /// How many durable bytes are in memory alone.
    pub unwritten: AtomicU64,
    /// The first segment of the log that the valid checkpoint does not cover.
    pub checkpointed: AtomicU64,
    /// Whether more than one asked for something while the log was last written.
    pub is_crowded: AtomicBool,
    stopped: AtomicBool,
    pub ended: Notify,
}

/// What waits for the committer.
#[derive(Default)]
pub(crate) struct Queue {
    pub commands: Vec<Command>,
    pub bytes: u64,
    /// Nobody will ask for anything more.
    pub closing: bool,
}

/// What waits for the flusher.
#[derive(Default)]
pub(crate) struct Chores {
    /// Streams with bytes that are in no file.
    pub dirty: Vec<Arc<Stream>>,
    /// A checkpoint to write.
    pub snapshot: Option<Snapshot>,
    /// Whether the next segment may be made.
    pub wants_spare: bool,
    pub closing: bool,
    /// Whether the last attempt failed for want of room.
    pub failing: bool,
}

impl Shared {
    pub fn new(disk: Arc<dyn Disk>, options: Options) -> Self {
        Self {
            disk,
            options,
            spares: Arc::default(),
            paths: RwLock::default(),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            chores: Mutex::default(),
            chore: Condvar::new(),
            unwritten: AtomicU64::new(0),
            checkpointed: AtomicU64::new(0),
            is_crowded: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    pub fn paths(&self) -> RwLockReadGuard<'_, Paths> {
        self.paths.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn paths_mut(&self) -> RwLockWriteGuard<'_, Paths> {
        self.paths.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn chores(&self) -> MutexGuard<'_, Chores> {
        self.chores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into the queue. Whether it is alone there: then somebody has to see to it.
    pub fn submit(&self, command: Command) -> Result<bool, Refusal> {
        let size = command.size();
        let mut queue = self.queue();
        if self.is_stopped() || queue.closing {
            return Err(Stopped.into());
        }
        if queue.bytes.saturating_add(size) > self.options.max_queued && queue.bytes > 0 {
            return Err(Refusal::Busy);
        }
        let is_first = queue.commands.is_empty();
        queue.bytes += size;
        queue.commands.push(command);
        Ok(is_first)
    }

    /// Wakes the committer's thread if something waits. It sleeps only while nothing does, and waking it is a call of
    /// the system each time.
    pub fn see_to_queue(&self) {
        if !self.queue().commands.is_empty() {
            self.arrived.notify_one();
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Ends everything: nothing more is acknowledged.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // Whoever still waits for an answer gets none but that.
        let waiting = std::mem::take(&mut self.queue().commands);
        drop(waiting);
        self.arrived.notify_all();
        self.chore.notify_all();
        self.ended.notify_waiters();
    }

    /// Shows readers what has become durable.
    pub fn publish(&self, news: &mut Vec<News>) {
        let now = self.options.clock.now();
        let mut dirty = Vec::new();
        for item in news.drain(..) {
            match item {
                News::Born(stream) => {
                    stream.touch(now);
                    self.paths_mut().insert(stream.made.path.as_ref().into(), stream);
                }
                News::Grown { stream, content, close } => {
                    stream.touch(now);
                    // Before it is shown: the flusher may have written it, and taken it off again, a moment later.
                    self.unwritten.fetch_add(content.bytes.len() as u64, Ordering::Relaxed);
                    let mut visible = stream.visible();
                    visible.grow(&content, close);
                    if !content.bytes.is_empty() && !std::mem::replace(&mut visible.is_listed, true) {
                        dirty.push(stream.clone());
                    }
                    drop(visible);
                    stream.changed.notify_waiters();
                }
                News::Ended { stream, life } => {
                    stream.visible().life = life;
                    if life != Life::Deleted {
                        let mut paths = self.paths_mut();
                        let path = &*stream.made.path;
                        if paths.get(path).is_some_and(|there| there.id() == stream.id()) {
                            paths.remove(path);
                        }
                    }
                    stream.changed.notify_waiters();
                }
                News::Trimmed { stream, before } => stream.visible().trim(before),
            }
        }
        if !dirty.is_empty() {
            self.chores().dirty.append(&mut dirty);
        }
        if self.unwritten.load(Ordering::Relaxed) >= self.options.flush_bytes {
            self.chore.notify_all();
        }
    }

    /// Fills the map of an engine that was just opened.
    pub fn show(&self, streams: impl Iterator<Item = Arc<Stream>>) {
        let mut paths = self.paths_mut();
        *paths = streams.map(|stream| (Arc::from(stream.made.path.as_ref()), stream)).collect();
    }
}
