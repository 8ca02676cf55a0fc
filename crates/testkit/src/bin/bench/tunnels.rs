//! Many machines in one process, each with a tunnel of its own over the real wire.
//!
//! They journal what they receive to one log, synced before they answer, and report the outcome after it, as a
//! daemon does; a lost tunnel is dialled again by the daemon's own rule. Their renewal counts are kept in memory: one
//! disk is no measure of ten thousand.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract;
use axum::routing::post;
use axum::{Json, Router};
use chatroom_daemon::backoff::Backoff;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::daemon::{CommandReceipt, Pong, PushCommand, Renewal};
use chatroom_protocol::api::reports::{Fact, Report, Reports};
use chatroom_protocol::{CommandId, PROTOCOL_VERSION, Timestamp};
use chatroom_streams::Log;
use chatroom_tunnel::{Conn, Dial, dial};
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use crate::seed::Machine;

/// A connection that lived this long was a good one; as in the daemon.
const GOOD: Duration = Duration::from_secs(5);
/// Connections begun at once when the process starts.
const AT_ONCE: usize = 64;

/// Which machines to be.
#[derive(Debug, Args)]
pub struct Machines {
    /// A file of machines, JSON
    #[arg(long)]
    file: PathBuf,
    /// The server
    #[arg(long)]
    url: String,
}

struct Process {
    url: String,
    journal: Mutex<Log>,
    seq: AtomicU64,
    http: reqwest::Client,
    starting: Semaphore,
}

#[derive(Clone)]
struct Computer {
    process: Arc<Process>,
    machine: Arc<Machine>,
    state: Arc<State>,
}

/// What a daemon remembers from one connection to the next.
#[derive(Default)]
struct State {
    renewal: AtomicU64,
    /// Whether the server said that it leaves.
    leaves: AtomicBool,
}

/// Is the machines until stdin closes.
pub async fn run(arguments: Machines) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&arguments.file)?;
    let machines: Vec<Machine> = serde_json::from_str(&text)?;
    let process = Arc::new(Process {
        url: arguments.url,
        journal: Mutex::new(Log::open(arguments.file.with_extension("journal"))?),
        // Grows over restarts as a journal's numbers do.
        seq: AtomicU64::new(u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_micros())?),
        http: reqwest::Client::builder().no_proxy().build()?,
        starting: Semaphore::new(AT_ONCE),
    });
    for machine in machines {
        let computer = Computer { process: process.clone(), machine: Arc::new(machine), state: Arc::default() };
        tokio::spawn(computer.live());
    }
    // Whoever started this process ends it by closing its stdin.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    std::process::exit(0)
}

impl Computer {
    async fn live(self) {
        let mut backoff = Backoff::default();
        let mut turn = self.process.starting.acquire().await.ok();
        loop {
            if let Ok(conn) = self.dial().await {
                turn.take();
                let began = Instant::now();
                // However it ended, it is dialled again.
                let _ = conn.serve(self.router(), std::future::pending()).await;
                if self.state.leaves.swap(false, Ordering::SeqCst) {
                    backoff.expect();
                } else {
                    backoff.stop_expecting();
                    if began.elapsed() >= GOOD {
                        backoff.reset();
                    }
                }
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn dial(&self) -> anyhow::Result<Conn> {
        let mut target = Dial::new(format!("{}/api/tunnel", self.process.url).parse()?);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", format!("Bearer {}", self.machine.credential.machine_token)),
            ("chatroom-machine", self.machine.id.to_string()),
            ("chatroom-epoch", "1".to_owned()),
            ("chatroom-protocol", PROTOCOL_VERSION.to_string()),
            ("chatroom-version", env!("CARGO_PKG_VERSION").to_owned()),
            ("chatroom-journal", "bench".to_owned()),
            ("chatroom-renewal", self.state.renewal.load(Ordering::SeqCst).to_string()),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        target.headers = headers;
        Ok(dial(&target).await?)
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/platform/ping", post(ping))
            .route("/platform/renewal", post(renew))
            .route("/platform/reconnect", post(leave))
            .route("/commands", post(receive))
            .with_state(self.clone())
    }

    fn journal(&self, command: CommandId) -> anyhow::Result<()> {
        let mut journal = self.process.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(format!("{command} {:>1$}", "received", 200).as_bytes())?;
        Ok(())
    }

    async fn report(&self, command_id: CommandId) -> anyhow::Result<()> {
        let facts = [
            Fact::CommandReceived { command_id },
            Fact::CommandFinished { command_id, status: CommandStatus::Completed, result: "pong".to_owned() },
        ];
        let report = |fact| Report { seq: self.process.seq.fetch_add(1, Ordering::SeqCst), at: Timestamp(0), fact };
        let body = Reports { epoch: 1, journal_id: "bench".to_owned(), reports: facts.map(report).into() };
        let url = format!("{}/api/machines/{}/reports", self.process.url, self.machine.id);
        let request = self.process.http.post(url).bearer_auth(&self.machine.credential.machine_token).json(&body);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

async fn ping() -> Json<Pong> {
    Json(Pong {
        protocol_version: PROTOCOL_VERSION,
        daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: 1,
        tools: Vec::new(),
        runs: Vec::new(),
    })
}

async fn renew(
    extract::State(computer): extract::State<Computer>,
    Json(Renewal { renewal }): Json<Renewal>,
) -> http::StatusCode {
    computer.state.renewal.store(renewal, Ordering::SeqCst);
    http::StatusCode::NO_CONTENT
}

async fn leave(extract::State(computer): extract::State<Computer>) -> http::StatusCode {
    computer.state.leaves.store(true, Ordering::SeqCst);
    http::StatusCode::NO_CONTENT
}

async fn receive(
    extract::State(computer): extract::State<Computer>,
    Json(push): Json<PushCommand>,
) -> Result<Json<CommandReceipt>, http::StatusCode> {
    let command = push.command_id;
    let writing = computer.clone();
    let written = tokio::task::spawn_blocking(move || writing.journal(command)).await;
    if !matches!(written, Ok(Ok(()))) {
        return Err(http::StatusCode::SERVICE_UNAVAILABLE);
    }
    tokio::spawn(async move { computer.report(command).await });
    Ok(Json(CommandReceipt { duplicate: false, outcome: None }))
}
