//! `chatroom machine runs`: what a machine is busy with.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chatroom_protocol::api::agents::RunView;
use clap::Args;

use crate::client::Client;
use crate::commands::agent::named_machine;
use crate::commands::{DONE, Format};
use crate::shell::Shell;
use crate::{output, this_home, times};

/// Which machine.
#[derive(Debug, Args)]
pub struct Runs {
    /// The machine's name or id; this computer when not given.
    machine: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Lists them.
pub async fn run(verb: &Runs, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let machine = match &verb.machine {
        Some(name) => named_machine(&client.machines().await?, name)?,
        None => this_home::machine_id(shell)?.context("this computer is no machine yet; name one")?,
    };
    let runs = client.runs_on(machine).await?;
    if !verb.format.json && runs.runs.is_empty() {
        output::talk("Nothing runs there.");
        return Ok(DONE);
    }
    output::either(verb.format.json, &runs, || {
        let row = |run: &RunView| {
            vec![
                run.role.to_string(),
                run.chatroom_id.to_string(),
                run.tool.to_string(),
                run.activity.as_str().to_owned(),
                times::utc(run.created_at),
                run.run_id.to_string(),
            ]
        };
        let rows: Vec<_> = runs.runs.iter().map(row).collect();
        output::table(&["ROLE", "CHATROOM ID", "TOOL", "DOES", "FROM", "RUN"], &rows)
    })?;
    Ok(DONE)
}
