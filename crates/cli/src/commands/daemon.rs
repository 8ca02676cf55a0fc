//! `chatroom machine daemon`: the background process that runs agents on this computer.

mod install;

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chatroom_daemon::control::{self, Started, Stopped};
use chatroom_daemon::home::Home;
use chatroom_daemon::logs::Rotating;
use chatroom_daemon::service::UNUSABLE;
use chatroom_daemon::status::{self, DaemonStatus};
use chatroom_daemon::{DaemonError, Exit, Options, Shutdown};
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::time::sleep;

use super::{DONE, Format};
use crate::client::Client;
use crate::logging::{self, Look};
use crate::shell::Shell;
use crate::signals::Signals;
use crate::{output, this_home};

/// How the program starts itself in the background.
const BACKGROUND: [&str; 5] = ["machine", "daemon", "start", "--foreground", "--background"];
/// How large the log becomes before it is put aside.
const LOG: u64 = 8 * 1024 * 1024;
/// How much of the log is shown.
const TAIL: u64 = 64 * 1024;
/// Exit code of `status` while nothing runs.
const NOT_RUNNING: u8 = 3;
/// Exit code of a daemon that a newer one of its machine replaced: whoever restarts it would only quarrel with that one.
const SUPERSEDED: u8 = 4;

/// The background process that runs agents on this computer.
#[derive(Debug, Subcommand)]
pub enum Daemon {
    /// Start it.
    Start(Start),
    /// Stop it, and the agents it runs.
    Stop(Format),
    /// Tell how it is.
    Status(Format),
    /// Print its log.
    Logs(Logs),
    /// Have it started by itself, as a service of yours (systemd, launchd).
    Install(Format),
    /// End and remove that service.
    Uninstall(Format),
}

/// How.
#[derive(Debug, Args)]
pub struct Start {
    /// Stay in the foreground, and log here.
    #[arg(long)]
    foreground: bool,
    /// Leave the terminal, and log to a file; how the program starts itself.
    #[arg(long, hide = true, requires = "foreground")]
    background: bool,
    /// Log to a file, and end well where another start would not help; how a service is started.
    #[arg(long, hide = true, requires = "foreground")]
    service: bool,
    #[command(flatten)]
    format: Format,
}

/// Whether to stay.
#[derive(Debug, Args)]
pub struct Logs {
    /// Stay, and print what comes.
    #[arg(short, long)]
    follow: bool,
}

/// Does something with the daemon.
pub async fn run(verb: Daemon, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Daemon::Start(verb) if verb.service => supervised(&verb, shell).await,
        Daemon::Start(verb) if verb.foreground => foreground(&verb, shell).await,
        Daemon::Start(verb) => start(verb.format, shell).await,
        Daemon::Stop(format) => stop(format, shell).await,
        Daemon::Status(format) => status(format, shell).await,
        Daemon::Logs(verb) => logs(&verb, shell).await,
        Daemon::Install(format) => install::install(format, shell).await,
        Daemon::Uninstall(format) => install::uninstall(format, shell),
    }
}

/// Runs it for a supervisor of services, which starts again what failed: what would fail again must not look like it.
async fn supervised(verb: &Start, shell: &Shell) -> Result<ExitCode> {
    if let Err(error) = ready(shell) {
        crate::failure::report(&error);
        return Ok(ExitCode::from(UNUSABLE));
    }
    match foreground(verb, shell).await {
        Err(error) if matches!(error.downcast_ref(), Some(DaemonError::AlreadyRunning { .. })) => {
            output::talk(format!("{error}; this service ends, and takes over at its next start."));
            Ok(DONE)
        }
        Err(error) if matches!(error.downcast_ref(), Some(DaemonError::Credential(_))) => {
            crate::failure::report(&error);
            Ok(ExitCode::from(UNUSABLE))
        }
        // A newer daemon has its place; started again, it would only quarrel with that one.
        Ok(ended) if ended == ExitCode::from(SUPERSEDED) => Ok(DONE),
        ended => ended,
    }
}

async fn foreground(verb: &Start, shell: &Shell) -> Result<ExitCode> {
    let home = ready(shell)?;
    let alone = verb.background || verb.service;
    if !alone {
        introduce(shell).await?;
    }
    if alone {
        control::leave_session();
        home.folder("logs")?;
        let log = Rotating::open(control::log_file(&home), LOG).context("the log cannot be written")?;
        logging::start(shell, Look::Pretty, "info", Mutex::new(log))?;
    } else {
        logging::start(shell, Look::Pretty, "info", std::io::stderr)?;
    }
    let shutdown = Shutdown::default();
    let mut signals = Signals::listen()?;
    let daemon = chatroom_daemon::run(Options::new(home, shutdown.clone()));
    tokio::pin!(daemon);
    tokio::select! {
        ended = &mut daemon => return ending(ended),
        signal = signals.next() => output::talk(format!("{signal}: ending the agents; once more ends at once.")),
    }
    shutdown.stop.cancel();
    tokio::select! {
        ended = &mut daemon => return ending(ended),
        signal = signals.next() => output::talk(format!("{signal} again: ending at once.")),
    }
    shutdown.force.cancel();
    ending(daemon.await)
}

/// Opens the home; what would keep a daemon from running is told here, not in a log.
fn ready(shell: &Shell) -> Result<Home> {
    if let Some(url) = shell.var("CHATROOM_URL") {
        this_home::refuse_other_server(shell, url)?;
    }
    this_home::machine_id(shell)?;
    this_home::open(shell)
}

/// Registers this machine where its person is signed in and it has no credential yet. A server that cannot be
/// reached right now is the daemon's to wait for.
async fn introduce(shell: &Shell) -> Result<()> {
    if this_home::auth(shell)?.is_none() {
        return Ok(());
    }
    let machine = this_home::identify(shell).await?;
    if machine.has_credential()? {
        return Ok(());
    }
    let client = Client::person(shell)?;
    this_home::refuse_other_server(shell, &client.url())?;
    let issued = match client.register(machine.id, &machine.registration()).await {
        Ok(_) => client.issue_credential(machine.id).await,
        Err(error) => Err(error),
    };
    match issued {
        Ok(issued) => {
            machine.save_credential(&client.url(), &issued.credential)?;
            machine.synced()
        }
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn start(format: Format, shell: &Shell) -> Result<ExitCode> {
    let home = ready(shell)?;
    introduce(shell).await?;
    let exe = std::env::current_exe().context("this program cannot find itself")?;
    let waiting = |what: &str| output::talk(format!("{what}; waiting for that."));
    let status = match control::spawn_detached(&exe, &home, &BACKGROUND, waiting).await? {
        Started::Up(status) | Started::Waiting(status) => status,
    };
    output::either(format.json, &view(&status, None), || {
        let pid = status.pid;
        match (server(&status), &status.last_error) {
            (Some(server), _) if status.connected => {
                format!("The daemon runs (process {pid}) and is connected to {server}.")
            }
            (_, Some(error)) => format!("The daemon runs (process {pid}), but waits: {error}"),
            _ => format!("The daemon runs (process {pid}), but waits for its server."),
        }
    })?;
    Ok(DONE)
}

async fn stop(format: Format, shell: &Shell) -> Result<ExitCode> {
    let stopped = control::stop(&this_home::open(shell)?).await?;
    output::either(format.json, &json!({ "stopped": stopped != Stopped::NoneRan }), || match stopped {
        Stopped::Ended { pid } => format!("The daemon (process {pid}) is stopped, and so are its agents."),
        Stopped::NoneRan => "No daemon was running.".to_owned(),
    })?;
    Ok(DONE)
}

async fn status(format: Format, shell: &Shell) -> Result<ExitCode> {
    let home = this_home::open(shell)?;
    let Some(status) = status::query(&home).await else {
        output::either(format.json, &json!({ "running": false, "version": chatroom_daemon::VERSION }), || {
            "not running; start it with `chatroom machine daemon start`".to_owned()
        })?;
        return Ok(ExitCode::from(NOT_RUNNING));
    };
    let person = this_home::auth(shell)?.map(|auth| auth.user_name);
    output::either(format.json, &view(&status, person.as_deref()), || text(&status, person.as_deref()))?;
    Ok(DONE)
}

/// Returns the address of its server, as people write it.
fn server(status: &DaemonStatus) -> Option<&str> {
    status.server_url.as_deref().map(|url| url.trim_end_matches('/'))
}

fn view(status: &DaemonStatus, person: Option<&str>) -> serde_json::Value {
    json!({
        "running": true,
        "pid": status.pid,
        "startedAt": status.started_at,
        "version": status.version,
        "epoch": status.epoch,
        "machineId": status.machine_id,
        "serverUrl": server(status),
        "connected": status.connected,
        "locked": status.locked,
        "signedInAs": person,
        "lastError": status.last_error,
        "agents": status.agents,
    })
}

fn text(status: &DaemonStatus, person: Option<&str>) -> String {
    let mut text = format!("running      process {}, since {:.0}\n", status.pid, status.started_at);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<13}{value}");
    };
    line(
        "connected",
        match (status.connected, status.locked) {
            (true, _) => "yes",
            (false, true) => "no: locked",
            (false, false) => "no",
        },
    );
    line("server", server(status).unwrap_or("none yet"));
    line("signed in", &person.map_or_else(|| "nobody".to_owned(), output::one_line));
    line("epoch", &status.epoch.to_string());
    let agents: Vec<_> = status
        .agents
        .iter()
        .map(|run| format!("{} in {} ({}, {})", run.role, run.chatroom_id, run.tool, run.activity.as_str()))
        .collect();
    line("agents", &if agents.is_empty() { "none".to_owned() } else { agents.join("; ") });
    line("last error", &status.last_error.as_deref().map_or_else(|| "none".to_owned(), output::one_line));
    line("version", &status.version);
    text
}

async fn logs(verb: &Logs, shell: &Shell) -> Result<ExitCode> {
    let path = control::log_file(&this_home::open(shell)?);
    let mut at = print_from(&path, None)?;
    if !verb.follow {
        return Ok(DONE);
    }
    let mut signals = Signals::listen()?;
    loop {
        tokio::select! {
            _ = signals.next() => return Ok(DONE),
            () = sleep(Duration::from_millis(500)) => at = print_from(&path, Some(at))?,
        }
    }
}

/// Prints what stands after `at`, or the end of the file; returns where that is.
fn print_from(path: &Path, at: Option<u64>) -> Result<u64> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && at.is_none() => {
            output::talk("No log yet: the daemon has not run in the background.");
            return Ok(0);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let length = file.metadata()?.len();
    // A shorter file is a new one: the log was rotated.
    let from = at.filter(|at| *at <= length).unwrap_or(if at.is_some() { 0 } else { length.saturating_sub(TAIL) });
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length - from).read_to_end(&mut bytes)?;
    // A line is printed once it is whole.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let start = if at.is_none() && from > 0 {
        bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    } else {
        0
    };
    if whole > start {
        output::data(&String::from_utf8_lossy(&bytes[start..whole]))?;
    }
    Ok(from + whole as u64)
}

/// Says how a daemon ended.
pub fn ending(ended: Result<Exit, DaemonError>) -> Result<ExitCode> {
    let exit = ended?;
    if exit == Exit::Superseded {
        output::talk(format!("Event: superseded: {}.", exit.reason()));
        return Ok(ExitCode::from(SUPERSEDED));
    }
    Ok(DONE)
}
