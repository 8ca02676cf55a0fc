//! The threads of an engine, and callers who do the log's work in the place of its thread.
//!
//! Waking a thread that sleeps, and being woken by it, takes about as long as a sync on a fast disk. So whoever asks while
//! nobody else does may write himself. What a newcomer would get wrong: there is one committer all the same. Whoever
//! holds it decides and writes, and what is asked meanwhile is left to the thread, which writes it together.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::committer::{self, Committer};
use super::error::OpenError;
use super::flusher::Flusher;
use super::shared::Shared;

/// The threads of an engine, ended with what is under way.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    committer: Arc<Mutex<Option<Committer>>>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts both.
    pub fn start(shared: &Arc<Shared>, committer: Committer, flusher: Flusher) -> Result<Self, OpenError> {
        let committer = Arc::new(Mutex::new(Some(committer)));
        let threads = Self { shared: shared.clone(), committer: committer.clone(), running: Mutex::default() };
        let log = shared.clone();
        for (name, work) in [
            ("streams-log", Box::new(move || committer::run(&log, &committer)) as Box<dyn FnOnce() + Send>),
            ("streams-files", Box::new(|| flusher.run())),
        ] {
            let thread = Builder::new().name(name.into()).spawn(work);
            let thread = thread.map_err(|source| OpenError::io("a thread", source))?;
            threads.running.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(threads)
    }

    /// Ends them.
    pub fn end(&self) {
        self.shared.queue().closing = true;
        self.shared.arrived.notify_all();
        self.shared.chores().closing = true;
        self.shared.chore.notify_all();
        for thread in self.running.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
        self.shared.disk.unlock();
    }

    /// Returns the turn of whoever was the first to ask for something, if he may write.
    pub fn turn(self: &Arc<Self>) -> Option<Turn> {
        let may = self.shared.options.callers_write && !self.shared.is_crowded.load(Ordering::Relaxed);
        may.then(|| Turn { threads: self.clone(), has_waited: false })
    }

    /// Does the log's work if that is little and nobody else is at it.
    fn commit(&self) {
        if let Ok(mut held) = self.committer.try_lock()
            && let Some(committer) = held.as_mut()
            && committer.has_little_to_do()
        {
            // If it stopped, whoever waits is told by that.
            let _ = committer.commit();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

/// The right to write what one has asked for, and the duty to see that somebody does.
pub(crate) struct Turn {
    threads: Arc<Threads>,
    has_waited: bool,
}

impl Turn {
    /// Lets others ask first, once, and then does the work unless it is no longer little.
    pub fn take(mut self) -> Option<Self> {
        if !self.has_waited {
            self.has_waited = true;
            return Some(self);
        }
        self.threads.commit();
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // What was not done, or came meanwhile.
        self.threads.shared.see_to_queue();
    }
}
