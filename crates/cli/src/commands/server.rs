//! `chatroom server`: the control plane alone.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use chatroom_server::config::{Config, Flags, LogFormat, Purpose};
use chatroom_streams::Stopped;
use clap::Args;

use super::DONE;
use crate::logging::{self, Look};
use crate::output;
use crate::shell::Shell;
use crate::signals::Signals;

/// How the server runs. Each setting also has a variable and a place in a file.
#[derive(Debug, Args)]
pub struct Server {
    /// A file of settings, TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; 127.0.0.1 if omitted.
    #[arg(long, value_name = "IP[:PORT]")]
    listen: Option<String>,
    /// The port; 8787 if omitted.
    #[arg(long)]
    port: Option<u16>,
    /// The folder of what the server keeps.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A `postgres://…` or `sqlite://PATH`; SQLite in the data folder if omitted.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The address people use.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The certificate chain, PEM, where the server speaks TLS itself.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The proxies whose word about the caller counts: addresses or networks, with commas.
    #[arg(long, value_name = "LIST")]
    trusted_proxy: Option<String>,
    /// How log lines look: pretty or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Let anybody sign up.
    #[arg(long)]
    open_sign_up: bool,
    /// How many days the event feed reaches back.
    #[arg(long, value_name = "DAYS")]
    event_retention_days: Option<u32>,
    /// How many days runs that are over are remembered.
    #[arg(long, value_name = "DAYS")]
    run_retention_days: Option<u32>,
    /// Print every setting and where it comes from, and end.
    #[arg(long)]
    print_config: bool,
}

impl Server {
    fn flags(self) -> Flags {
        Flags {
            config: self.config,
            listen: self.listen,
            port: self.port,
            data_dir: self.data_dir,
            database: self.database,
            public_url: self.public_url,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            trusted_proxy: self.trusted_proxy,
            log_format: self.log_format,
            open_sign_up: self.open_sign_up.then_some(true),
            event_retention_days: self.event_retention_days,
            run_retention_days: self.run_retention_days,
            binary: std::env::current_exe().ok(),
        }
    }
}

/// Runs until Ctrl+C or SIGTERM.
pub async fn run(verb: Server, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("server")?;
    let print = verb.print_config;
    let config = Config::load(Purpose::Server, verb.flags(), shell.env())?;
    if print {
        output::data(&config.print())?;
        return Ok(DONE);
    }
    logging::start(shell, look(&config), "info", std::io::stderr)?;
    let mut signals = Signals::listen()?;
    let server = tokio::select! {
        started = chatroom_server::serve::Server::start(config) => started?,
        signal = signals.next() => anyhow::bail!("{signal} before the server ran"),
    };
    let url = server.app.config.public_url.to_string();
    output::data(&format!("The server runs at {url}"))?;
    if let Some(secret) = server.sign_up_secret().await? {
        output::data(&format!(
            "There is no account yet. Make the first one here; the link works once:\n\n    {}/sign-up?code={secret}\n",
            url.trim_end_matches('/')
        ))?;
    }
    let signal = tokio::select! {
        signal = signals.next() => signal,
        stopped = server.failed() => anyhow::bail!(failure(stopped)),
    };
    output::talk(format!("{signal}: finishing what is under way; once more ends at once."));
    tokio::select! {
        () = server.stop() => Ok(DONE),
        signal = signals.next() => anyhow::bail!("{signal} again: ended at once"),
    }
}

/// Says why a server ends by itself.
pub fn failure(stopped: Stopped) -> String {
    format!("transcripts could not be written ({stopped}): see to the disk of the data folder first")
}

/// Returns how log lines look.
pub fn look(config: &Config) -> Look {
    match config.log_format {
        LogFormat::Pretty => Look::Pretty,
        LogFormat::Json => Look::Json,
    }
}
