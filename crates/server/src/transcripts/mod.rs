//! Transcripts: what every run said and did, as durable streams that any client of the protocol can follow. Beside them
//! the journals of machines: what each daemon wrote down.
//!
//! A machine writes the transcript of a run into a file of its own and sends it on. The messages of a stream are
//! stored one behind the other, each with one byte after it, as the lines of that file are: so a position here is the
//! same position there, and a machine that comes back finds out with one request where to go on.
//!
//! A newcomer would get wrong: nothing here is in the database. The rows say which runs and machines there are and whose
//! they are; a stream without a row is out of reach at once, and deleted within the hour.

pub mod index;
pub mod journal;
pub mod search;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use chatroom_protocol::{MachineId, RunId, UserId};
use chatroom_streams::router::{self, RouterOptions};
use chatroom_streams::{ContentType, Create, Engine, OpenError, Options, Reader, Refusal, Stopped};
use http::{HeaderMap, Method, Request, Uri};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use crate::app::App;
use crate::error::Error;

/// The largest batch a machine sends: one event of the largest size, as JSON escapes it, and some more.
pub const MAX_BATCH: usize = 4 * 1024 * 1024;
/// How large a segment of the log is: there are two at least, so a new server needs so much room.
const SEGMENT: u64 = 8 * 1024 * 1024;
/// How large a transcript may become. A machine stops its own before.
pub const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// How much of the journal of a machine is kept at least; the oldest goes first.
const JOURNAL_BYTES: u64 = 16 * 1024 * 1024;
/// How many transcripts may be searched or looked up in at once; each needs a thread for that long.
const AT_ONCE: usize = 4;
/// Below which path the router has the streams.
const PREFIX: &str = "/streams";
/// What the path of every transcript begins with.
const RUNS: &str = "runs/";
/// What that of every journal begins with.
const JOURNALS: &str = "journals/";
/// About how many rows the database is asked at once.
const SOME: usize = 500;

/// Whose stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Of {
    /// The transcript of a run.
    Run(RunId),
    /// The journal of a machine, for as long as it is this user's: whoever has it next does not read on.
    Journal {
        /// The user.
        user: UserId,
        /// Their machine.
        machine: MachineId,
    },
}

impl From<RunId> for Of {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}

impl Of {
    fn path(self) -> String {
        match self {
            Self::Run(run) => format!("{RUNS}{run}"),
            Self::Journal { user, machine } => format!("{JOURNALS}{user}/{machine}"),
        }
    }

    fn parse(path: &str) -> Option<Self> {
        if let Some(run) = path.strip_prefix(RUNS) {
            return run.parse().ok().map(Self::Run);
        }
        let (user, machine) = path.strip_prefix(JOURNALS)?.split_once('/')?;
        Some(Self::Journal { user: user.parse().ok()?, machine: machine.parse().ok()? })
    }
}

/// The transcripts of a server, and its journals; a clone is a handle to the same ones.
#[derive(Clone)]
pub struct Transcripts {
    engine: Engine,
    router: Router,
    looking: Arc<Semaphore>,
}

impl Transcripts {
    /// Opens those in a folder. Readers that wait are let go once `ending` is true.
    pub fn open(folder: &Path, ending: watch::Receiver<bool>) -> Result<Self, OpenError> {
        let retain_below = Some((JOURNALS.to_owned(), JOURNAL_BYTES));
        let options = Options { max_body: MAX_BATCH, segment_bytes: SEGMENT, retain_below, ..Options::default() };
        let engine = Engine::start(folder, options)?;
        let options = RouterOptions { prefix: PREFIX.into(), ending: Some(ending), ..RouterOptions::default() };
        let router = router::router(engine.clone(), options);
        Ok(Self { engine, router, looking: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Finishes what is under way and leaves the folder to the next server. It waits for the disk.
    pub fn end(&self) {
        self.engine.end();
    }

    /// Waits until they cannot be written any more.
    pub async fn stopped(&self) -> Stopped {
        self.engine.stopped().await
    }

    /// Passes a request on to a stream. Who may do what is decided before.
    pub async fn serve(
        &self,
        of: impl Into<Of>,
        method: Method,
        query: Option<&str>,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Error> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = Uri::try_from(format!("{PREFIX}/{}{query}", of.into().path()));
        let uri = uri.map_err(|_| Error::Invalid("the query cannot be read".into()))?;
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        match self.router.clone().oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    /// Makes a stream, if it is not there.
    pub async fn ensure(&self, of: impl Into<Of>) -> Result<Reader, Error> {
        let path = of.into().path();
        match self.engine.reader(&path) {
            Err(Refusal::NotFound) => {}
            found => return Ok(found?),
        }
        let create = Create { content_type: Some(ContentType::json()), ..Create::default() };
        match self.engine.create(&path, create).await {
            // Made and closed by somebody else meanwhile.
            Ok(_) | Err(Refusal::MadeOtherwise) => Ok(self.engine.reader(&path)?),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Deletes the stream of what is forgotten.
    pub async fn forget(&self, of: impl Into<Of>) -> Result<(), Error> {
        match self.engine.delete(&of.into().path()).await {
            Ok(()) | Err(Refusal::NotFound) => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Does something that reads files, where that holds up nobody.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Error> {
        let ended = |_| Error::Internal("a look into a transcript ended unexpectedly".into());
        let _place = self.looking.acquire().await.map_err(|_| Error::ShuttingDown)?;
        Ok(tokio::task::spawn_blocking(work).await.map_err(ended)??)
    }
}

/// Deletes the streams of what is forgotten: runs that are too old, or gone with their machine, and removed machines.
pub async fn sweep(app: App) -> Result<(), Error> {
    let transcripts = app.transcripts()?;
    let streams: Vec<Of> = transcripts.engine.paths().iter().filter_map(|path| Of::parse(path)).collect();
    for some in streams.chunks(SOME) {
        let known = known(&app, some).await?;
        for of in some.iter().filter(|of| !known.contains(of)) {
            transcripts.forget(*of).await?;
            tracing::info!(stream = of.path(), "forgot the stream of what is forgotten");
        }
    }
    Ok(())
}

/// Returns those of which there is a row.
async fn known(app: &App, some: &[Of]) -> Result<HashSet<Of>, Error> {
    let (mut runs, mut machines) = (Vec::new(), Vec::new());
    for of in some {
        match of {
            Of::Run(run) => runs.push(*run),
            Of::Journal { machine, .. } => machines.push(*machine),
        }
    }
    let runs = chatroom_store::runs::known(&app.reader(), &runs).await?;
    let machines = chatroom_store::machines::among(&app.reader(), &machines).await?;
    let journals = machines.into_iter().map(|machine| Of::Journal { user: machine.user, machine: machine.id });
    Ok(runs.into_iter().map(Of::Run).chain(journals).collect())
}
