//! `chatroom agent tell` and `chatroom agent queue`: what an agent is told next, and changing it until it is.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use chatroom_protocol::api::agents::{FollowUp, PromptStage, PromptView};
use chatroom_protocol::api::daemon::PromptFrom;
use chatroom_protocol::{PromptId, Role, RoomId};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Place;
use crate::client::Client;
use crate::commands::{DONE, Format, InRole};
use crate::shell::Shell;
use crate::{input, output};

/// How much of a text stands in the list.
const PREVIEW: usize = 200;

/// What to tell an agent.
#[derive(Debug, Args)]
pub struct Tell {
    #[command(flatten)]
    place: InRole,
    /// The text; on stdin if omitted.
    #[arg(long)]
    content: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Show and change what waits to be told to an agent.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// List what it is told next; the first may be what it works on.
    List(Place),
    /// Tell it something else than was said before.
    Edit(Edit),
    /// Take back what was said before.
    Remove(Remove),
}

/// Which prompt, and what to tell instead.
#[derive(Debug, Args)]
pub struct Edit {
    #[command(flatten)]
    place: InRole,
    /// The prompt, as `agent queue list` shows it.
    prompt_id: String,
    /// The text; on stdin if omitted.
    #[arg(long)]
    content: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Which prompt.
#[derive(Debug, Args)]
pub struct Remove {
    #[command(flatten)]
    place: InRole,
    /// The prompt, as `agent queue list` shows it.
    prompt_id: String,
    #[command(flatten)]
    format: Format,
}

/// Tells an agent something more.
pub async fn tell(verb: Tell, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let client = Client::person(shell)?;
    let text = text(verb.content, &format!("chatroom agent tell --chatroom-id={room} --role={role}"))?;
    let prompt = client.follow_up(room, &role, &FollowUp { text }).await?;
    output::either(verb.format.json, &prompt, || format!("{} waits for `{role}`'s turn to end.", prompt.prompt_id))?;
    hint(verb.format, room, &role, &prompt);
    Ok(DONE)
}

/// Shows or changes what waits.
pub async fn run(verb: Queue, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Queue::List(verb) => list(&verb, shell).await,
        Queue::Edit(verb) => edit(verb, shell).await,
        Queue::Remove(verb) => remove(&verb, shell).await,
    }
}

async fn list(verb: &Place, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let waiting = Client::person(shell)?.prompts(room, &role).await?;
    output::either(verb.format.json, &waiting, || {
        if waiting.prompts.is_empty() {
            return format!("Nothing waits to be told to `{role}`.");
        }
        let rows: Vec<_> = waiting.prompts.iter().map(row).collect();
        output::table(&["PROMPT", "", "FROM", "TEXT"], &rows)
    })?;
    Ok(DONE)
}

fn row(prompt: &PromptView) -> Vec<String> {
    let stage = match prompt.stage {
        PromptStage::Waiting => "waiting",
        PromptStage::Given => "given",
    };
    let from = match &prompt.from {
        PromptFrom::Task { .. } => "task".to_owned(),
        PromptFrom::Reminder { .. } => "reminder".to_owned(),
        PromptFrom::FollowUp { by: Some(by) } => by.name.clone(),
        PromptFrom::FollowUp { by: None } | PromptFrom::Unknown => "–".to_owned(),
    };
    let text = output::cut(&output::one_line(&prompt.text), PREVIEW);
    vec![prompt.prompt_id.to_string(), stage.to_owned(), from, text]
}

async fn edit(verb: Edit, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let id = parse(&verb.prompt_id)?;
    let client = Client::person(shell)?;
    let text = text(verb.content, &format!("chatroom agent queue edit --chatroom-id={room} --role={role} {id}"))?;
    let prompt = client.edit_prompt(room, &role, id, &FollowUp { text }).await?;
    output::either(verb.format.json, &prompt, || format!("{id} waits with its new text."))?;
    Ok(DONE)
}

async fn remove(verb: &Remove, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let id = parse(&verb.prompt_id)?;
    Client::person(shell)?.withdraw_prompt(room, &role, id).await?;
    output::either(verb.format.json, &json!({ "promptId": id, "removed": true }), || format!("{id} is taken back."))?;
    Ok(DONE)
}

fn parse(text: &str) -> Result<PromptId> {
    text.parse().map_err(|error| anyhow!("{error}"))
}

fn text(content: Option<String>, command: &str) -> Result<String> {
    content.map_or_else(|| input::body(command, "CHATROOM_TELL_END"), Ok)
}

fn hint(format: Format, room: RoomId, role: &Role, prompt: &PromptView) {
    if !format.json {
        output::talk(format!(
            "Until then: chatroom agent queue edit --chatroom-id={room} --role={role} {}",
            prompt.prompt_id
        ));
    }
}
