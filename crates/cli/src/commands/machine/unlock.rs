//! `chatroom machine unlock`: the owner's word that this computer is the right one.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::client::Client;
use crate::commands::DONE;
use crate::commands::agent::named_machine;
use crate::output;
use crate::shell::Shell;
use crate::this_home;

/// Which machine.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The machine's name or id, as a check; it must be this computer.
    machine: Option<String>,
}

/// Has a new credential issued and saves it here; a daemon that runs takes it up at once.
pub async fn run(verb: &Unlock, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let here = this_home::machine_id(shell)?;
    if let Some(name) = &verb.machine {
        let named = named_machine(&client.machines().await?, name)?;
        if here != Some(named) {
            bail!("a machine is unlocked on the computer itself: there, signed in, run `chatroom machine unlock`");
        }
    }
    if here.is_none() {
        bail!("this computer is no machine yet; `chatroom machine daemon start` makes it one");
    }
    this_home::refuse_other_server(shell, &client.url())?;
    let machine = this_home::identify(shell).await?;
    client.register(machine.id, &machine.registration()).await?;
    let issued = client.issue_credential(machine.id).await?;
    machine.save_credential(&client.url(), &issued.credential)?;
    machine.synced()?;
    let name = output::one_line(&issued.machine.alias);
    let next = match chatroom_daemon::status::query(&this_home::open(shell)?).await {
        Some(_) => "Its daemon connects again; agents that were ended can be started again.",
        None => "Start its daemon with `chatroom machine daemon start`.",
    };
    output::talk(format!("{name} has a new credential here; any other copy of this home stays refused. {next}"));
    Ok(DONE)
}
