//! `chatroom room`: rooms and their roles.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::Role;
use chatroom_protocol::api::rooms::{CreateRoom, RoomView};
use clap::{Args, Subcommand};

use super::{DONE, Format, InRoom, parse_role};
use crate::client::Client;
use crate::shell::Shell;
use crate::{output, times};

/// Make and show rooms.
#[derive(Debug, Subcommand)]
pub enum Room {
    /// Make a room, and print its id.
    Create(Create),
    /// List your rooms.
    List(Format),
    /// Show a room.
    Show(Show),
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

/// Which room.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    place: InRoom,
    #[command(flatten)]
    format: Format,
}

/// Makes or shows rooms.
pub async fn run(verb: Room, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Room::Create(verb) => create(verb, shell).await,
        Room::List(format) => list(format, shell).await,
        Room::Show(verb) => show(verb, shell).await,
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

async fn list(format: Format, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("room list")?;
    let rooms = Client::person(shell)?.rooms().await?;
    if !format.json && rooms.chatrooms.is_empty() {
        output::talk("No rooms yet. Make one:\n\n    chatroom room create NAME --role builder");
        return Ok(DONE);
    }
    output::either(format.json, &rooms, || {
        let rows: Vec<_> = rooms
            .chatrooms
            .iter()
            .map(|room| vec![room.chatroom_id.to_string(), room.name.clone(), roles(room)])
            .collect();
        output::table(&["CHATROOM ID", "NAME", "ROLES"], &rows)
    })?;
    Ok(DONE)
}

async fn show(verb: Show, shell: &Shell) -> Result<ExitCode> {
    let room = Client::caller(shell)?.room(verb.place.room()?).await?;
    output::either(verb.format.json, &room, || {
        format!(
            "{}\n  chatroom id  {}\n  roles        {}\n  made         {}\n",
            output::one_line(&room.name),
            room.chatroom_id,
            roles(&room),
            times::utc(room.created_at)
        )
    })?;
    Ok(DONE)
}

fn roles(room: &RoomView) -> String {
    let mark = |role: &Role| if *role == room.entry { format!("{role} (entry)") } else { role.to_string() };
    room.roles.iter().map(mark).collect::<Vec<_>>().join(", ")
}
