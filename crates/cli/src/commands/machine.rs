//! `chatroom machine`: your computers, and what this one permits.

mod allow;
mod join;
mod journal;
mod policy;
mod rotate;
mod runs;
mod unlock;

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::machines::{RenameMachine, ToolFacts, ToolPresence};
use clap::{Args, Subcommand};
use serde_json::json;

use super::agent::named_machine;
use super::daemon::{self, Daemon};
use super::{DONE, Format};
use crate::client::{self, Client};
use crate::shell::Shell;
use crate::{output, this_home, times};

/// Your computers, and what this one permits.
#[derive(Debug, Subcommand)]
pub enum Machine {
    /// List your machines.
    List(Format),
    /// Give a machine another name.
    Rename(Rename),
    /// Remove a machine: its credential dies, its agents stop.
    Remove(Remove),
    /// Replace a machine's credential, without an interruption.
    Rotate(rotate::Rotate),
    /// Let this computer back in after its machine was locked or refused; every copy of its home stays out.
    Unlock(unlock::Unlock),
    /// Show or change what this machine permits.
    Allow(allow::Allow),
    /// List what runs on a machine of yours, in whatever room.
    Runs(runs::Runs),
    /// Show what the daemon of a machine wrote down: commands, runs and prompts, also while it is away.
    Journal(journal::Journal),
    /// Show what a connected machine permits.
    Policy(policy::Policy),
    /// Print the line by which another computer joins.
    Add(Format),
    /// Join this computer with a code of `machine add`.
    Join(join::Join),
    /// The background process that runs agents on this computer.
    #[command(subcommand)]
    Daemon(Daemon),
}

/// Which machine, and its new name.
#[derive(Debug, Args)]
pub struct Rename {
    /// The machine's name or id.
    machine: String,
    /// Its new name.
    name: String,
    #[command(flatten)]
    format: Format,
}

/// Which machine.
#[derive(Debug, Args)]
pub struct Remove {
    /// The machine's name or id.
    machine: String,
}

/// Does something with machines.
pub async fn run(verb: Machine, shell: &Shell) -> Result<ExitCode> {
    let name = match &verb {
        Machine::List(_) => "machine list",
        Machine::Rename(_) => "machine rename",
        Machine::Remove(_) => "machine remove",
        Machine::Rotate(_) => "machine rotate",
        Machine::Unlock(_) => "machine unlock",
        Machine::Allow(_) => "machine allow",
        Machine::Runs(_) => "machine runs",
        Machine::Journal(_) => "machine journal",
        Machine::Policy(_) => "machine policy",
        Machine::Add(_) => "machine add",
        Machine::Join(_) => "machine join",
        Machine::Daemon(_) => "machine daemon",
    };
    shell.owner_only(name)?;
    match verb {
        Machine::List(format) => list(format, shell).await,
        Machine::Rename(verb) => rename(verb, shell).await,
        Machine::Remove(verb) => remove(&verb, shell).await,
        Machine::Rotate(verb) => rotate::run(&verb, shell).await,
        Machine::Unlock(verb) => unlock::run(&verb, shell).await,
        Machine::Allow(verb) => allow::run(&verb, shell),
        Machine::Runs(verb) => runs::run(&verb, shell).await,
        Machine::Journal(verb) => journal::run(&verb, shell).await,
        Machine::Policy(verb) => policy::run(&verb, shell).await,
        Machine::Add(format) => add(format, shell).await,
        Machine::Join(verb) => join::run(&verb, shell).await,
        Machine::Daemon(verb) => daemon::run(verb, shell).await,
    }
}

async fn list(format: Format, shell: &Shell) -> Result<ExitCode> {
    let machines = Client::person(shell)?.machines().await?;
    if !format.json && machines.is_empty() {
        output::talk(
            "No machines yet. `chatroom wait-for-task` registers this one; `chatroom machine add` brings another.",
        );
        return Ok(DONE);
    }
    let (here, now) = (this_home::machine_id(shell)?, times::now());
    output::either(format.json, &json!({ "machines": machines }), || {
        let rows: Vec<_> = machines
            .iter()
            .map(|machine| {
                let online = if machine.locked_at.is_some() {
                    "locked".to_owned()
                } else if machine.daemon_connected {
                    "online".to_owned()
                } else {
                    format!("offline, seen {}", times::ago(machine.last_seen_at, now))
                };
                let this = if here == Some(machine.machine_id) { "this one" } else { "" };
                vec![
                    machine.alias.clone(),
                    online,
                    tools(&machine.tools),
                    machine.machine_id.to_string(),
                    this.to_owned(),
                ]
            })
            .collect();
        output::table(&["NAME", "STATUS", "TOOLS", "MACHINE ID", ""], &rows)
    })?;
    if !format.json && machines.iter().any(|machine| machine.locked_at.is_some()) {
        output::talk(
            "A locked machine's home was used from two places, or an old copy of it was put back. On the right computer, \
             signed in, run `chatroom machine unlock`; every other copy stays refused.",
        );
    }
    for machine in &machines {
        if let Some(upgrade) = &machine.upgrade {
            output::talk(format!("{}: {upgrade}", output::one_line(&machine.alias)));
        }
    }
    Ok(DONE)
}

fn tools(tools: &[ToolFacts]) -> String {
    let shown: Vec<_> = tools
        .iter()
        .filter(|facts| facts.presence != ToolPresence::Missing)
        .map(|facts| match (&facts.version, facts.presence) {
            (_, ToolPresence::ProbeFailed) => format!("{} (does not answer)", facts.tool),
            (Some(version), _) => format!("{} {version}", facts.tool),
            (None, _) => facts.tool.to_string(),
        })
        .collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

async fn rename(verb: Rename, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let machine = named_machine(&client.machines().await?, &verb.machine)?;
    let machine = client.rename_machine(machine, &RenameMachine { alias: verb.name }).await?;
    output::either(verb.format.json, &machine, || {
        format!("{} is called {} now.", machine.machine_id, output::one_line(&machine.alias))
    })?;
    Ok(DONE)
}

async fn remove(verb: &Remove, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let machine = named_machine(&client.machines().await?, &verb.machine)?;
    client.remove_machine(machine).await?;
    if this_home::machine_id(shell)? == Some(machine) {
        // Without it the next wait or `up` registers this machine anew, under the same id.
        this_home::remove_credential(shell)?;
    }
    output::talk(format!("{machine} is removed: its credential no longer works, its agents stop, its roles are free."));
    Ok(DONE)
}

async fn add(format: Format, shell: &Shell) -> Result<ExitCode> {
    let enrolment = Client::person(shell)?.enrol().await?;
    output::either(format.json, &enrolment, || enrolment.line.clone())?;
    if !format.json {
        output::talk(format!(
            "Run this line on the other computer. It works once, until {}; then start its daemon there with \
             `chatroom machine daemon start`.",
            times::utc(enrolment.expires_at)
        ));
        let url = enrolment.line.split_whitespace().find_map(|word| client::parse(word).ok());
        if url.is_some_and(|url| client::is_loopback(&url)) {
            output::talk(
                "note: the address in it leads to this computer only. For others to reach the server, run it with \
                 `chatroom server --listen` and --public-url.",
            );
        }
    }
    Ok(DONE)
}
