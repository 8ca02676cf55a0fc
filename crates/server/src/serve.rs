//! A server, from its start to its stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chatroom_store::{Store, StoreError};
use chatroom_streams::{OpenError, Stopped};
use chatroom_tunnel::Listener;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, Tls};
use crate::error::Error;
use crate::health::{self};
use crate::secrets::{self, KeyError};
use crate::transcripts::Transcripts;

/// How long requests in flight may go on once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The folder of the transcripts, in that of the data.
const TRANSCRIPTS: &str = "streams";
/// How long the server's own tasks may go on after that.
const TASKS: Duration = Duration::from_secs(5);

/// A server that runs.
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What its parts share.
    pub app: App,
    listener: JoinHandle<()>,
    closed: CancellationToken,
    transcripts: Transcripts,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder of its data cannot be made.
    #[error("the folder {path} cannot be used: {error}")]
    Folder {
        /// Where it is.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The transcripts.
    #[error("the transcripts in {path} cannot be used: {error}")]
    Transcripts {
        /// Where they are.
        path: String,
        /// Why not.
        error: OpenError,
    },
    /// The address is taken or not this computer's.
    #[error("cannot listen on {address}: {error}; choose another with --port or --listen")]
    Listen {
        /// What was tried.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The certificate or its key.
    #[error("cannot speak TLS with {path}: {why}")]
    Tls {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] Error),
}

/// Work that is done again and again.
pub struct Job {
    /// What the log calls it.
    pub name: &'static str,
    /// How often.
    pub every: Duration,
    /// One round of it.
    pub round: fn(App) -> Round,
}

/// One round of a job.
pub type Round = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Every job of the server: each noun that has some adds its own here.
fn jobs() -> Vec<Job> {
    vec![
        Job {
            name: "forget what has expired",
            every: Duration::from_mins(10),
            round: |app| Box::pin(crate::retention::sign_ins(app)),
        },
        Job {
            name: "forget files that no message came for",
            every: Duration::from_hours(1),
            round: |app| Box::pin(crate::retention::attachments(app)),
        },
        Job {
            name: "forget old history",
            every: Duration::from_hours(1),
            round: |app| Box::pin(crate::retention::history(app)),
        },
        Job {
            name: "forget the transcripts of runs that are forgotten",
            every: Duration::from_hours(1),
            round: |app| Box::pin(crate::transcripts::sweep(app)),
        },
        Job { name: "look at the database", every: health::EVERY, round: |app| Box::pin(health::look(app)) },
        Job {
            name: "renew the leases of machines",
            every: crate::machines::lease::PAUSE,
            round: |app| Box::pin(crate::machines::lease::round(app)),
        },
        Job {
            name: "count on the renewals of machines",
            every: crate::machines::renewal::EVERY,
            round: |app| Box::pin(crate::machines::renewal::renew(app)),
        },
        Job {
            name: "give back claims that were never started",
            every: Duration::from_secs(5),
            round: |app| Box::pin(crate::tasks::release_unstarted(app)),
        },
        Job {
            name: "end commands whose time is over",
            every: Duration::from_secs(1),
            round: |app| Box::pin(crate::commands::expiry::expire(app)),
        },
        Job {
            name: "start again what stopped by itself",
            every: Duration::from_millis(500),
            round: |app| Box::pin(crate::agents::restart::due(app)),
        },
    ]
}

impl Server {
    /// Opens the database, takes the address and begins to answer.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        crate::descriptors::raise();
        let folder = Folder::make(&config)?;
        let tls = config.tls.as_ref().map(tls_config).transpose()?;
        let keys = secrets::key_ring(&config)?;
        let store = open(&config).await?;
        let address = config.listen;
        let tcp = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        let addr = tcp.local_addr().map_err(|error| StartError::Listen { address, error })?;
        config.bound(addr);
        config.note_address();
        let (ending, ends) = watch::channel(false);
        let transcripts = open_transcripts(&config, ends).await?;
        let app = App::new(config, store, keys, Some(transcripts.clone()));
        app.tasks.spawn(let_go(app.clone(), ending));
        let router = crate::http::router(app.clone())?;
        app.tasks.spawn(crate::accounts::passwords::warm_up(app.clone()));
        for job in jobs() {
            app.tasks.spawn(repeat(app.clone(), job));
        }
        folder.keep();
        let closed = CancellationToken::new();
        let serving = Listener::new(tcp).tls(tls).drain(DRAIN).serve(router, closed.clone().cancelled_owned());
        let listener = tokio::spawn(serving);
        tracing::info!(address = %addr, url = %app.config.public_url, database = %app.config.database, "the server answers");
        Ok(Self { addr, app, listener, closed, transcripts })
    }

    /// Returns the secret the first account needs, if there is no account; an older one stops working.
    pub async fn sign_up_secret(&self) -> Result<Option<String>, Error> {
        let secret = crate::accounts::codes::sign_up_secret(&self.app).await?;
        Ok(secret.map(|secret| secret.expose().to_owned()))
    }

    /// Waits until the server cannot go on: what it was to keep could not be written, and what is on the disk is found
    /// out by starting it again.
    pub async fn failed(&self) -> Stopped {
        self.transcripts.stopped().await
    }

    /// Stops: waits end with "reconnect", requests in flight are finished, tunnels are closed.
    pub async fn stop(self) {
        self.app.stopping.cancel();
        self.closed.cancel();
        if let Err(error) = self.listener.await {
            tracing::error!(%error, "the listener ended badly");
        }
        // Among them each tunnel, which says goodbye and closes itself.
        self.app.tasks.close();
        if tokio::time::timeout(TASKS, self.app.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.app.tasks.len(), "left tasks behind that did not end");
        }
        let transcripts = self.transcripts;
        if let Err(error) = tokio::task::spawn_blocking(move || transcripts.end()).await {
            tracing::error!(%error, "the transcripts ended badly");
        }
        tracing::info!("the server has stopped");
    }
}

/// Opens the transcripts, which may mean reading back what was under way when the server was killed.
async fn open_transcripts(config: &Config, ending: watch::Receiver<bool>) -> Result<Transcripts, StartError> {
    let folder = config.data_dir.join(TRANSCRIPTS);
    let path = folder.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Transcripts::open(&folder, ending)).await;
    let opened = opened.map_err(|_| Error::Internal("opening the transcripts ended unexpectedly".into()))?;
    opened.map_err(|error| StartError::Transcripts { path, error })
}

/// Tells readers who wait for more that the server stops.
async fn let_go(app: App, ending: watch::Sender<bool>) {
    app.stopping.cancelled().await;
    ending.send_replace(true);
}

/// Does a job until the server stops. A round that fails is told and tried again with the next.
async fn repeat(app: App, job: Job) {
    let stopping = app.stopping.clone();
    let rounds = async {
        loop {
            tokio::time::sleep(job.every).await;
            if let Err(error) = (job.round)(app.clone()).await {
                // Trouble of the database is told once, by whoever meets it first.
                if let Some(trouble) = error.trouble() {
                    app.health.note(trouble, &app);
                    continue;
                }
                tracing::error!(%error, job = job.name, "a background job failed; it will be tried again");
            }
        }
    };
    let _: Option<()> = stopping.run_until_cancelled(rounds).await;
}

/// The folder of the data. What was made here goes again, unless it is kept.
pub(crate) struct Folder {
    made: Option<PathBuf>,
}

impl Folder {
    /// Makes the folder if it is not there.
    pub(crate) fn make(config: &Config) -> Result<Self, StartError> {
        let path = &config.data_dir;
        let new = !path.exists();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let failed = |error| StartError::Folder { path: path.display().to_string(), error };
        builder.create(path).map_err(failed)?;
        Ok(Self { made: new.then(|| path.clone()) })
    }

    /// Keeps it.
    pub(crate) fn keep(mut self) {
        self.made = None;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = self.made.take()
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a folder that was made in vain cannot be removed");
        }
    }
}

/// Opens the database; one that does not answer yet is waited for, which is told at once.
async fn open(config: &Config) -> Result<Store, StoreError> {
    let mut told = false;
    loop {
        match Store::open(&config.database).await {
            Err(StoreError::Unreachable { place, why }) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(
                        database = %place,
                        "the database does not answer ({why}); waiting for it. Check that it runs, and that DATABASE_URL \
                         or --database names its host, port and database; Ctrl+C ends this"
                    );
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            opened => return opened,
        }
    }
}

fn tls_config(tls: &Tls) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let bad = |path: &std::path::Path, why: String| StartError::Tls { path: path.display().to_string(), why };
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&tls.cert, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| bad(&tls.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&tls.cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map(Arc::new)
        .map_err(|error| bad(&tls.cert, error.to_string()))
}
