//! The engine: streams on a disk, without any transport.
//!
//! A request becomes a command; one thread decides it, writes it to the log with whatever else came meanwhile, syncs
//! once, and only then shows it to readers and answers. A second thread moves bytes from memory into the files of
//! their streams and takes checkpoints, so that the log stays short.

mod change;
mod checkpoint;
mod codec;
mod command;
mod committer;
mod decide;
mod error;
mod files;
mod flusher;
mod ledger;
mod options;
mod recovery;
mod shared;
pub(crate) mod stream;
mod threads;
mod view;
mod wal;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use change::AskedFork;
use command::{Command, Prepared, Source};
use shared::Shared;
use stream::{Life, Stream};
use threads::{Threads, Turn};

pub use command::{Append, Appended, Create, Created, ForkFrom, Pending};
pub use committer::Committer;
pub use error::{OpenError, Refusal, Stopped};
pub use flusher::Flusher;
pub use options::{Clock, Options};
pub use view::{About, Reader, View};

use crate::disk::{Disk, Folder};
use crate::protocol::content::Kind;
use crate::protocol::{Start, json};

/// Streams on a disk. Copies are the same engine; the last one to go ends its threads.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    threads: Option<Arc<Threads>>,
}

impl Engine {
    /// Opens the store in a folder, or makes an empty one, and starts its threads.
    pub fn start(folder: impl Into<PathBuf>, options: Options) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
        let (engine, committer, flusher) = Self::open(&disk, options)?;
        let threads = Threads::start(&engine.shared, committer, flusher)?;
        Ok(Self { shared: engine.shared, threads: Some(Arc::new(threads)) })
    }

    /// Ends it: finishes what is under way, refuses what comes later, and leaves its folder to whoever opens it next.
    ///
    /// It waits for the disk, so this has no place on a thread that must not wait.
    pub fn end(&self) {
        if let Some(threads) = &self.threads {
            threads.end();
        }
    }

    /// Opens a store without starting threads: whoever calls this does the work of both writers.
    pub fn open(disk: &Arc<dyn Disk>, options: Options) -> Result<(Self, Committer, Flusher), OpenError> {
        let (shared, committer, flusher) = recovery::open(disk, options)?;
        Ok((Self { shared, threads: None }, committer, flusher))
    }

    /// Makes a stream, or finds that it is there as asked.
    ///
    /// A fork at an offset looks into its source, so this has no place on a thread that must not wait.
    pub fn create(&self, path: &str, create: Create) -> Pending<Created> {
        self.try_create(path, create).unwrap_or_else(Pending::refused)
    }

    fn try_create(&self, path: &str, create: Create) -> Result<Pending<Created>, Refusal> {
        self.check_path(path)?;
        self.check_size(&create.body)?;
        let there = self.shared.paths().contains_key(path);
        let (source, kind) = match &create.fork {
            Some(fork) => match self.source(&fork.path).and_then(|reader| Ok((resolve(&reader, fork)?, reader.kind())))
            {
                Ok((source, kind)) => (Some(source), kind),
                // Whether it is the same fork can be told without the source, which may be gone by now.
                Err(_) if there => (None, Kind::Binary),
                Err(refusal) => return Err(refusal),
            },
            None => (None, create.content_type.clone().unwrap_or_default().kind()),
        };
        let prepared = prepare(kind, &create.body)?;
        let (answer, asked) = oneshot::channel();
        let (create, source) = (Box::new(create), source.map(Box::new));
        let turn = self.submit(Command::Create { path: path.into(), create, prepared, source, answer })?;
        Ok(Pending::asked(asked, turn))
    }

    /// Appends to a stream, or closes it, or both.
    pub fn append(&self, path: &str, append: Append) -> Pending<Appended> {
        self.try_append(path, append).unwrap_or_else(Pending::refused)
    }

    fn try_append(&self, path: &str, append: Append) -> Result<Pending<Appended>, Refusal> {
        self.check_path(path)?;
        self.check_size(&append.body)?;
        let stream = self.living(path)?;
        if append.body.is_empty() && !append.close {
            return Err(Refusal::Empty);
        }
        let matches = append.content_type.as_ref().is_some_and(|given| given.matches(&stream.made.content_type));
        // What is refused anyway is not looked into: a closed stream, another type.
        let prepared = if append.body.is_empty() || !matches || stream.visible().closed {
            Prepared::default()
        } else {
            let prepared = prepare(stream.kind, &append.body)?;
            if prepared.bytes.is_empty() {
                return Err(Refusal::Empty);
            }
            prepared
        };
        let (answer, asked) = oneshot::channel();
        let turn = self.submit(Command::Append { path: path.into(), append, prepared, answer })?;
        Ok(Pending::asked(asked, turn))
    }

    /// Closes a stream: nothing more can be appended.
    pub fn close(&self, path: &str) -> Pending<Appended> {
        self.append(path, Append { close: true, ..Append::default() })
    }

    /// Deletes a stream. If it has forks, what they need of it stays until they are gone.
    pub fn delete(&self, path: &str) -> Pending<()> {
        let try_delete = || {
            self.check_path(path)?;
            let (answer, asked) = oneshot::channel();
            let turn = self.submit(Command::Delete { path: path.into(), answer })?;
            Ok(Pending::asked(asked, turn))
        };
        try_delete().unwrap_or_else(Pending::refused)
    }

    /// Looks a stream up.
    pub fn reader(&self, path: &str) -> Result<Reader, Refusal> {
        self.check_path(path)?;
        Ok(Reader::new(self.shared.clone(), self.living(path)?))
    }

    /// Returns how many streams there are, without deleted ones that are kept for their forks.
    pub fn count(&self) -> usize {
        self.shared.paths().len()
    }

    /// Returns the paths of all streams, in no order, without deleted ones that are kept for their forks.
    pub fn paths(&self) -> Vec<String> {
        self.shared.paths().keys().map(|path| path.as_ref().to_owned()).collect()
    }

    /// Waits until the engine has stopped because of a failed write.
    pub async fn stopped(&self) -> Stopped {
        loop {
            let ended = self.shared.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.shared.is_stopped() {
                return Stopped;
            }
            ended.await;
        }
    }

    /// Returns the sizes and limits it was opened with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Asks the committer, and sees to it that somebody does its work.
    fn submit(&self, command: Command) -> Result<Option<Turn>, Refusal> {
        if !self.shared.submit(command)? {
            return Ok(None);
        }
        let turn = self.threads.as_ref().and_then(Threads::turn);
        if turn.is_none() {
            self.shared.arrived.notify_one();
        }
        Ok(turn)
    }

    fn living(&self, path: &str) -> Result<Arc<Stream>, Refusal> {
        let stream = self.shared.paths().get(path).cloned().ok_or(Refusal::NotFound)?;
        let life = stream.visible().life;
        match life {
            Life::Living if stream.is_over(self.shared.options.clock.now()) => Err(Refusal::NotFound),
            Life::Living => Ok(stream),
            Life::Deleted => Err(Refusal::Deleted),
            Life::Expired | Life::Gone => Err(Refusal::NotFound),
        }
    }

    fn source(&self, path: &str) -> Result<Reader, Refusal> {
        let stream = self.living(path).map_err(|refusal| match refusal {
            Refusal::Deleted => Refusal::SourceDeleted,
            _ => Refusal::SourceNotFound,
        })?;
        Ok(Reader::new(self.shared.clone(), stream))
    }

    fn check_path(&self, path: &str) -> Result<(), Refusal> {
        let longest = self.shared.options.max_path;
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
        if path.len() <= longest && path.split('/').all(is_part) { Ok(()) } else { Err(Refusal::BadPath(longest)) }
    }

    fn check_size(&self, body: &Bytes) -> Result<(), Refusal> {
        let largest = self.shared.options.max_body;
        if body.len() <= largest { Ok(()) } else { Err(Refusal::TooLarge(largest)) }
    }
}

fn prepare(kind: Kind, body: &Bytes) -> Result<Prepared, Refusal> {
    if kind != Kind::Json || body.is_empty() {
        return Ok(Prepared { bytes: body.clone(), ends: Vec::new() });
    }
    let found = json::messages(body)?;
    Ok(Prepared { bytes: found.stored.into(), ends: found.ends })
}

/// Returns the position a request names to fork at; nothing stands for the tail.
fn anchor(at: Option<Start>) -> Option<u64> {
    match at {
        None | Some(Start::Now) => None,
        Some(Start::Beginning) => Some(0),
        Some(Start::At(offset)) => Some(offset.position),
    }
}

fn resolve(reader: &Reader, fork: &ForkFrom) -> Result<Source, Refusal> {
    let anchor = anchor(fork.at);
    if let Some(start @ Start::At(_)) = fork.at {
        let view = reader.view(start);
        view.map_err(|refusal| match refusal {
            Refusal::BadOffset | Refusal::Trimmed { .. } => Refusal::ForkOutside,
            refusal => refusal,
        })?;
        if !view::can_part(reader, anchor.unwrap_or_default())? {
            return Err(Refusal::ForkOutside);
        }
    }
    let at = match anchor {
        Some(anchor) if fork.beyond > 0 => Some(view::beyond(reader, anchor, fork.beyond)?),
        None if fork.beyond > 0 => return Err(Refusal::ForkOutside),
        anchor => anchor,
    };
    let asked = AskedFork { path: fork.path.as_str().into(), anchor, sub: fork.beyond };
    Ok(Source { id: reader.id(), at, asked })
}
