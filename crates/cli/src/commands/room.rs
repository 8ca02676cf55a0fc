//! `chatroom room`: rooms and their roles.

mod export;
mod search;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use chatroom_protocol::Role;
use chatroom_protocol::api::rooms::{CreateRoom, RoomEntry, RoomView, UpdateRoom};
use clap::{Args, Subcommand};

use super::{DONE, Format, InRoom, parse_role};
use crate::client::Client;
use crate::client::rooms::Window;
use crate::shell::Shell;
use crate::{input, output, times};

/// Make, show and change rooms.
#[derive(Debug, Subcommand)]
pub enum Room {
    /// Make a room, and print its id.
    Create(Create),
    /// List your rooms.
    List(List),
    /// Show a room.
    Show(Show),
    /// Find rooms by name, and messages in all of your rooms by text.
    Search(search::Search),
    /// Mark everything that was said in a room as read.
    Read(Show),
    /// Write a whole room down, as a document.
    Export(export::Export),
    /// Save a file that came with a message.
    Attachment(Attachment),
    /// Give a room another name.
    Rename(Rename),
    /// Show and change what every agent of a room is told.
    #[command(subcommand)]
    Instructions(Instructions),
    /// Put a room away: it leaves the list and takes no messages.
    Archive(Show),
    /// Bring a room back that was put away.
    Unarchive(Show),
}

/// Show and change what every agent of a room is told.
#[derive(Debug, Subcommand)]
pub enum Instructions {
    /// Print it.
    Show(Show),
    /// Tell something else; the text is --content or comes on stdin.
    Set(SetInstructions),
    /// Take it back.
    Remove(Show),
}

/// What every agent of a room shall be told.
#[derive(Debug, Args)]
pub struct SetInstructions {
    #[command(flatten)]
    place: InRoom,
    /// The text, at most 8 KiB; on stdin if omitted.
    #[arg(long)]
    content: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Which file, and where to.
#[derive(Debug, Args)]
pub struct Attachment {
    #[command(flatten)]
    place: InRoom,
    /// The file, as `message list` shows it.
    #[arg(value_name = "ATTACHMENT_ID")]
    id: String,
    /// Where to save it.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// What a room shall be called.
#[derive(Debug, Args)]
pub struct Rename {
    #[command(flatten)]
    place: InRoom,
    /// The new name.
    name: String,
    #[command(flatten)]
    format: Format,
}

/// What to make.
#[derive(Debug, Args)]
pub struct Create {
    /// What the room is called.
    name: String,
    /// A role; repeat it for more. The first one gets people's messages.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// The role that gets people's messages, if not the first.
    #[arg(long)]
    entry: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Which rooms.
#[derive(Debug, Args)]
pub struct List {
    /// Only those whose name has this in it.
    #[arg(long, default_value = "", hide_default_value = true)]
    search: String,
    /// Those that are put away.
    #[arg(long)]
    archived: bool,
    #[command(flatten)]
    format: Format,
}

/// Which room.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    place: InRoom,
    #[command(flatten)]
    format: Format,
}

/// Makes, shows or changes rooms.
pub async fn run(verb: Room, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Room::Create(verb) => create(verb, shell).await,
        Room::List(verb) => list(&verb, shell).await,
        Room::Show(verb) => show(verb, shell).await,
        Room::Search(verb) => search::run(&verb, shell).await,
        Room::Read(verb) => read(&verb, shell).await,
        Room::Export(verb) => export::run(&verb, shell).await,
        Room::Attachment(verb) => attachment(&verb, shell).await,
        Room::Rename(verb) => rename(verb, shell).await,
        Room::Instructions(Instructions::Show(verb)) => instructions(&verb, shell).await,
        Room::Instructions(Instructions::Set(verb)) => instruct(verb, shell).await,
        Room::Instructions(Instructions::Remove(verb)) => {
            let body = UpdateRoom { instructions: Some(String::new()), ..UpdateRoom::default() };
            update(&verb, shell, &body, |room| format!("{} has no standing instructions.", room.chatroom_id)).await
        }
        Room::Archive(verb) => {
            let body = UpdateRoom { archived: Some(true), ..UpdateRoom::default() };
            update(&verb, shell, &body, |room| format!("{} is archived.", room.chatroom_id)).await
        }
        Room::Unarchive(verb) => {
            let body = UpdateRoom { archived: Some(false), ..UpdateRoom::default() };
            update(&verb, shell, &body, |room| format!("{} is back.", room.chatroom_id)).await
        }
    }
}

async fn create(verb: Create, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("room create")?;
    let roles = verb.roles.iter().map(|role| parse_role("--role", role)).collect::<Result<Vec<_>>>()?;
    let entry = verb.entry.as_deref().map(|role| parse_role("--entry", role)).transpose()?;
    let body = CreateRoom { name: verb.name, roles, entry, instance_id: None };
    let room = Client::person(shell)?.create_room(&body).await?;
    output::either(verb.format.json, &room, || room.chatroom_id.to_string())?;
    Ok(DONE)
}

async fn list(verb: &List, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("room list")?;
    let rooms = Client::person(shell)?.rooms(verb.archived, &verb.search).await?;
    if !verb.format.json && rooms.chatrooms.is_empty() {
        let all = !verb.archived && verb.search.is_empty();
        output::talk(if all {
            "No rooms yet. Make one:\n\n    chatroom room create NAME --role builder"
        } else {
            "No such room."
        });
        return Ok(DONE);
    }
    output::either(verb.format.json, &rooms, || {
        let some = |count: u64| if count == 0 { "–".to_owned() } else { count.to_string() };
        let row = |room: &RoomEntry| {
            let roles = roles(&room.roles, &room.entry);
            let numbers = [room.unread, room.needs_you.total(), room.working].map(some);
            [vec![room.chatroom_id.to_string(), room.name.clone()], numbers.to_vec(), vec![roles]].concat()
        };
        let rows: Vec<_> = rooms.chatrooms.iter().map(row).collect();
        output::table(&["CHATROOM ID", "NAME", "UNREAD", "NEEDS YOU", "WORKING", "ROLES"], &rows)
    })?;
    Ok(DONE)
}

async fn read(verb: &Show, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("room read")?;
    let client = Client::person(shell)?;
    let room = verb.place.room()?;
    let last = client.messages(room, &Window { limit: 1, ..Window::default() }).await?.messages.pop();
    let Some(last) = last else {
        output::talk("Nothing was said yet.");
        return Ok(DONE);
    };
    let done = client.mark_read(room, last.message_id).await?;
    output::either(verb.format.json, &done, || format!("{room} is read up to {}.", last.message_id))?;
    Ok(DONE)
}

async fn show(verb: Show, shell: &Shell) -> Result<ExitCode> {
    let room = Client::caller(shell)?.room(verb.place.room()?).await?;
    output::either(verb.format.json, &room, || {
        let archived = room.archived_at.map(|at| format!("  archived     {}\n", times::utc(at))).unwrap_or_default();
        format!(
            "{}\n  chatroom id  {}\n  roles        {}\n  made         {}\n{archived}",
            output::one_line(&room.name),
            room.chatroom_id,
            roles(&room.roles, &room.entry),
            times::utc(room.created_at)
        )
    })?;
    Ok(DONE)
}

async fn attachment(verb: &Attachment, shell: &Shell) -> Result<ExitCode> {
    let id = verb.id.parse().map_err(|error| anyhow!("{error}"))?;
    let bytes = Client::caller(shell)?.attachment(verb.place.room()?, id).await?;
    std::fs::write(&verb.output, &bytes).with_context(|| format!("{} cannot be written", verb.output.display()))?;
    output::talk(format!("{} has {} bytes.", verb.output.display(), bytes.len()));
    Ok(DONE)
}

async fn rename(verb: Rename, shell: &Shell) -> Result<ExitCode> {
    let body = UpdateRoom { name: Some(verb.name), ..UpdateRoom::default() };
    let which = Show { place: verb.place, format: verb.format };
    update(&which, shell, &body, |room| format!("{} is called {}.", room.chatroom_id, output::one_line(&room.name)))
        .await
}

async fn instructions(verb: &Show, shell: &Shell) -> Result<ExitCode> {
    let room = Client::caller(shell)?.room(verb.place.room()?).await?;
    if !verb.format.json && room.instructions.is_none() {
        output::talk(format!(
            "Its agents are told nothing beyond their role. Tell them:\n\n    \
             chatroom room instructions set --chatroom-id={} --content=TEXT",
            room.chatroom_id
        ));
        return Ok(DONE);
    }
    output::either(verb.format.json, &room, || room.instructions.clone().unwrap_or_default())?;
    Ok(DONE)
}

async fn instruct(verb: SetInstructions, shell: &Shell) -> Result<ExitCode> {
    let which = Show { place: verb.place, format: verb.format };
    let command = format!("chatroom room instructions set --chatroom-id={}", which.place.room()?);
    let text = verb.content.map_or_else(|| input::body(&command, "CHATROOM_INSTRUCTIONS_END"), Ok)?;
    let body = UpdateRoom { instructions: Some(text), ..UpdateRoom::default() };
    update(&which, shell, &body, |room| {
        format!("Agents of {} are told so when they start, and with their next task.", room.chatroom_id)
    })
    .await
}

async fn update(
    verb: &Show,
    shell: &Shell,
    body: &UpdateRoom,
    said: impl FnOnce(&RoomView) -> String,
) -> Result<ExitCode> {
    shell.owner_only("room")?;
    let room = Client::person(shell)?.update_room(verb.place.room()?, body).await?;
    output::either(verb.format.json, &room, || said(&room))?;
    Ok(DONE)
}

fn roles(roles: &[Role], entry: &Role) -> String {
    let mark = |role: &Role| if role == entry { format!("{role} (entry)") } else { role.to_string() };
    roles.iter().map(mark).collect::<Vec<_>>().join(", ")
}
