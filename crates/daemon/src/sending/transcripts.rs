//! Transcripts: what runs write, sent on.
//!
//! A supervisor writes the events of its run as lines of a file. On the server the same events are the messages of a
//! stream, stored one behind the other with one byte after each: so a position in the file is a position in the stream,
//! and the end the server names is where to go on.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::RunId;
use http::{HeaderMap, StatusCode};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

use super::{Batch, Ground, SendError, Sending, Source, batch};
use crate::home::Home;
use crate::journal::Journal;
use crate::link::LinkStatus;
use crate::platform::Platform;
use crate::runs::folders;
use crate::supervisor::EVENTS;

/// The file in a run's folder that says that its transcript has arrived whole.
const SENT: &str = "sent";

/// Whether the transcript of a run has arrived on the server whole.
pub fn is_sent(run_dir: &Path) -> bool {
    run_dir.join(SENT).exists()
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Transcripts(mpsc::UnboundedSender<News>);

#[derive(Debug)]
enum News {
    /// A run has written something, or is over.
    Grew(RunId),
    /// Nothing more will happen; this is told when all has arrived.
    Last(oneshot::Sender<()>),
}

impl Transcripts {
    /// Returns a handle, and the sender, which must be run.
    pub fn new(home: Home, journal: Journal, epoch: u64, platform: Platform) -> (Self, Sender) {
        let (told, news) = mpsc::unbounded_channel();
        let sender = Sender {
            ground: Ground::new(epoch, platform),
            home,
            journal,
            news,
            sending: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
        };
        (Self(told), sender)
    }

    /// Says that a run has written something, or is over.
    pub fn grew(&self, run: RunId) {
        // Without a sender the daemon ends, and the next one finds it.
        let _ = self.0.send(News::Grew(run));
    }

    /// Waits until all has arrived, `limit` at most. To be called when nothing more will happen.
    pub async fn finish(&self, limit: Duration) {
        let (done, all) = oneshot::channel();
        let _ = self.0.send(News::Last(done));
        if !matches!(timeout(limit, all).await, Ok(Ok(()))) {
            tracing::info!("the rest of what agents said is sent at the next start");
        }
    }
}

/// Sends the transcripts of all runs.
pub struct Sender {
    ground: Arc<Ground>,
    home: Home,
    journal: Journal,
    news: mpsc::UnboundedReceiver<News>,
    sending: HashMap<RunId, Arc<Notify>>,
    tasks: JoinSet<()>,
    by_task: HashMap<Id, RunId>,
}

impl Sender {
    /// Sends what there is and what comes, whenever the server can be reached, until nothing more will happen.
    pub async fn run(mut self, link: watch::Receiver<LinkStatus>) {
        for run in folders::all(&self.home) {
            self.look(run, &link);
        }
        let mut last = None;
        while last.is_none() || !self.tasks.is_empty() {
            tokio::select! {
                // In order: what a run wrote last was told before the last word.
                biased;
                news = self.news.recv() => match news {
                    Some(News::Grew(run)) => self.look(run, &link),
                    // A server that is away is not waited for.
                    Some(News::Last(done)) if !self.tasks.is_empty() && !link.borrow().connected => return drop(done),
                    Some(News::Last(done)) => last = Some(done),
                    None => return,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
            }
        }
        if let Some(done) = last {
            // Whoever asked may have lost patience.
            let _ = done.send(());
        }
    }

    fn look(&mut self, run: RunId, link: &watch::Receiver<LinkStatus>) {
        if let Some(grown) = self.sending.get(&run) {
            grown.notify_one();
            return;
        }
        if is_sent(&self.home.run_dir(run)) {
            return;
        }
        let grown = Arc::new(Notify::new());
        self.sending.insert(run, Arc::clone(&grown));
        let transcript = Transcript { home: self.home.clone(), journal: self.journal.clone(), run, grown };
        let sending = Sending::new(Arc::clone(&self.ground), transcript);
        let id = self.tasks.spawn(sending.stay(link.clone())).id();
        self.by_task.insert(id, run);
    }

    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if !error.is_cancelled() {
                    tracing::error!(%error, "sending a transcript ended badly; it is sent at the next start");
                }
                error.id()
            }
        };
        if let Some(run) = self.by_task.remove(&id) {
            self.sending.remove(&run);
        }
    }
}

/// The transcript of a run.
struct Transcript {
    home: Home,
    journal: Journal,
    run: RunId,
    grown: Arc<Notify>,
}

impl Transcript {
    fn file(&self) -> io::Result<Option<File>> {
        match File::open(self.home.run_dir(self.run).join(EVENTS)) {
            // It was never started.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_over() => Ok(None),
            file => file.map(Some),
        }
    }
}

impl Source for Transcript {
    fn name(&self) -> String {
        format!("the transcript of {}", self.run)
    }

    fn path(&self) -> String {
        format!("runs/{}/transcript", self.run)
    }

    fn producer(&self) -> String {
        self.run.to_string()
    }

    fn is_over(&self) -> bool {
        self.journal.read(|state| !state.runs.contains_key(&self.run))
    }

    fn resume(&self, said: &HeaderMap) -> Result<u64, SendError> {
        let offset = said.get("stream-next-offset").and_then(|offset| offset.to_str().ok());
        let position = offset.and_then(|offset| offset.rsplit('_').next()?.parse().ok());
        let detail = || "it did not say how far it is".to_owned();
        let position = position.ok_or_else(|| SendError::Refused { status: StatusCode::OK, detail: detail() })?;
        let is_end_of_a_line = match self.file()? {
            Some(file) => ends_a_line(&file, position)?,
            None => position == 0,
        };
        if is_end_of_a_line { Ok(position) } else { Err(SendError::Elsewhere) }
    }

    fn batch(&self, position: u64) -> Result<Batch, SendError> {
        match self.file()? {
            Some(file) => batch(&file, position),
            None => Ok(Batch { is_last: true, ..Batch::default() }),
        }
    }

    fn place(&self, position: u64, _: &Batch) -> String {
        format!("{position:020}")
    }

    fn arrived(&self, _: u64) {}

    async fn more(&self, _: u64) {
        self.grown.notified().await;
    }

    fn done(&self) {
        let path = self.home.run_dir(self.run).join(SENT);
        // Without it the next daemon asks the server once more.
        if let Err(error) = File::create(path) {
            tracing::warn!(run.id = %self.run, %error, "that a transcript has arrived could not be noted");
        }
    }
}

fn ends_a_line(file: &File, position: u64) -> io::Result<bool> {
    let Some(before) = position.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    Ok(file.read_at(&mut byte, before)? == 1 && byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_somewhere_between_two_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, b"{\"a\":1}\n{}\n{\"bro").unwrap();
        let file = File::open(path).unwrap();
        let ends: Vec<bool> = (0..=12).map(|at| ends_a_line(&file, at).unwrap()).collect();
        assert_eq!(ends.iter().filter(|ends| **ends).count(), 3, "{ends:?}");
        assert!(ends[0] && ends[8] && ends[11]);
    }
}
