//! The history of the journal, sent on.
//!
//! The oldest of it goes after a while, here and there. So the server does not say how many bytes it has, but which
//! entry is its last, and what comes after that one is sent. A machine whose journal was lost goes on with the new one
//! behind the old.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::journal::{LAST, Place};
use chatroom_streams::Part;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Batch, Ground, SendError, Sending, Source, batch};
use crate::home::Home;
use crate::journal::{HISTORY, Journal, history};
use crate::link::LinkStatus;
use crate::platform::Platform;

/// How long entries gather: nobody waits for them.
const GATHER: Duration = Duration::from_millis(200);

/// Sends the history of a journal.
pub struct Sender {
    ground: Arc<Ground>,
    folder: PathBuf,
    journal: Journal,
    arrived: Arc<watch::Sender<u64>>,
}

/// What has arrived of it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Arrived(watch::Receiver<u64>);

impl Sender {
    /// Returns one, which must be run.
    pub fn new(home: &Home, journal: Journal, epoch: u64, platform: Platform) -> (Self, Arrived) {
        let (arrived, watched) = watch::channel(0);
        let (ground, folder) = (Ground::new(epoch, platform), home.join(HISTORY));
        (Self { ground, folder, journal, arrived: Arc::new(arrived) }, Arrived(watched))
    }

    /// Sends what there is and what comes, whenever the server can be reached. It ends when a newer daemon took over.
    pub async fn run(self, mut link: watch::Receiver<LinkStatus>) {
        loop {
            let history = History {
                folder: self.folder.clone(),
                journal: self.journal.clone(),
                end: self.journal.history_end(),
                arrived: Arc::clone(&self.arrived),
            };
            Sending::new(Arc::clone(&self.ground), history).stay(link.clone()).await;
            // A server of the version before takes none; the next one that is there may be newer.
            if link.wait_for(|link| !link.connected).await.is_err() {
                return;
            }
        }
    }
}

impl Arrived {
    /// Waits until all there is has arrived, `limit` at most. To be called when nothing more will happen.
    pub async fn finish(mut self, journal: &Journal, link: &watch::Receiver<LinkStatus>, limit: Duration) {
        let end = *journal.history_end().borrow();
        // A server that is away is not waited for.
        let limit = if link.borrow().connected { limit } else { Duration::ZERO };
        if !matches!(timeout(limit, self.0.wait_for(|arrived| *arrived >= end)).await, Ok(Ok(_))) {
            tracing::info!("the rest of the journal's history is sent at the next start");
        }
    }
}

struct History {
    folder: PathBuf,
    journal: Journal,
    end: watch::Receiver<u64>,
    arrived: Arc<watch::Sender<u64>>,
}

impl Source for History {
    fn name(&self) -> String {
        "the history of the journal".to_owned()
    }

    fn path(&self) -> String {
        "journal".to_owned()
    }

    fn producer(&self) -> String {
        self.journal.read(|state| state.journal_id.clone())
    }

    fn is_over(&self) -> bool {
        false
    }

    fn resume(&self, said: &HeaderMap) -> Result<u64, SendError> {
        let last = said.get(LAST).map(|last| last.to_str().ok().and_then(|last| last.parse::<Place>().ok()));
        let detail = || "it did not say what it has".to_owned();
        let last = last.map(|last| last.ok_or_else(|| SendError::Refused { status: StatusCode::OK, detail: detail() }));
        history::after(&self.folder, last.transpose()?.as_ref(), &self.producer())?.ok_or(SendError::Elsewhere)
    }

    fn batch(&self, position: u64) -> Result<Batch, SendError> {
        let parts = Part::all(&self.folder)?;
        let part = parts.iter().rfind(|part| part.begins_at <= position);
        let part = part.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        batch(&File::open(&part.path)?, position - part.begins_at)
    }

    fn place(&self, _: u64, batch: &Batch) -> String {
        let first = serde_json::Deserializer::from_slice(&batch.body[1..]).into_iter::<Place>().next();
        first.and_then(Result::ok).map(|place| place.to_string()).unwrap_or_default()
    }

    fn arrived(&self, position: u64) {
        self.arrived.send_replace(position);
        if let Err(error) = history::forget(&self.folder, position) {
            tracing::warn!(%error, "old entries of the journal's history could not be removed");
        }
    }

    async fn more(&self, arrived: u64) {
        let mut end = self.end.clone();
        if end.wait_for(|end| *end > arrived).await.is_err() {
            // The daemon ends.
            std::future::pending::<()>().await;
        }
        sleep(GATHER).await;
    }

    fn done(&self) {
        self.arrived.send_replace(u64::MAX);
    }
}
