//! `chatroom streams`: durable streams for anyone who wants just that.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chatroom_streams::router::RouterOptions;
use chatroom_streams::{Engine, Options};
use clap::{Args, Subcommand};

use super::DONE;
use crate::logging::{self, Look};
use crate::output;
use crate::shell::Shell;
use crate::signals::Signals;

/// What can be done with streams alone.
#[derive(Debug, Subcommand)]
pub enum Streams {
    /// Serve the streams of a folder on this computer, without accounts: whoever reaches the port may do everything.
    Serve(Serve),
}

/// Which folder, and how.
#[derive(Debug, Args)]
pub struct Serve {
    /// The folder that keeps them; made if it is not there.
    dir: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 4437)]
    port: u16,
    /// How many seconds a long poll waits.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    long_poll: u64,
    /// How many MiB of each stream are kept at least; everything if omitted.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    keep: Option<u64>,
}

/// Serves until Ctrl+C or SIGTERM.
pub async fn serve(verb: Serve, shell: &Shell) -> Result<ExitCode> {
    logging::start(shell, Look::Pretty, "info", std::io::stderr)?;
    let mut signals = Signals::listen()?;
    let options = Options { retain_bytes: verb.keep.map(|mib| mib << 20), ..Options::alone() };
    let shown = verb.dir.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Engine::start(verb.dir, options)).await?;
    let engine = opened.with_context(|| format!("{shown} cannot be opened"))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", verb.port)).await;
    let listener =
        listener.with_context(|| format!("port {} cannot be used; choose another with --port", verb.port))?;
    let address = listener.local_addr()?;
    let options =
        RouterOptions { cors: true, long_poll: Duration::from_secs(verb.long_poll), ..RouterOptions::default() };
    output::data(&format!("Streams are at http://{address}{}/", options.prefix))?;
    let stop = async {
        let signal = signals.next().await;
        output::talk(format!("{signal}: finishing what is under way."));
    };
    chatroom_streams::serve(listener, engine, options, stop).await?;
    Ok(DONE)
}
