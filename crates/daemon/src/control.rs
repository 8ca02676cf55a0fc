//! Starting and stopping the daemon from outside.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::home::{Home, HomeError};
use crate::lock;
use crate::process::tree;
use crate::status::{self, DaemonStatus, PidFile};

/// How long `start` waits for the tunnel.
const START: Duration = Duration::from_secs(10);
/// How long `stop` waits: agents are given time to end, and their end is reported.
const STOP: Duration = Duration::from_secs(75);
/// How long `start` waits for a daemon that is ending, and for a sign of life of one that begins.
const LOCK: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(50);

/// Why the daemon could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// One runs already.
    #[error("the daemon runs already (pid {pid}); `chatroom machine daemon stop` ends it")]
    AlreadyRunning {
        /// Its process id.
        pid: u32,
    },
    /// The one before it does not end.
    #[error(
        "the daemon before has not ended within {} s; `chatroom machine daemon stop` waits for it, \
         `chatroom machine daemon logs` tells what it does", .0.as_secs()
    )]
    NotEnding(Duration),
    /// It could not be executed.
    #[error("the daemon cannot be started: {0}")]
    Spawn(#[source] io::Error),
    /// It ended at once.
    #[error("the daemon ended at once ({status}): {log}\nthe rest is in {}", .file.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
        /// The log.
        file: PathBuf,
    },
    /// It did not end.
    #[error("the daemon (pid {pid}) has not ended within {} s", .waited.as_secs())]
    StillRunning {
        /// Its process id.
        pid: u32,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// How a start went.
#[derive(Debug)]
pub enum Started {
    /// The tunnel is up.
    Up(DaemonStatus),
    /// It runs, and still waits for something, which `last_error` tells.
    Waiting(DaemonStatus),
}

/// How a stop went.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ran and has ended.
    Ended {
        /// What its process id was.
        pid: u32,
    },
    /// None ran.
    NoneRan,
}

/// Starts `exe ARGS` as the daemon of this home, in the background, and waits until its tunnel is up, or ten seconds.
///
/// One that is just ending is waited for, after `waiting` was told so.
///
/// `args` must run the daemon in the foreground and call [`leave_session`] first. Its stdout and stderr go to [`log_file`].
pub async fn spawn_detached(
    exe: &Path,
    home: &Home,
    args: &[&str],
    waiting: impl FnOnce(&str),
) -> Result<Started, ControlError> {
    wait_for_the_one_before(home, waiting).await?;
    home.folder("logs")?;
    let file = log_file(home);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&file);
    let child = log.and_then(|log| {
        let errors = log.try_clone()?;
        Command::new(exe)
            .args(args)
            .env("CHATROOM_HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
    });
    let child = child.map_err(ControlError::Spawn)?;
    wait_until_up(child, home, file).await
}

/// Waits for a daemon that is ending. One that is not is an error.
async fn wait_for_the_one_before(home: &Home, waiting: impl FnOnce(&str)) -> Result<(), ControlError> {
    let until = Instant::now() + LOCK;
    let mut waiting = Some(waiting);
    while lock::is_taken(home)? {
        let running = PidFile::load(home);
        if let Some(running) = running.filter(|running| !running.ending) {
            return Err(ControlError::AlreadyRunning { pid: running.pid });
        }
        if Instant::now() >= until {
            return Err(ControlError::NotEnding(LOCK));
        }
        if let Some(waiting) = waiting.take() {
            waiting("a daemon of this home is just ending");
        }
        sleep(LOOK).await;
    }
    Ok(())
}

async fn wait_until_up(mut child: Child, home: &Home, file: PathBuf) -> Result<Started, ControlError> {
    let until = Instant::now() + START;
    let mut last = None;
    loop {
        if let Some(status) = child.try_wait().map_err(ControlError::Spawn)? {
            // Another start was faster.
            if let Some(running) = PidFile::load(home) {
                return Err(ControlError::AlreadyRunning { pid: running.pid });
            }
            let log = end_of(&file);
            return Err(ControlError::Ended { status, log, file });
        }
        if PidFile::load(home).is_some_and(|file| file.pid == child.id()) {
            match status::query(home).await {
                Some(status) if status.connected => return Ok(Started::Up(status)),
                other => last = other.or(last),
            }
        }
        if Instant::now() >= until
            && let Some(status) = last
        {
            return Ok(Started::Waiting(status));
        }
        if Instant::now() >= until + LOCK {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "it gives no sign of life");
            return Err(ControlError::Spawn(silent));
        }
        sleep(LOOK).await;
    }
}

/// Ends the daemon of this home and waits until it is gone. None running is fine.
pub async fn stop(home: &Home) -> Result<Stopped, ControlError> {
    // The lock decides: a daemon that has just begun has it before it has told its process id.
    let begun = Instant::now();
    let running = loop {
        if let Some(running) = PidFile::load(home) {
            break running;
        }
        if !lock::is_taken(home)? {
            return Ok(Stopped::NoneRan);
        }
        if begun.elapsed() >= LOCK {
            return Err(ControlError::NotEnding(LOCK));
        }
        sleep(LOOK).await;
    };
    let process = running.process();
    tree::signal(process, Signal::SIGTERM);
    let until = Instant::now() + STOP;
    while process.is_alive() {
        if Instant::now() >= until {
            return Err(ControlError::StillRunning { pid: running.pid, waited: STOP });
        }
        sleep(LOOK).await;
    }
    Ok(Stopped::Ended { pid: running.pid })
}

/// Leaves the terminal's session, so that closing the terminal does not end this process.
pub fn leave_session() {
    // A process that leads its group already has one of its own.
    let _ = nix::unistd::setsid();
}

/// Returns where a daemon in the background writes its log.
pub fn log_file(home: &Home) -> PathBuf {
    home.join("logs/daemon.log")
}

fn end_of(file: &Path) -> String {
    let log = std::fs::read(file).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.trim_end().lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
