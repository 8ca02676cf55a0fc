//! Everything that may take long, off the way of appends: bytes from memory into the files of their streams,
//! checkpoints, the next segment.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::checkpoint::{self, Snapshot};
use super::error::Stopped;
use super::files;
use super::shared::Shared;
use super::stream::Stream;
use super::wal;

/// How long it rests when there is no room.
const REST: Duration = Duration::from_secs(1);

/// The writer of files; [`Engine::start`](crate::Engine::start) runs it on a thread of its own.
pub struct Flusher {
    shared: Arc<Shared>,
    /// Files that were written and not yet synced.
    unsynced: BTreeSet<String>,
    /// Files to remove.
    doomed: Vec<String>,
}

/// Why a chore was not done.
enum Undone {
    /// It can be tried again: nothing relies on it.
    Later(io::Error),
    /// Nobody knows what is on the disk.
    Never(io::Error),
}

impl Flusher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, unsynced: BTreeSet::new(), doomed: Vec::new() }
    }

    /// Does what waits. What there is no room for waits on.
    pub fn work(&mut self) -> Result<(), Stopped> {
        if self.shared.is_stopped() {
            return Err(Stopped);
        }
        let done = self.chores();
        let mut chores = self.shared.chores();
        chores.failing = matches!(done, Err(Undone::Later(_)));
        drop(chores);
        self.shared.chore.notify_all();
        match done {
            Ok(()) => Ok(()),
            Err(Undone::Later(error)) => {
                tracing::warn!(%error, "streams cannot be written to their files; trying again");
                Ok(())
            }
            Err(Undone::Never(error)) => {
                tracing::error!(%error, "a sync failed; nothing more is taken");
                self.shared.stop();
                Err(Stopped)
            }
        }
    }

    fn chores(&mut self) -> Result<(), Undone> {
        let (snapshot, wants_spare) = {
            let mut chores = self.shared.chores();
            (chores.snapshot.take(), std::mem::take(&mut chores.wants_spare))
        };
        let is_much = self.shared.unwritten.load(Ordering::Relaxed) >= self.shared.options.flush_bytes;
        if let Some(snapshot) = snapshot {
            let done = self.flush().and_then(|()| self.checkpoint(&snapshot));
            if done.is_err() {
                self.shared.chores().snapshot = Some(snapshot);
            }
            done?;
        } else if is_much {
            self.flush()?;
        }
        if wants_spare && self.shared.spares.is_empty() {
            let size = self.shared.options.segment_bytes;
            self.shared.spares.make(&*self.shared.disk, size).map_err(Undone::Later)?;
        }
        Ok(())
    }

    /// Writes what is in memory to the files.
    fn flush(&mut self) -> Result<(), Undone> {
        let mut dirty = std::mem::take(&mut self.shared.chores().dirty);
        while let Some(stream) = dirty.pop() {
            if let Err(error) = self.flush_stream(&stream) {
                dirty.push(stream);
                self.shared.chores().dirty.append(&mut dirty);
                return Err(Undone::Later(error));
            }
        }
        Ok(())
    }

    /// Writes what is in memory of one. Also of one that is gone by now: a checkpoint under way may vouch for it.
    fn flush_stream(&mut self, stream: &Arc<Stream>) -> io::Result<()> {
        loop {
            let (mut at, pieces) = {
                let mut visible = stream.visible();
                if !visible.is_unwritten() {
                    visible.is_listed = false;
                    return Ok(());
                }
                visible.begin_flush()
            };
            let begin = at;
            let (disk, size) = (&*self.shared.disk, self.shared.options.file_bytes);
            for piece in &pieces {
                files::write(disk, stream.id(), at, piece, size, |name| {
                    self.unsynced.insert(name);
                })?;
                at += piece.len() as u64;
            }
            stream.visible().end_flush();
            self.shared.unwritten.fetch_sub(at - begin, Ordering::Relaxed);
        }
    }

    /// Makes the files durable, then the checkpoint that relies on them, then gives back what neither needs.
    pub(crate) fn checkpoint_now(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let done = self.flush().and_then(|()| self.checkpoint(snapshot));
        done.map_err(|(Undone::Later(error) | Undone::Never(error))| error)
    }

    fn checkpoint(&mut self, snapshot: &Snapshot) -> Result<(), Undone> {
        let disk = &*self.shared.disk;
        if !self.unsynced.is_empty() {
            let mut names = self.unsynced.iter().map(String::as_str);
            disk.sync_files(&mut names).map_err(Undone::Never)?;
            disk.sync_folder(files::FOLDER).map_err(Undone::Never)?;
            self.unsynced.clear();
        }
        let file = checkpoint::write(disk, snapshot).map_err(Undone::Later)?;
        checkpoint::swap(disk, file).map_err(Undone::Never)?;
        self.doomed.extend_from_slice(&snapshot.doomed);
        for name in std::mem::take(&mut self.doomed) {
            match disk.remove(&name) {
                Ok(()) => {
                    self.unsynced.remove(&name);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // The next checkpoint tries again.
                Err(_) => self.doomed.push(name),
            }
        }
        let before = self.shared.checkpointed.swap(snapshot.log_from, Ordering::AcqRel);
        for number in before..snapshot.log_from {
            // A segment that cannot be used again only takes up room.
            if let Err(error) = self.shared.spares.add(disk, wal::name(number)) {
                tracing::warn!(%error, number, "a segment of the log that nothing needs cannot be removed");
            }
        }
        Ok(())
    }

    /// Works until nobody uses the engine any more, or it stops.
    pub(crate) fn run(mut self) {
        loop {
            {
                let shared = &self.shared;
                let mut chores = shared.chores();
                let mut rest = if chores.failing { Some(REST) } else { None };
                loop {
                    if chores.closing || shared.is_stopped() {
                        return;
                    }
                    let is_much = shared.unwritten.load(Ordering::Relaxed) >= shared.options.flush_bytes;
                    if rest.is_none() && (is_much || chores.snapshot.is_some() || chores.wants_spare) {
                        break;
                    }
                    let wait = rest.take().unwrap_or(REST);
                    chores = shared.chore.wait_timeout(chores, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
            if self.work().is_err() {
                return;
            }
        }
    }
}
