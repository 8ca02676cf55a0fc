//! A room as a document that people keep: written while it is read, so that a long one needs no memory.

use std::collections::HashMap;
use std::fmt::Write as _;

use chatroom_domain::messages::{Message, Sender};
use chatroom_domain::rooms::Room;
use chatroom_protocol::UserId;
use chatroom_protocol::api::rooms::MessageKind;
use chatroom_store::Reader;
use chatroom_store::messages::{Window, history, queue};
use futures_util::stream::{self, Stream};

use super::messages::view;
use crate::app::App;
use crate::error::Error;

/// How many messages are read at once.
const PAGE: u64 = 200;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Markdown,
    /// For programs: one object with the room, its messages and its queue.
    Json,
}

/// Returns a room, from its first message to what waits in its queue, piece after piece.
pub fn export(app: &App, room: Room, format: Format) -> impl Stream<Item = Result<String, Error>> + Send + use<> {
    let export = Export { reader: app.reader(), room, format, part: Part::Head, people: HashMap::new() };
    stream::try_unfold(export, async |mut export| Ok(export.next().await?.map(|text| (text, export))))
}

/// What comes next.
enum Part {
    Head,
    /// What was said after a position.
    History {
        after: i64,
    },
    Queue,
    End,
}

struct Export {
    reader: Reader,
    room: Room,
    format: Format,
    part: Part,
    /// The names of those who spoke.
    people: HashMap<UserId, String>,
}

impl Export {
    async fn next(&mut self) -> Result<Option<String>, Error> {
        match self.part {
            Part::Head => {
                self.part = Part::History { after: 0 };
                self.head().map(Some)
            }
            Part::History { after } => {
                let window = Window { after: Some(after), limit: PAGE, ..Window::default() };
                let said = history(&self.reader, self.room.id, &window).await?;
                self.part = match said.last() {
                    Some(last) if said.len() as u64 == PAGE => Part::History { after: last.position },
                    _ => Part::Queue,
                };
                self.written(said, after == 0).await.map(Some)
            }
            Part::Queue => {
                self.part = Part::End;
                let waiting = queue(&self.reader, self.room.id).await?;
                match self.format {
                    Format::Json => Ok(Some(format!("],\"queue\":[{}]}}", self.written(waiting, true).await?))),
                    Format::Markdown if waiting.is_empty() => Ok(Some(String::new())),
                    Format::Markdown => Ok(Some(format!("# Queue\n\n{}", self.written(waiting, true).await?))),
                }
            }
            Part::End => Ok(None),
        }
    }

    fn head(&self) -> Result<String, Error> {
        let room = super::view(self.room.clone());
        match self.format {
            Format::Json => Ok(format!("{{\"chatroom\":{},\"messages\":[", json(&room)?)),
            Format::Markdown => {
                let roles: Vec<&str> = room.roles.iter().map(chatroom_protocol::Role::as_str).collect();
                let mut text =
                    format!("# {}\n\nRoles: {}. Made {}.\n\n", room.name, roles.join(", "), room.created_at.utc());
                if let Some(said) = &room.instructions {
                    let _ = write!(text, "Standing instructions:\n\n{}\n\n", quoted(said));
                }
                Ok(text)
            }
        }
    }

    async fn written(&mut self, messages: Vec<Message>, first: bool) -> Result<String, Error> {
        let mut text = String::new();
        for (place, message) in messages.into_iter().enumerate() {
            match self.format {
                Format::Json => {
                    if place > 0 || !first {
                        text.push(',');
                    }
                    text.push_str(&json(&view(message))?);
                }
                Format::Markdown => self.write(&mut text, message).await?,
            }
        }
        Ok(text)
    }

    async fn write(&mut self, text: &mut String, message: Message) -> Result<(), Error> {
        let who = match (&message.sender, message.user) {
            (Sender::User, Some(user)) => self.name(user).await?,
            (sender, _) => sender.as_str().to_owned(),
        };
        let whom = message.target.map(|target| format!(" → {target}")).unwrap_or_default();
        let kind = match message.kind {
            MessageKind::Message => "",
            MessageKind::Handoff => " · hand-off",
            MessageKind::Progress => " · progress",
            MessageKind::Notice => " · notice",
        };
        let _ = write!(text, "## {who}{whom}{kind} · {}\n\n{}\n\n", message.created_at.utc(), message.content);
        for file in &message.attachments {
            let _ =
                writeln!(text, "- {} ({}, {} bytes, {})", file.name.as_str(), file.media.as_str(), file.size, file.id);
        }
        if !message.attachments.is_empty() {
            text.push('\n');
        }
        Ok(())
    }

    async fn name(&mut self, user: UserId) -> Result<String, Error> {
        if let Some(name) = self.people.get(&user) {
            return Ok(name.clone());
        }
        let found = chatroom_store::users::find(&self.reader, user).await?;
        let name = found.map_or_else(|| "user".to_owned(), |user| user.name);
        self.people.insert(user, name.clone());
        Ok(name)
    }
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Internal(format!("an export could not be written: {error}")))
}
