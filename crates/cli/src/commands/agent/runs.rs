//! `chatroom agent runs`: what a role's agent was before.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::agents::{RunForm, RunView};
use clap::Args;

use crate::client::Client;
use crate::commands::{DONE, Format, InRole};
use crate::shell::Shell;
use crate::{output, times};

/// Whose runs.
#[derive(Debug, Args)]
pub struct Runs {
    #[command(flatten)]
    place: InRole,
    /// At most so many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=500))]
    limit: u64,
    #[command(flatten)]
    format: Format,
}

/// Lists them.
pub async fn run(verb: &Runs, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let runs = Client::person(shell)?.runs(room, &role, verb.limit).await?;
    if !verb.format.json && runs.runs.is_empty() {
        output::talk(format!("`{role}` has not run yet."));
        return Ok(DONE);
    }
    output::either(verb.format.json, &runs, || {
        let rows: Vec<_> = runs.runs.iter().map(row).collect();
        output::table(&["RUN", "TOOL", "FROM", "TO", "OUTCOME"], &rows)
    })?;
    Ok(DONE)
}

fn row(run: &RunView) -> Vec<String> {
    let model = run.model.as_ref().map(|model| format!(" · {model}")).unwrap_or_default();
    let form = if run.form == RunForm::Terminal { " · terminal" } else { "" };
    let outcome = match (run.exited_at, run.crashed, &run.exit) {
        (None, ..) => run.activity.as_str().to_owned(),
        (Some(_), true, Some(why)) => format!("stopped by itself: {why}"),
        (Some(_), true, None) => "stopped by itself".to_owned(),
        (Some(_), false, why) => why.clone().unwrap_or_else(|| "stopped".to_owned()),
    };
    vec![
        run.run_id.to_string(),
        format!("{}{model}{form}", run.tool),
        times::utc(run.created_at),
        run.exited_at.map_or_else(|| "–".to_owned(), times::utc),
        outcome,
    ]
}
