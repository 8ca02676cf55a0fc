//! `chatroom handoff`: completes the task and passes the result on, in one step.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::rooms::Target;
use chatroom_protocol::api::tasks::Handoff as Body;
use clap::Args;

use super::{DONE, Format, InRole, parse_task};
use crate::client::Client;
use crate::shell::Shell;
use crate::{input, output};

/// What goes where.
#[derive(Debug, Args)]
pub struct Handoff {
    #[command(flatten)]
    place: InRole,
    /// Who goes on: a role, or `user` for the people of the room.
    #[arg(long)]
    next_role: String,
    /// The task it completes; the role's only active task if omitted.
    #[arg(long)]
    task_id: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Reads the result from stdin and hands it on.
pub async fn run(verb: Handoff, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let next: Target = verb.next_role.parse().map_err(|error| anyhow::anyhow!("--next-role: {error}"))?;
    let task = verb.task_id.as_deref().map(parse_task).transpose()?;
    let client = Client::caller(shell)?;
    let named = task.map(|task| format!(" --task-id={task}")).unwrap_or_default();
    let command = format!("chatroom handoff --chatroom-id={room} --role={role}{named} --next-role={next}");
    let content = input::body(&command, "CHATROOM_HANDOFF_END")?;
    let done = client.hand_off(room, &role, &Body { task_id: task, next_role: next, content }).await?;
    output::either(verb.format.json, &done, || done.prompt.clone())?;
    Ok(DONE)
}
