//! `chatroom message`: speak in a room, as a person or, inside a run, as the agent; and read what was said.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use chatroom_protocol::api::rooms::{EditMessage, MessageKind, MessageView, SendMessage};
use chatroom_protocol::{MessageId, Role};
use clap::{Args, Subcommand};

use super::{DONE, Format, InRoom, parse_role};
use crate::client::Client;
use crate::client::rooms::Window;
use crate::shell::Shell;
use crate::{input, output, times};

/// How many bytes a file may have.
const FILE_LIMIT: u64 = 5 * 1024 * 1024;
/// How much of a message stands in a list.
const PREVIEW: usize = 400;

/// Say something in a room, or read what was said.
#[derive(Debug, Subcommand)]
pub enum Message {
    /// Say something; the text is --content or comes on stdin.
    Send(Send),
    /// Read what was said.
    List(List),
    /// Say something else with a message of yours that waits in the queue.
    Edit(Edit),
    /// Take back a message of yours that waits in the queue.
    Remove(Remove),
}

/// Which message, and what to say instead.
#[derive(Debug, Args)]
pub struct Edit {
    #[command(flatten)]
    place: InRoom,
    /// The message, as `message list` shows it.
    message_id: String,
    /// The text; on stdin if omitted.
    #[arg(long)]
    content: Option<String>,
    /// Whom it is for instead.
    #[arg(long)]
    target_role: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Which message.
#[derive(Debug, Args)]
pub struct Remove {
    #[command(flatten)]
    place: InRoom,
    /// The message, as `message list` shows it.
    message_id: String,
    #[command(flatten)]
    format: Format,
}

/// What to say.
#[derive(Debug, Args)]
pub struct Send {
    #[command(flatten)]
    place: InRoom,
    /// The text; on stdin if omitted.
    #[arg(long)]
    content: Option<String>,
    /// Whom it is for; the room's entry role if omitted.
    #[arg(long)]
    target_role: Option<String>,
    /// A file to send along: an image (png, jpeg, gif, webp) or text; repeat it for more, up to 8.
    #[arg(long = "attach", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// What to read.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: InRoom,
    /// Only what this role said, or `user`, or `system`.
    #[arg(long)]
    sender_role: Option<String>,
    /// Only what came after this message.
    #[arg(long, conflicts_with = "sender_role")]
    since_message_id: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=500))]
    limit: u64,
    /// Show long messages whole.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    format: Format,
}

/// Says something.
pub async fn send(verb: Send, shell: &Shell) -> Result<ExitCode> {
    let room = verb.place.room()?;
    let target_role = verb
        .target_role
        .as_deref()
        .map(|target| target.parse().map_err(|error| anyhow!("--target-role: {error}")))
        .transpose()?;
    let client = Client::caller(shell)?;
    let content = match verb.content {
        Some(content) => content,
        None => input::body(&format!("chatroom message send --chatroom-id={room}"), "CHATROOM_MESSAGE_END")?,
    };
    if !verb.files.is_empty() {
        shell.owner_only("message send --attach")?;
    }
    let files = verb.files.iter().map(|path| file(path)).collect::<Result<Vec<_>>>()?;
    let mut attachments = Vec::new();
    for (name, bytes) in files {
        attachments.push(client.attach(room, &name, bytes).await?.attachment_id);
    }
    let message = client.send_message(room, &SendMessage { content, target_role, attachments }).await?;
    output::either(verb.format.json, &message, || {
        let id = message.message_id;
        match (&message.task_id, &message.target) {
            _ if message.queued => format!("{id} waits in the queue: a task of the room is not done yet."),
            (Some(task), Some(target)) => format!("{id} is {task} for {target}."),
            _ => format!("{id} is in the room."),
        }
    })?;
    Ok(DONE)
}

/// Reads a file that is to be sent along.
fn file(path: &Path) -> Result<(String, Vec<u8>)> {
    let shown = path.display();
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{shown} has no name that can be sent"))?;
    let open = std::fs::File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let mut bytes = Vec::new();
    open.take(FILE_LIMIT + 1).read_to_end(&mut bytes).with_context(|| format!("{shown} cannot be read"))?;
    if bytes.len() as u64 > FILE_LIMIT {
        bail!("{shown} is larger than {} MiB", FILE_LIMIT >> 20);
    }
    Ok((name.to_owned(), bytes))
}

/// Changes what waits in the queue.
pub async fn edit(verb: Edit, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("message edit")?;
    let (room, id) = (verb.place.room()?, parse_message(&verb.message_id)?);
    let target_role = verb.target_role.as_deref().map(|role| parse_role("--target-role", role)).transpose()?;
    let client = Client::person(shell)?;
    let content = match verb.content {
        Some(content) => content,
        None => input::body(&format!("chatroom message edit --chatroom-id={room} {id}"), "CHATROOM_MESSAGE_END")?,
    };
    let message = client.edit_message(room, id, &EditMessage { content, target_role }).await?;
    output::either(verb.format.json, &message, || format!("{id} waits with its new text."))?;
    Ok(DONE)
}

/// Takes back what waits in the queue.
pub async fn remove(verb: &Remove, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("message remove")?;
    let (room, id) = (verb.place.room()?, parse_message(&verb.message_id)?);
    let done = Client::person(shell)?.delete_message(room, id).await?;
    if !done.changed {
        bail!("{id} waits no more: it is in the room already, and stays there");
    }
    output::either(verb.format.json, &done, || format!("{id} is taken back."))?;
    Ok(DONE)
}

fn parse_message(text: &str) -> Result<MessageId> {
    text.parse().map_err(|error| anyhow!("{error}"))
}

/// Reads what was said.
pub async fn list(verb: List, shell: &Shell) -> Result<ExitCode> {
    let room = verb.place.room()?;
    let sender = match verb.sender_role.as_deref() {
        Some(name) if name != "user" && name != "system" => {
            Some(Role::parse(name).map_err(|error| anyhow!("--sender-role: {error}"))?.to_string())
        }
        other => other.map(str::to_owned),
    };
    let since = match verb.since_message_id.as_deref().map(str::parse::<MessageId>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(error)) => bail!("--since-message-id: {error}"),
    };
    let window = Window { sender, since, limit: verb.limit };
    let messages = Client::caller(shell)?.messages(room, &window).await?;
    if !verb.format.json && messages.messages.is_empty() && messages.queue.is_empty() {
        output::talk("Nothing was said yet.");
        return Ok(DONE);
    }
    output::either(verb.format.json, &messages, || {
        let mut text = String::new();
        for message in &messages.messages {
            write(&mut text, message, verb.full);
        }
        if !messages.queue.is_empty() {
            let _ = writeln!(text, "queue ({}):\n", messages.queue.len());
            for message in &messages.queue {
                write(&mut text, message, verb.full);
            }
        }
        text
    })?;
    Ok(DONE)
}

fn write(text: &mut String, message: &MessageView, full: bool) {
    let kind = match message.kind {
        MessageKind::Message => "",
        MessageKind::Handoff => "  hand-off",
        MessageKind::Progress => "  progress",
        MessageKind::Notice => "  notice",
    };
    let target = message.target.as_ref().map(|target| format!(" → {target}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{}  {}{target}{kind}  {}",
        times::utc(message.created_at),
        output::one_line(&message.sender),
        message.message_id
    );
    // Indented, so that no line of a message can pass for one of ours.
    let content = output::clean(&message.content);
    let shown = if full { content } else { output::cut(&content, PREVIEW) };
    text.push_str(&output::indent(&shown));
    for file in &message.attachments {
        let (id, kind, size) = (file.attachment_id, &file.content_type, file.size);
        let _ = writeln!(text, "    + {}  {id}  {kind}, {size} bytes", output::one_line(&file.name));
    }
    text.push('\n');
}
