//! What the committer knows of every stream: all that was decided, durable or about to be.
//!
//! One thread owns it, so a check and the append that follows it are one step. What it decides becomes a change; the
//! change is applied here, written to the log, and only then shown to readers. Replaying the log applies the same
//! changes in the same order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::change::{Change, Content, Made};
use super::error::OpenError;
use super::files;
use super::stream::{Life, Stream};
use crate::protocol::producer::Session;

/// Every stream.
pub(crate) struct Ledger {
    pub paths: HashMap<Arc<str>, u64>,
    pub entries: HashMap<u64, Entry>,
    /// Those whose time can be over.
    pub mortal: BTreeSet<u64>,
    pub next_id: u64,
    /// Files that no stream needs any more.
    pub doomed: Vec<String>,
    pub file_bytes: u64,
}

/// One of them.
pub(crate) struct Entry {
    pub stream: Arc<Stream>,
    pub life: Life,
    pub oldest: u64,
    pub tail: u64,
    pub closed: bool,
    pub producers: BTreeMap<Box<str>, Session>,
    pub seq: Option<Box<str>>,
    /// How many living forks it has.
    pub forks: u32,
    /// When it was last used, as the log has it.
    pub used: u64,
}

/// What readers are shown once a change is durable.
pub(crate) enum News {
    /// A stream is there.
    Born(Arc<Stream>),
    /// It has grown or is complete.
    Grown { stream: Arc<Stream>, content: Content, close: bool },
    /// It is there no longer, in one way or another.
    Ended { stream: Arc<Stream>, life: Life },
    /// It has lost its beginning.
    Trimmed { stream: Arc<Stream>, before: u64 },
}

impl Ledger {
    pub fn new(file_bytes: u64) -> Self {
        Self {
            paths: HashMap::new(),
            entries: HashMap::new(),
            mortal: BTreeSet::new(),
            next_id: 1,
            doomed: Vec::new(),
            file_bytes,
        }
    }

    /// Returns the stream at a path, deleted or not.
    pub fn at(&self, path: &str) -> Option<&Entry> {
        self.paths.get(path).and_then(|id| self.entries.get(id))
    }

    /// Puts a stream in, as made or as a checkpoint had it.
    pub fn insert(&mut self, made: Made, used: u64) -> Result<&mut Entry, OpenError> {
        let id = made.id;
        let source = match &made.fork {
            Some(fork) => {
                let source = self.entries.get_mut(&fork.source).ok_or(OpenError::Missing("the source of a fork"))?;
                source.forks += 1;
                Some(source.stream.clone())
            }
            None => None,
        };
        if made.lifetime.deadline(0).is_some() {
            self.mortal.insert(id);
        }
        self.next_id = self.next_id.max(id + 1);
        let own = made.fork.as_ref().map_or(0, |fork| fork.at);
        let entry = Entry {
            stream: Arc::new(Stream::new(made, source, used)),
            life: Life::Living,
            oldest: 0,
            tail: own,
            closed: false,
            producers: BTreeMap::new(),
            seq: None,
            forks: 0,
            used,
        };
        Ok(self.entries.entry(id).or_insert(entry))
    }

    /// Applies a change, and says what to show of it.
    pub fn apply(&mut self, change: Change, news: &mut Vec<News>) -> Result<(), OpenError> {
        match change {
            Change::Create { made, content, close, at } => {
                let path: Arc<str> = made.path.as_ref().into();
                let id = made.id;
                let entry = self.insert(made, at)?;
                entry.tail += content.bytes.len() as u64;
                entry.closed = close;
                let stream = entry.stream.clone();
                news.push(News::Born(stream.clone()));
                if close || !content.bytes.is_empty() {
                    news.push(News::Grown { stream, content, close });
                }
                self.paths.insert(path, id);
            }
            Change::Append { id, start, content, close, claim, seq, at } => {
                let Some(entry) = self.entries.get_mut(&id) else {
                    return Err(OpenError::Missing("the beginning of a stream"));
                };
                if start != entry.tail {
                    return Err(OpenError::Missing("a part of a stream"));
                }
                entry.tail += content.bytes.len() as u64;
                entry.used = entry.used.max(at);
                if let Some(claim) = &claim {
                    let session = Session { epoch: claim.epoch, seq: claim.seq };
                    entry.producers.insert(claim.id.clone(), session);
                }
                if seq.is_some() {
                    entry.seq = seq;
                }
                entry.closed |= close;
                news.push(News::Grown { stream: entry.stream.clone(), content, close });
            }
            Change::Delete { id } => self.end(id, Life::Deleted, news),
            Change::Expire { id } => self.end(id, Life::Expired, news),
            Change::Touch { id, at } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.used = entry.used.max(at);
                }
            }
            Change::Trim { id, before } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    let from = entry.oldest.max(entry.stream.own_start());
                    self.doomed.extend(files::whole_before(id, from, before, self.file_bytes));
                    entry.oldest = before;
                    news.push(News::Trimmed { stream: entry.stream.clone(), before });
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, id: u64, life: Life, news: &mut Vec<News>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if entry.forks == 0 {
            self.purge(id, news);
            return;
        }
        entry.life = life;
        news.push(News::Ended { stream: entry.stream.clone(), life });
        if life == Life::Expired {
            // The path is free; the bytes stay for the forks.
            self.forget_path(id);
        }
        self.mortal.remove(&id);
    }

    /// Removes a stream, and what was kept for it alone.
    fn purge(&mut self, id: u64, news: &mut Vec<News>) {
        let mut next = Some(id);
        while let Some(id) = next.take() {
            self.forget_path(id);
            let Some(entry) = self.entries.remove(&id) else {
                return;
            };
            self.mortal.remove(&id);
            let from = entry.oldest.max(entry.stream.own_start());
            self.doomed.extend(files::all(id, from, entry.tail, self.file_bytes));
            let source = entry.stream.made.fork.as_ref().map(|fork| fork.source);
            news.push(News::Ended { stream: entry.stream, life: Life::Gone });
            if let Some(source) = source.and_then(|source| self.entries.get_mut(&source)) {
                source.forks = source.forks.saturating_sub(1);
                next = (source.forks == 0 && source.life != Life::Living).then(|| source.stream.id());
            }
        }
    }

    fn forget_path(&mut self, id: u64) {
        let path = self.entries.get(&id).map(|entry| &*entry.stream.made.path);
        if let Some(path) = path.filter(|path| self.paths.get(*path) == Some(&id)) {
            self.paths.remove(path);
        }
    }
}

impl Entry {
    /// Returns when it was last used, also by readers the log does not know of yet.
    pub fn last_used(&self) -> u64 {
        self.used.max(self.stream.used.load(Ordering::Relaxed))
    }
}
