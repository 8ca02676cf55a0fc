//! `chatroom room search`: where was that said.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::client::Client;
use crate::commands::{DONE, Format};
use crate::shell::Shell;
use crate::{output, times};

/// What to look for.
#[derive(Debug, Args)]
pub struct Search {
    /// The text, in either case.
    text: String,
    /// At most so many messages.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    limit: u64,
    #[command(flatten)]
    format: Format,
}

/// Looks for it.
pub async fn run(verb: &Search, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("room search")?;
    let found = Client::person(shell)?.search(&verb.text, verb.limit).await?;
    if !verb.format.json && found.chatrooms.is_empty() && found.messages.is_empty() {
        output::talk("Nothing has that text.");
        return Ok(DONE);
    }
    output::either(verb.format.json, &found, || {
        let mut text = String::new();
        for room in &found.chatrooms {
            let archived = if room.archived_at.is_some() { "  archived" } else { "" };
            let _ = writeln!(text, "{}  {}{archived}\n", room.chatroom_id, output::one_line(&room.name));
        }
        for message in &found.messages {
            let _ = writeln!(
                text,
                "{}  {} in {} ({})  {}",
                times::utc(message.created_at),
                output::one_line(&message.sender),
                output::one_line(&message.chatroom_name),
                message.chatroom_id,
                message.message_id
            );
            // Indented, so that no line of a message can pass for one of ours.
            text.push_str(&output::indent(&output::one_line(&message.excerpt)));
            text.push('\n');
        }
        text
    })?;
    Ok(DONE)
}
