//! `chatroom context read`: for an agent that lost the thread.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{DONE, Format, InRole};
use crate::client::Client;
use crate::output;
use crate::shell::Shell;

/// Print role, rules, room and current task again.
#[derive(Debug, Subcommand)]
pub enum Context {
    /// Print role, rules, room and current task again.
    Read(Read),
}

/// Whose.
#[derive(Debug, Args)]
pub struct Read {
    #[command(flatten)]
    place: InRole,
    #[command(flatten)]
    format: Format,
}

/// Prints them.
pub async fn read(verb: Read, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let context = Client::caller(shell)?.context(room, &role).await?;
    output::either(verb.format.json, &context, || context.prompt.clone())?;
    Ok(DONE)
}
