//! The small process beside each run.
//!
//! A supervisor (`chatroom supervise RUN_DIR`, the same binary) owns the tool's
//! pipes, writes down what happens, and ends the whole tree of processes. It
//! lives as long as its run, whether or not a daemon is attached, so a daemon
//! may die and come back without the tool noticing.
//!
//! A newcomer would get wrong: it executes nothing before the daemon says `go`,
//! because only then its process is in the daemon's journal; and it holds the
//! run's secrets in memory only, so nothing it writes may contain one.

pub mod cast;
pub mod client;
pub mod conversation;
mod daemons;
mod exit;
pub mod lines;
pub mod log;
mod redact;
mod run;
mod saying;
mod socket;
pub mod spec;
mod terminal;
mod tool;
pub mod wire;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::api::terminal::TerminalSize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::harness::launch::{self, Launch};
use crate::process::ProcessId;
pub use chatroom_protocol::transcript as event;
use daemons::{Daemons, Request};
use log::EventLog;
pub use log::read_events;
pub(crate) use socket::EVENTS;
pub use spec::RunSpec;
use tool::Tool;
use wire::{Ask, Done, Refused};

/// The hidden verb that starts one.
pub const SUPERVISE: &str = "supervise";

/// How long a supervisor waits to be told what to run.
const GO_WITHIN: Duration = Duration::from_secs(15);
/// How long it stays so that an attached daemon reads the last events.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the supervisor of the run in `run_dir`; the whole process is its.
pub async fn main(run_dir: PathBuf) -> ExitCode {
    match supervise(&run_dir).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // This is `supervisor.log` of the run. If even that fails there is nobody to tell.
            let _ = writeln!(io::stderr(), "the supervisor of {} failed: {error}", run_dir.display());
            ExitCode::FAILURE
        }
    }
}

async fn supervise(run_dir: &Path) -> io::Result<()> {
    // Already its own leader when it was started by hand.
    let _ = nix::unistd::setsid();
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let own = ProcessId::own()?;
    let mut log = EventLog::create(run_dir)?;
    let mut listening = socket::listen(run_dir)?;
    let (mut daemons, mut requests) = Daemons::new(own, run_dir.to_owned(), log.watch());
    let started = tokio::select! {
        started = wait_for_go(&mut listening, &mut daemons, &mut requests) => started?,
        () = sleep(GO_WITHIN) => None,
        _ = terminate.recv() => None,
    };
    match started {
        // Whoever asked may be gone; the run is there all the same.
        Some((spec, Started::Managed(tool), answer)) => {
            let run = run::Run::new(own, &spec, tool, &mut log)?;
            let _ = answer.send(Ok(Done::Done));
            run.live(&mut listening, &mut daemons, &mut requests, &mut terminate).await;
        }
        Some((spec, Started::InTerminal(tool, launch), answer)) => {
            let run = terminal::TerminalRun::new(own, &spec, launch, tool, &mut log)?;
            let _ = answer.send(Ok(Done::Done));
            run.live(&mut listening, &mut daemons, &mut requests, &mut terminate).await;
        }
        None => leave_nothing(run_dir),
    }
    // Without the log there is no more to come, which lets each connection end.
    drop(log);
    drop(requests);
    let _ = timeout(FAREWELL, daemons.flush()).await;
    Ok(())
}

/// A tool that was started.
enum Started {
    /// With pipes, through which it is driven.
    Managed(Tool),
    /// In a terminal.
    InTerminal(terminal::Tool, Launch),
}

fn start(spec: &RunSpec) -> Result<Started, String> {
    let launch = launch::compose(spec).map_err(|error| error.to_string())?;
    let failed = |error: io::Error| {
        format!("cannot execute {} in {}: {error}", spec.program.display(), spec.working_dir.display())
    };
    match spec.form {
        RunForm::Managed => Tool::spawn(spec, &launch).map(Started::Managed).map_err(failed),
        RunForm::Terminal => {
            let tool = terminal::Tool::spawn(spec, &launch, TerminalSize::default()).map_err(failed)?;
            Ok(Started::InTerminal(tool, launch))
        }
    }
}

/// Returns the started tool; `None` when nothing is to be run.
async fn wait_for_go(
    listening: &mut socket::Listening,
    daemons: &mut Daemons,
    requests: &mut mpsc::Receiver<Request>,
) -> io::Result<Option<(RunSpec, Started, oneshot::Sender<Result<Done, Refused>>)>> {
    loop {
        let request = tokio::select! {
            connection = listening.listener.accept() => {
                daemons.add(connection?.0);
                continue;
            }
            request = requests.recv() => request,
        };
        match request {
            None | Some(Request::Gone) => return Ok(None),
            Some(Request::Viewer { .. }) => {}
            Some(Request::View { answer, .. }) => drop(answer.send(Err(Refused::NotStarted))),
            Some(Request::Ask { ask: Ask::Go { spec }, answer }) => match start(&spec) {
                Ok(tool) => return Ok(Some((*spec, tool, answer))),
                Err(reason) => {
                    let _ = answer.send(Err(Refused::CannotStart { reason }));
                    return Ok(None);
                }
            },
            Some(Request::Ask { ask: Ask::Stop { .. }, answer }) => {
                let _ = answer.send(Ok(Done::Done));
                return Ok(None);
            }
            Some(Request::Ask { answer, .. }) => {
                let _ = answer.send(Err(Refused::NotStarted));
            }
        }
    }
}

/// Nothing was run, so nothing is to be found.
fn leave_nothing(run_dir: &Path) {
    for file in [socket::EVENTS, socket::LOG, launch::SYSTEM_PROMPT] {
        let _ = std::fs::remove_file(run_dir.join(file));
    }
}
