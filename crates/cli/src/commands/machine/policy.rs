//! `chatroom machine policy`: what a machine permits, asked from anywhere. Only verbs on it change that.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::client::Client;
use crate::commands::agent::named_machine;
use crate::commands::{DONE, Format};
use crate::shell::Shell;
use crate::{output, this_home};

/// Which machine.
#[derive(Debug, Args)]
pub struct Policy {
    /// The machine's name or id; this computer when not given.
    machine: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Asks it.
pub async fn run(verb: &Policy, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let machine = match &verb.machine {
        Some(name) => named_machine(&client.machines().await?, name)?,
        None => this_home::machine_id(shell)?.context("this computer is no machine yet; name one")?,
    };
    let policy = client.policy(machine).await?;
    output::either(verb.format.json, &policy, || {
        let may = |allowed: bool| if allowed { "permitted" } else { "not permitted" };
        let mut text = String::from("Agents may work in:\n");
        for folder in &policy.allowed_directories {
            let _ = writeln!(text, "    {}", output::one_line(folder));
        }
        if policy.allowed_directories.is_empty() {
            text.push_str("    no folder yet; on it, run `chatroom machine allow DIR`\n");
        }
        for folder in &policy.trusted_directories {
            let _ = writeln!(text, "Trusted with its own settings: {}", output::one_line(folder));
        }
        let _ = writeln!(text, "Acting without asking is {}.", may(policy.allow_auto));
        let _ = writeln!(text, "Terminals are {}.", may(policy.allow_terminal));
        text
    })?;
    Ok(DONE)
}
