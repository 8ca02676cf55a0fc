//! `chatroom report-progress`: a note in the room; the task stays as it is.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::tasks::ReportProgress as Body;
use clap::Args;

use super::{DONE, Format, InRole};
use crate::client::Client;
use crate::shell::Shell;
use crate::{input, output};

/// Where.
#[derive(Debug, Args)]
pub struct ReportProgress {
    #[command(flatten)]
    place: InRole,
    #[command(flatten)]
    format: Format,
}

/// Reads the note from stdin and sends it.
pub async fn run(verb: ReportProgress, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let client = Client::caller(shell)?;
    let command = format!("chatroom report-progress --chatroom-id={room} --role={role}");
    let content = input::body(&command, "CHATROOM_PROGRESS_END")?;
    let message = client.progress(room, &role, &Body { content }).await?;
    output::either(verb.format.json, &message, || format!("Noted in the room as {}.", message.message_id))?;
    Ok(DONE)
}
