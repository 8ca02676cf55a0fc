//! `chatroom task-complete`: done, with nothing to hand on.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::tasks::CompleteTask;
use clap::Args;

use super::{DONE, Format, InRole, parse_task};
use crate::client::Client;
use crate::output;
use crate::shell::Shell;

/// Which task.
#[derive(Debug, Args)]
pub struct TaskComplete {
    #[command(flatten)]
    place: InRole,
    /// The task's id, as its prompt shows it.
    #[arg(long)]
    task_id: String,
    #[command(flatten)]
    format: Format,
}

/// Completes it.
pub async fn run(verb: TaskComplete, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let task = parse_task(&verb.task_id)?;
    let body = CompleteTask { role: Some(role) };
    let task = Client::caller(shell)?.complete_task(room, task, &body).await?;
    output::either(verb.format.json, &task, || format!("{} is completed.", task.task_id))?;
    Ok(DONE)
}
