//! `chatroom supervise RUN_DIR`: started by the daemon, never by people.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Which run.
#[derive(Debug, Args)]
pub struct Supervise {
    /// The folder of the run.
    run_dir: PathBuf,
}

/// Lives as long as the run.
pub async fn run(verb: Supervise) -> ExitCode {
    chatroom_daemon::supervisor::main(verb.run_dir).await
}
