//! The truth about commands and runs of this machine: a durable log, and what it amounts to.
//!
//! What is not in the journal did not happen, so it is written first: a command
//! before it is executed, a supervisor before it may start its tool. A fact and
//! what follows from it here are written together, so none is told twice.
//!
//! One thread writes. What is given to it while it waits for the disk goes into
//! the next write together. Once whoever waits has their answer, it writes the
//! same to the [`history`], which others read.

mod entry;
mod event;
pub mod history;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chatroom_protocol::Timestamp;
use chatroom_protocol::api::reports::Report;
use chatroom_protocol::journal::{JournalEntry, Place};
use chatroom_streams::{Log, LogError, Position};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

pub use entry::Entry;
pub use state::{CommandRecord, PromptRecord, PromptStage, RunRecord, State};

use self::history::History;
use crate::hex::hex;
use crate::home::{Home, HomeError};

/// Where the history is, in a home.
pub const HISTORY: &str = "journal/history";

/// Beyond this the file is begun anew.
const FULL: u64 = 8 * 1024 * 1024;
/// How much must fit before a full disk counts as free again.
const ROOM: usize = 64 * 1024;
/// How soon what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many waiting records go into one write.
const TOGETHER: usize = 512;

/// Why the journal cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be used.
    #[error("{0}")]
    Home(String),
    /// The log cannot be opened or written.
    #[error("the journal of this machine cannot be used: {0}")]
    Log(Arc<LogError>),
    /// Its history cannot be opened or written.
    #[error("the history of the journal cannot be written: {0}")]
    History(Arc<io::Error>),
    /// A record is of a newer version, or none of ours.
    #[error(
        "the journal {} holds a record this version cannot read ({why}); use the newer version, \
         or move the file away and start again: agents that still run are ended then",
        .path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The daemon is ending.
    #[error("the journal is closed")]
    Closed,
}

impl From<HomeError> for JournalError {
    fn from(error: HomeError) -> Self {
        Self::Home(error.to_string())
    }
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        Self::History(Arc::new(error))
    }
}

impl From<LogError> for JournalError {
    fn from(error: LogError) -> Self {
        Self::Log(Arc::new(error))
    }
}

/// The journal; cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    writes: mpsc::UnboundedSender<Write>,
    state: Arc<Mutex<State>>,
    last_seq: watch::Receiver<u64>,
    history_end: watch::Receiver<u64>,
    trouble: watch::Receiver<Option<String>>,
    /// Cancelled when nothing is worth waiting for any more.
    ending: CancellationToken,
}

/// The thread that writes. It ends when the last [`Journal`] is gone.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits until everything given to the journal is written. The last [`Journal`] must be gone or about to go.
    pub fn join(self) {
        // A writer that panicked has nothing left to write.
        let _ = self.0.join();
    }
}

/// Who waits to hear that something is on disk.
type Done = oneshot::Sender<Result<(), JournalError>>;

#[derive(Debug)]
enum Write {
    /// Records, together.
    Entries(Vec<Entry>, Done),
    /// Another journal, for the credential of this digest.
    BeginFor(String, Done),
}

impl Journal {
    /// Opens the journal of a home, or begins one. To be called under the daemon's lock.
    pub fn open(home: &Home) -> Result<(Self, Writer), JournalError> {
        let folder = home.folder("journal")?;
        let path = folder.join("journal.log");
        let mut log = Log::open(&path)?;
        let mut history = History::open(&home.folder(HISTORY)?)?;
        let (mut state, missing) = replay(&log, &path, history.last())?;
        if state.journal_id.is_empty() {
            state.journal_id = new_id_after(history.last().map_or("", |last| &last.journal));
            log.append(&begun(&state)?)?;
        }
        // No number is given twice, also where the file has lost its end, or a version before the history its count.
        if let Some(last) = history.last().filter(|last| last.journal == state.journal_id) {
            state.entries = state.entries.max(last.seq);
        }
        let caught_up = history.append(&missing);
        if let Err(error) = &caught_up {
            tracing::error!(%error, "the history of the journal cannot be written yet");
        }
        let (writes, queue) = mpsc::unbounded_channel();
        let (told, last_seq) = watch::channel(state.last_seq);
        let (troubled, trouble) = watch::channel(None);
        let (grown, history_end) = watch::channel(history.end());
        let state = Arc::new(Mutex::new(state));
        let is_behind = caught_up.is_err();
        let (begun_at, shared) = (0, Arc::clone(&state));
        let writing = Writing { log, path, state: shared, told, troubled, begun_at, history, is_behind, grown };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writing.run(queue))
            .map_err(|error| JournalError::Home(error.to_string()))?;
        let ending = CancellationToken::new();
        Ok((Self { writes, state, last_seq, history_end, trouble, ending }, Writer(thread)))
    }

    /// Writes records together; they are on disk when this returns.
    ///
    /// What was asked for is refused while the disk takes nothing: it was not done, and can be asked for again. What
    /// happened is tried again until it is written, or until [`Journal::end`].
    pub async fn append(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        if entries.iter().any(Entry::can_be_refused) {
            return self.try_append(entries).await;
        }
        loop {
            match self.try_append(entries.clone()).await {
                Err(JournalError::Log(_)) if !self.ending.is_cancelled() => {
                    self.ending.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
                }
                written => return written,
            }
        }
    }

    /// From now on nothing is tried again: the daemon ends.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Returns why nothing can be written, if that is so; it is tried.
    pub async fn trouble(&self) -> Option<String> {
        self.trouble.borrow().as_ref()?;
        // Writes nothing, but looks whether there is room again; what comes of it is told by the writer.
        let _ = self.try_append(Vec::new()).await;
        self.trouble.borrow().clone()
    }

    async fn try_append(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        self.ask(|done| Write::Entries(entries, done)).await
    }

    async fn ask(&self, what: impl FnOnce(Done) -> Write) -> Result<(), JournalError> {
        let (done, answer) = oneshot::channel();
        self.writes.send(what(done)).map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    /// Goes on as another journal, with all that counts of this one, unless it was begun for this credential.
    ///
    /// Whoever issued the credential cannot know what this home remembers: it may be an old copy, and give numbers again
    /// that the server has seen. Under another id they are new.
    pub async fn begin_for(&self, machine_token: &str) -> Result<(), JournalError> {
        let digest = hex(&Sha256::digest(machine_token.as_bytes()));
        if self.read(|state| state.begun_for == digest) {
            return Ok(());
        }
        self.ask(|done| Write::BeginFor(digest, done)).await
    }

    /// Looks at what the journal amounts to. Nothing slow belongs into `look`.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Returns the next reports the server does not have, at most `most`.
    pub fn unreported(&self, most: usize) -> Vec<Report> {
        self.read(|state| state.unreported.iter().take(most).cloned().collect())
    }

    /// Returns the number of the last report, as it grows.
    pub fn reports(&self) -> watch::Receiver<u64> {
        self.last_seq.clone()
    }

    /// Returns where its history ends, as it grows.
    pub fn history_end(&self) -> watch::Receiver<u64> {
        self.history_end.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic of a reader changes nothing, and the writer changes it only after the disk has it.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new id: the time, and chance. Those of journals sort in their order, whatever the clock says.
fn new_id_after(last: &str) -> String {
    let random = u128::from(getrandom::u64().unwrap_or_default());
    let new = Ulid::from_parts(crate::now().0.unsigned_abs(), random);
    let next = last.parse::<Ulid>().ok().and_then(|last| last.increment());
    next.map_or(new, |next| new.max(next)).to_string()
}

/// An entry as the file has it. Versions before the history neither wrote nor read more than the entry.
#[derive(Serialize, Deserialize)]
struct Record<E> {
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// Its number in the journal; what only begins a file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(flatten)]
    entry: E,
}

impl<E: Serialize> Record<E> {
    fn encode(&self) -> Result<Vec<u8>, JournalError> {
        serde_json::to_vec(self).map_err(|error| JournalError::Home(error.to_string()))
    }
}

fn begun(state: &State) -> Result<Vec<u8>, JournalError> {
    let entry = Entry::Begun { state: Box::new(state.clone()) };
    Record { at: Some(crate::now()), number: None, entry }.encode()
}

/// Reads a log: what it amounts to, and what a history up to `last` lacks.
fn replay(log: &Log, path: &Path, last: Option<&Place>) -> Result<(State, Vec<JournalEntry>), JournalError> {
    let mut state = State::default();
    let mut missing: Vec<JournalEntry> = Vec::new();
    for record in log.read_from(Position(0))? {
        let record: Record<Entry> = serde_json::from_slice(&record.payload)
            .map_err(|error| JournalError::Record { path: path.to_owned(), why: error.to_string() })?;
        if let Some(entry) = take(&mut state, &record.entry, record.at, record.number) {
            // A file system may give the end of a file twice after a crash.
            let last = missing.last().map(JournalEntry::place).or_else(|| last.cloned());
            let is_there = last.is_some_and(|last| last.journal == entry.journal && last.seq >= entry.seq);
            missing.extend((!is_there).then_some(entry));
        }
    }
    Ok((state, missing))
}

/// Takes an entry in, and returns what the history has of it.
fn take(state: &mut State, entry: &Entry, at: Option<Timestamp>, number: Option<u64>) -> Option<JournalEntry> {
    state.apply(entry);
    let event = event::event(entry)?;
    let seq = number.unwrap_or(state.entries + 1);
    state.entries = state.entries.max(seq);
    Some(JournalEntry { seq, journal: state.journal_id.clone(), at, event })
}

fn places(entries: &[Entry], when: &str) -> Vec<String> {
    entries.iter().map(|entry| format!("daemon {when} {}", entry.kind())).collect()
}

struct Writing {
    log: Log,
    path: PathBuf,
    state: Arc<Mutex<State>>,
    told: watch::Sender<u64>,
    troubled: watch::Sender<Option<String>>,
    /// How large the file was when it was begun.
    begun_at: u64,
    history: History,
    /// Whether the history could not be written, and lacks entries.
    is_behind: bool,
    /// Says where the history ends.
    grown: watch::Sender<u64>,
}

impl Writing {
    fn run(mut self, mut queue: mpsc::UnboundedReceiver<Write>) {
        while let Some(first) = queue.blocking_recv() {
            let (mut entries, mut waiting, mut begins) = (Vec::new(), Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(write) = next {
                match write {
                    Write::Entries(some, done) => {
                        entries.extend(some);
                        waiting.push(done);
                    }
                    Write::BeginFor(credential, done) => begins.push((credential, done)),
                }
                next = if waiting.len() < TOGETHER { queue.try_recv().ok() } else { None };
            }
            let (written, told) = match self.write(&mut entries) {
                Ok(told) => (Ok(()), told),
                Err(error) => (Err(error), Vec::new()),
            };
            self.tell(&written);
            for done in waiting {
                // Nobody waits any more when its task was dropped.
                let _ = done.send(written.clone());
            }
            chatroom_failpoint::hit(|| places(&entries, "before the history of"));
            self.follow(&told);
            for (credential, done) in begins {
                let _ = done.send(self.begin_for(credential));
            }
            if let Err(error) = self.begin_anew_if_full() {
                tracing::error!(%error, "the journal could not be begun anew; it grows on");
                self.begun_at = self.log.bytes();
            }
        }
    }

    /// Writes to the history what was just written to the journal; all that it lacks, where an earlier try failed.
    fn follow(&mut self, told: &[JournalEntry]) {
        let written = if self.is_behind { self.catch_up() } else { self.history.append(told).map_err(Into::into) };
        if let Err(error) = &written
            && !self.is_behind
        {
            tracing::error!(%error, "the history of the journal stays behind");
        }
        self.is_behind = written.is_err();
        let end = self.history.end();
        self.grown.send_if_modified(|grown| std::mem::replace(grown, end) != end);
    }

    fn catch_up(&mut self) -> Result<(), JournalError> {
        self.history.open_again()?;
        let (_, missing) = replay(&self.log, &self.path, self.history.last())?;
        Ok(self.history.append(&missing)?)
    }

    /// Tells that nothing can be written, once, and once that it is over.
    fn tell(&self, written: &Result<(), JournalError>) {
        match written {
            // A record that just fits into what is left does not mean that the next one will.
            Ok(()) if self.troubled.borrow().is_some() && self.has_room() => {
                self.troubled.send_replace(None);
                tracing::warn!("the journal can be written again");
            }
            Ok(()) => {}
            Err(error) => {
                let why = format!("{error}; commands are refused until there is space for it");
                if self.troubled.send_replace(Some(why.clone())).is_none() {
                    tracing::error!("{why}");
                }
            }
        }
    }

    /// Returns whether the disk takes more than a few records.
    fn has_room(&self) -> bool {
        let beside = self.path.with_extension("room");
        let written = std::fs::write(&beside, vec![1; ROOM]);
        remove(&beside).is_ok() && written.is_ok()
    }

    /// Writes to the journal; returns what the history has of it.
    fn write(&mut self, entries: &mut [Entry]) -> Result<Vec<JournalEntry>, JournalError> {
        let at = crate::now();
        let (seq, first) = {
            let state = lock(&self.state);
            (state.number(entries.iter_mut(), at), state.entries + 1)
        };
        let numbered = || (first..).map(Some).zip(&*entries);
        let records = numbered().map(|(number, entry)| Record { at: Some(at), number, entry }.encode());
        let records = records.collect::<Result<Vec<_>, JournalError>>()?;
        chatroom_failpoint::hit(|| places(entries, "before"));
        self.log.append_all(&records)?;
        chatroom_failpoint::hit(|| places(entries, "after"));
        let mut state = lock(&self.state);
        let mut told = Vec::with_capacity(records.len());
        for (number, entry) in numbered() {
            told.extend(take(&mut state, entry, Some(at), number));
        }
        drop(state);
        self.told.send_if_modified(|told| std::mem::replace(told, seq) != seq);
        Ok(told)
    }

    /// Begins a new file with what counts of the old, and puts it in its place.
    fn begin_anew_if_full(&mut self) -> Result<(), JournalError> {
        if self.log.bytes() < FULL.max(2 * self.begun_at) {
            return Ok(());
        }
        let state = lock(&self.state).clone();
        self.begin_anew(&state)
    }

    fn begin_for(&mut self, credential: String) -> Result<(), JournalError> {
        // Nobody else changes it.
        let mut state = lock(&self.state).clone();
        if state.begun_for != credential {
            state.journal_id = new_id_after(&state.journal_id);
            state.begun_for = credential;
            self.begin_anew(&state)?;
            *lock(&self.state) = state;
        }
        Ok(())
    }

    fn begin_anew(&mut self, state: &State) -> Result<(), JournalError> {
        // What is only in the old file must be in the history for good.
        if self.is_behind {
            self.catch_up()?;
            self.is_behind = false;
        }
        self.history.sync()?;
        let record = begun(state)?;
        let beside = self.path.with_extension("new");
        remove(&beside)?;
        let mut log = Log::open(&beside)?;
        log.append(&record)?;
        log.rename(&self.path)?;
        self.begun_at = log.bytes();
        self.log = log;
        Ok(())
    }
}

/// Removes what an earlier try may have left.
fn remove(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::Home(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
