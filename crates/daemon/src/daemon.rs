//! The daemon of a home, from its lock to its last report.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::api::daemon::Slot;
use chatroom_protocol::api::machines::ToolFacts;
use chatroom_protocol::api::reports::Fact;
use chatroom_tunnel::{Listener, Proxies};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::commands::Commands;
use crate::credentials::{CredentialError, Credentials};
use crate::detect::{Fingerprint, detect};
use crate::env::{Ambient, SearchPath};
use crate::epoch;
use crate::home::{Home, HomeError};
use crate::journal::{Entry, Journal, JournalError};
use crate::link::{Link, LinkStatus};
use crate::local_api::{self, Api, local_router, router};
use crate::lock;
use crate::orders::Orders;
use crate::platform::Platform;
use crate::reporter::Reporter;
use crate::runs::{Ground, Runs};
use crate::sending::journal;
use crate::sending::transcripts::Transcripts;
use crate::status::{PidFile, Told};
use crate::trust::Trust;

/// How often the tools are looked for.
const TOOLS: Duration = Duration::from_mins(10);
/// How long the last reports may take.
const LAST_REPORTS: Duration = Duration::from_secs(5);
/// How long the journal may take to be closed.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// How long requests in flight on the local port may take at the end.
const DRAIN: Duration = Duration::from_secs(1);

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Another daemon of this home runs.
    #[error("{}", already_running(*.pid))]
    AlreadyRunning {
        /// Its process id, if it told one.
        pid: Option<u32>,
    },
    /// The credential cannot be used, or the home belongs to another server.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system said no.
    #[error("the daemon cannot run: {0}")]
    Io(#[from] io::Error),
    /// The HTTP client cannot be made.
    #[error("the daemon cannot speak HTTPS: {0}")]
    Http(#[from] reqwest::Error),
}

fn already_running(pid: Option<u32>) -> String {
    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    format!("a daemon of this home runs already{pid}; `chatroom machine daemon stop` ends it")
}

/// Why a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to.
    Stopped,
    /// A newer daemon of the same machine took over; its own runs are ended.
    Superseded,
}

impl Exit {
    /// Returns it in words, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stopped => "the daemon was stopped; its agents are ended",
            Self::Superseded => {
                "a newer daemon of this machine took over, so this one ended its agents and stopped; \
                 if that was not you, another computer has a copy of this home"
            }
        }
    }
}

/// How a daemon is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The home.
    pub home: Home,
    /// The server it must belong to; whatever the home says, when none is given.
    pub server_url: Option<Url>,
    /// How long to wait for a daemon that is just ending.
    pub patience: Duration,
    /// The program of supervisors (`EXE supervise RUN_DIR`) and of the verbs inside runs; this process's own when none is given.
    pub exe: Option<PathBuf>,
    /// The variables it works with; this process's own when none are given.
    pub ambient: Option<Ambient>,
    /// How to check the server's certificate; by what this computer trusts when not given.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Ends it.
    pub shutdown: Shutdown,
}

impl Options {
    /// Returns those of an ordinary daemon of `home`.
    pub fn new(home: Home, shutdown: Shutdown) -> Self {
        Self {
            home,
            server_url: None,
            patience: Duration::from_secs(15),
            exe: None,
            ambient: None,
            tls: None,
            shutdown,
        }
    }
}

/// Ends a daemon: first gently, then at once.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Ends its agents, tells their end, and leaves.
    pub stop: CancellationToken,
    /// Leaves now. What it leaves behind is settled by the next daemon.
    pub force: CancellationToken,
}

impl Shutdown {
    /// Returns one that listens to SIGTERM and SIGINT; the second forces.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::default();
        let Self { stop, force } = shutdown.clone();
        tokio::spawn(async move {
            for token in [stop, force] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(shutdown)
    }
}

/// Runs the daemon of a home until it is stopped or superseded.
pub async fn run(options: Options) -> Result<Exit, DaemonError> {
    let force = options.shutdown.force.clone();
    tokio::select! {
        exit = live(options) => exit,
        () = force.cancelled() => Ok(Exit::Stopped),
    }
}

async fn live(options: Options) -> Result<Exit, DaemonError> {
    let Options { home, server_url, patience, exe, ambient, tls, shutdown } = options;
    let lock = lock::take(&home, patience).await?;
    let _lock =
        lock.ok_or_else(|| DaemonError::AlreadyRunning { pid: PidFile::load(&home).map(|running| running.pid) })?;
    // At once, so that whoever finds the lock taken soon finds by whom.
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await?;
    let started_at = jiff::Timestamp::now();
    let port = tcp.local_addr()?.port();
    let told = Told::write(&home, port, started_at)?;
    if let Some(server) = &server_url {
        Credentials::load_for(&home, server)?;
    }
    let exe = exe.map_or_else(std::env::current_exe, Ok)?;
    let ambient = ambient.unwrap_or_else(Ambient::of_process);
    let epoch = epoch::next(&home)?;
    let (journal, writer) = Journal::open(&home)?;
    let proxies = Arc::new(Proxies::read(|name| ambient.get(name).map(ToOwned::to_owned)));
    let platform = Platform::new(home.clone(), tls.as_deref(), Arc::clone(&proxies))?;
    let reporter = Reporter::new(journal.clone(), epoch, platform.clone());
    let (transcripts, sender) = Transcripts::new(home.clone(), journal.clone(), epoch, platform.clone());
    let (history, arrived) = journal::Sender::new(&home, journal.clone(), epoch, platform.clone());

    let ground = Ground { home: home.clone(), exe, ambient: ambient.clone(), transcripts: transcripts.clone() };
    let (runs, mut runs_owner) = Runs::new(ground, journal.clone(), platform);
    runs_owner.recover().await?;
    let (commands, mut commands_owner) = Commands::new(journal.clone(), runs.clone());
    commands_owner.recover().await?;

    let (link_status, link_watch) = watch::channel(LinkStatus::default());
    let (tools, tools_watch) = watch::channel(Vec::new());
    let (orders, ordered) = Orders::new();
    let trust = Trust::of(&home)?;
    let api = Api {
        home: home.clone(),
        journal: journal.clone(),
        runs: runs.clone(),
        streams: local_api::Streams::of(home.clone(), journal.clone()),
        commands,
        link: link_watch.clone(),
        orders,
        tools: tools_watch,
        trust: trust.clone(),
        epoch,
        started_at,
    };
    tracing::info!(epoch, port, "daemon started");

    // The connection goes last: agents end and their end is told while it is up.
    let closing = CancellationToken::new();
    let _close = closing.clone().drop_guard();
    let link = Link {
        home: home.clone(),
        journal: journal.clone(),
        epoch,
        router: router(api.clone()),
        trust: trust.clone(),
        status: link_status,
        tls,
        proxies,
    };
    let mut background = JoinSet::new();
    let local = Listener::new(tcp).drain(DRAIN).serve(local_router(api), closing.clone().cancelled_owned());
    background.spawn(local);
    background.spawn(runs_owner.run());
    background.spawn(commands_owner.run());
    let mut until_closing = |work| spawn_until(&closing, &mut background, work);
    until_closing(sender.run(link_watch.clone()).boxed());
    until_closing(history.run(link_watch.clone()).boxed());
    until_closing(look_for_tools(home.clone(), ambient, journal.clone(), tools).boxed());
    until_closing(obey(link_watch.clone(), journal.clone(), runs.clone()).boxed());
    let mut linking = Box::pin(link.run(ordered, closing.clone()));
    let mut reporting = Box::pin(reporter.clone().run(link_watch.clone(), trust));

    let mut is_linked = true;
    let exit = tokio::select! {
        () = shutdown.stop.cancelled() => Exit::Stopped,
        _ = linking.as_mut() => {
            is_linked = false;
            Exit::Superseded
        }
        () = reporting.as_mut() => Exit::Superseded,
    };
    drop(reporting);
    told.ending();
    journal.end();
    tracing::info!("{}", exit.reason());
    let ending = async {
        runs.stop_all().await;
        if exit == Exit::Stopped {
            tokio::join!(reporter.deliver_last(LAST_REPORTS), transcripts.finish(LAST_REPORTS));
            arrived.finish(&journal, &link_watch, LAST_REPORTS).await;
        }
    };
    is_linked = beside(linking.as_mut(), is_linked, ending).await;
    closing.cancel();
    if is_linked {
        linking.await;
    }
    drop(runs);
    while background.join_next().await.is_some() {}
    // The next daemon of this home, in this process too, finds the journal free.
    drop((reporter, journal));
    let _ = timeout(LAST_WRITES, spawn_blocking(|| writer.join())).await;
    Ok(exit)
}

/// Does something in the background until the daemon is about to close.
fn spawn_until(closing: &CancellationToken, background: &mut JoinSet<()>, work: BoxFuture<'static, ()>) {
    let work = closing.clone().run_until_cancelled_owned(work);
    background.spawn(async { work.await.unwrap_or_default() });
}

/// Does something while the connection goes on; returns whether that is still up.
async fn beside(mut linking: Pin<&mut impl Future<Output = bool>>, mut is_linked: bool, work: impl Future) -> bool {
    tokio::pin!(work);
    loop {
        tokio::select! {
            _ = work.as_mut() => return is_linked,
            _ = linking.as_mut(), if is_linked => is_linked = false,
        }
    }
}

/// Ends every agent of a machine its server does not let in any more: nobody could steer them.
async fn obey(mut link: watch::Receiver<LinkStatus>, journal: Journal, runs: Runs) {
    while link.wait_for(|link| link.verdict.is_some()).await.is_ok() {
        let live = journal.read(crate::journal::State::live_runs);
        if !live.is_empty() {
            tracing::warn!(
                agents = live.len(),
                "the server does not let this machine in any more: its agents are ended"
            );
        }
        let slots = live.into_iter().map(|run| Slot { chatroom_id: run.chatroom_id, role: run.role });
        join_all(slots.map(|slot| runs.stop(slot, None))).await;
        if link.changed().await.is_err() {
            return;
        }
    }
}

/// Looks for the tools now and then. What did not change on disk is not executed again.
async fn look_for_tools(home: Home, ambient: Ambient, journal: Journal, tools: watch::Sender<Vec<ToolFacts>>) {
    let mut ticks = interval(TOOLS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        ticks.tick().await;
        let path = SearchPath::from(&ambient.clone().with_file(&home).unwrap_or_else(|_| ambient.clone()));
        let present = Fingerprint::take(&path);
        if last.as_ref() == Some(&present) {
            continue;
        }
        let found = detect(&path).await;
        let is_new = tools.send_if_modified(|known| {
            let is_new = *known != found;
            known.clone_from(&found);
            is_new
        });
        if is_new {
            let fact = Fact::ToolsDetected { tools: found };
            if let Err(error) = journal.append(vec![Entry::Fact { fact }]).await {
                tracing::warn!(%error, "the tools found could not be written down");
            }
        }
        last = Some(present);
    }
}
