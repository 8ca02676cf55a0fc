//! `chatroom activity`: what happened, who did it, and how it went.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::events::EventView;
use clap::Args;

use super::agent::named_machine;
use super::{DONE, Format, parse_room};
use crate::client::Client;
use crate::shell::Shell;
use crate::{output, times};

/// What to show of it.
#[derive(Debug, Args)]
pub struct Activity {
    /// Only what is about this room.
    #[arg(long)]
    chatroom_id: Option<String>,
    /// Only what is about this machine of yours, by name or id.
    #[arg(long)]
    machine: Option<String>,
    /// Only this kind, such as task.completed, or this noun, such as task.
    #[arg(long)]
    kind: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=500))]
    limit: u64,
    #[command(flatten)]
    format: Format,
}

/// Shows it, the newest first.
pub async fn run(verb: Activity, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("activity")?;
    let client = Client::person(shell)?;
    let mut filters = vec![("limit", verb.limit.to_string())];
    if let Some(room) = &verb.chatroom_id {
        let room = client.room(parse_room(room)?).await?;
        filters.push(("chatroom", room.chatroom_id.to_string()));
        filters.push(("instance", room.instance_id.to_string()));
    }
    if let Some(machine) = &verb.machine {
        filters.push(("machine", named_machine(&client.machines().await?, machine)?.to_string()));
    }
    filters.extend(verb.kind.map(|kind| ("kind", kind)));
    let events = client.past(&filters).await?;
    if !verb.format.json && events.events.is_empty() {
        output::talk("Nothing of that happened, or it is forgotten.");
        return Ok(DONE);
    }
    output::either(verb.format.json, &events, || {
        let rows: Vec<_> = events.events.iter().map(row).collect();
        output::table(&["WHEN", "WHAT", "WHO", "ROLE", "ABOUT", "OUTCOME"], &rows)
    })?;
    Ok(DONE)
}

fn row(event: &EventView) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    vec![
        times::utc(event.at),
        event.kind.clone(),
        or_dash(event.user_name.clone()),
        or_dash(event.role.as_ref().map(ToString::to_string)),
        or_dash(event.subject.clone()),
        event.outcome.clone().unwrap_or_default(),
    ]
}
