//! `chatroom room export`: a room as a document to keep.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::client::Client;
use crate::commands::{DONE, InRoom};
use crate::output;
use crate::shell::Shell;

/// Which room, and how.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    place: InRoom,
    /// For people or for programs.
    #[arg(long = "format", default_value = "markdown")]
    kind: Kind,
    /// Where to save it; printed if omitted.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How it is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Markdown,
    Json,
}

/// Saves or prints it.
pub async fn run(verb: &Export, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("room export")?;
    let client = Client::person(shell)?;
    let format = match verb.kind {
        Kind::Markdown => "markdown",
        Kind::Json => "json",
    };
    let mut export = client.export(verb.place.room()?, format).await?;
    let Some(path) = &verb.output else {
        let mut whole = Vec::new();
        while let Some(piece) = client.piece(&mut export).await? {
            whole.extend(piece);
        }
        let text = String::from_utf8_lossy(&whole);
        match verb.kind {
            Kind::Markdown => output::data(&text)?,
            Kind::Json => output::data(&output::printable_json(&text))?,
        }
        return Ok(DONE);
    };
    let failed = || format!("{} cannot be written", path.display());
    let mut file = File::create(path).with_context(failed)?;
    while let Some(piece) = client.piece(&mut export).await? {
        file.write_all(&piece).with_context(failed)?;
    }
    output::talk(format!("{} has it.", path.display()));
    Ok(DONE)
}
