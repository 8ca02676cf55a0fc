//! `chatroom machine rotate`: a new credential for a connected machine, without an interruption.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::client::Client;
use crate::commands::DONE;
use crate::commands::agent::named_machine;
use crate::output;
use crate::shell::Shell;
use crate::this_home;

/// Which machine.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The machine's name or id; this computer when not given.
    machine: Option<String>,
}

/// Replaces both halves of the credential.
pub async fn run(verb: &Rotate, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let machine = match &verb.machine {
        Some(name) => named_machine(&client.machines().await?, name)?,
        None => this_home::machine_id(shell)?.context("this computer is no machine yet; name one")?,
    };
    client.rotate_credential(machine).await?;
    output::talk(format!("{machine} has a new credential, and uses it. The one before it no longer works."));
    Ok(DONE)
}
