//! What is said in a room, and which of it becomes work.

use chatroom_domain::access::Caller;
use chatroom_domain::messages::{Message, MessageError, QUEUE_LIMIT, Sender, parse_content};
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::rooms::{EditMessage, MessageKind, MessageView, Messages, SendMessage, Target};
use chatroom_protocol::{MessageId, Role, RoomId, RunId, TaskId, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;
use chatroom_store::messages::Window;

use super::attachments;
use crate::app::Work;
use crate::error::Error;
use crate::tasks;

/// What is about to be said.
pub(crate) struct Said {
    pub kind: MessageKind,
    pub sender: Sender,
    pub user: Option<UserId>,
    pub target: Option<Target>,
    pub content: String,
    pub task: Option<TaskId>,
    pub queued: bool,
    pub run: Option<RunId>,
}

/// Writes a message and its event.
pub(crate) async fn say(work: &mut Work, room: &Room, said: Said) -> Result<Message, Error> {
    let position = chatroom_store::rooms::next_position(&work.tx, room.id, work.now).await?;
    say_at(work, room, position, said).await
}

async fn say_at(work: &mut Work, room: &Room, position: i64, said: Said) -> Result<Message, Error> {
    let message = Message {
        id: work.app.id(MessageId::from_parts)?,
        room: room.id,
        kind: said.kind,
        sender: said.sender,
        user: said.user,
        target: said.target,
        content: said.content,
        position,
        queued: said.queued,
        task: said.task,
        created_at: work.now,
        run: said.run,
        attachments: Vec::new(),
    };
    chatroom_store::messages::insert(&work.tx, &message).await?;
    let event = NewEvent {
        kind: if message.queued { "message.queued" } else { "message.sent" },
        user: message.user,
        room: Some(room.id),
        role: match &message.sender {
            Sender::Role(role) => Some(role.clone()),
            Sender::User | Sender::System => None,
        },
        subject: Some(message.id.to_string()),
        outcome: message.target.as_ref().map(Target::to_string),
        ..NewEvent::default()
    };
    work.event(room.instance, event).await?;
    Ok(message)
}

/// Sends a message: a person's becomes a task for its role, at once or from the queue; an agent's is a note.
pub async fn send(work: &mut Work, caller: &Caller, id: RoomId, body: SendMessage) -> Result<Message, Error> {
    let (room, position) = super::speak(work, caller, id).await?;
    let room = &room;
    super::pace(work, caller)?;
    room.is_open()?;
    let content = parse_content(&body.content)?;
    if let Some(target) = &body.target_role {
        room.target(target)?;
    }
    let (sender, task_for) = match caller {
        Caller::Run { role, .. } => (Sender::Role(role.clone()), None),
        Caller::Person { .. } | Caller::Machine { .. } => (Sender::User, addressee(room, body.target_role.as_ref())),
    };
    let target = body.target_role.or_else(|| task_for.clone().map(Target::Role));
    let queued = task_for.is_some() && chatroom_store::tasks::count_active(&work.tx, room.id).await? > 0;
    if queued && chatroom_store::messages::count_queued(&work.tx, room.id).await? >= QUEUE_LIMIT {
        return Err(MessageError::QueueFull.into());
    }
    // The limit of a room's tasks is not met: it has none.
    let task = match task_for {
        Some(role) if !queued => Some((work.app.id(TaskId::from_parts)?, role)),
        _ => None,
    };
    let said = Said {
        kind: MessageKind::Message,
        sender,
        user: Some(caller.user()),
        target,
        content,
        task: task.as_ref().map(|(id, _)| *id),
        queued,
        run: caller.run(),
    };
    let mut message = say_at(work, room, position, said).await?;
    if !body.attachments.is_empty() {
        let Caller::Person { user, .. } = caller else {
            return Err(Error::Forbidden("only people send files along; name where yours is instead"));
        };
        attachments::claim(work, *user, room, &mut message, &body.attachments).await?;
    }
    if let Some((id, role)) = task {
        tasks::from_message(work, room, id, role, &message).await?;
    }
    Ok(message)
}

/// Returns the role a person's message is work for.
fn addressee(room: &Room, target: Option<&Target>) -> Option<Role> {
    match target {
        None => Some(room.entry.clone()),
        Some(Target::Role(role)) => Some(role.clone()),
        Some(Target::User) => None,
    }
}

/// Says something in the platform's own name.
pub async fn notice(work: &mut Work, room: &Room, about: Option<TaskId>, text: String) -> Result<(), Error> {
    let said = Said {
        kind: MessageKind::Notice,
        sender: Sender::System,
        user: None,
        target: None,
        content: text,
        task: about,
        queued: false,
        run: None,
    };
    say(work, room, said).await.map(drop)
}

/// Says something else with a message that still waits in the queue. Only who sent it may.
pub async fn edit_queued(
    work: &mut Work,
    user: UserId,
    room: &Room,
    id: MessageId,
    body: EditMessage,
) -> Result<Message, Error> {
    let message = own(work, user, room, id).await?;
    let content = parse_content(&body.content)?;
    if let Some(role) = &body.target_role {
        room.role(role)?;
    }
    let target = body.target_role.map(Target::Role).or(message.target);
    let message = Message { content, target, ..message };
    if !chatroom_store::messages::edit_queued(&work.tx, &message).await? {
        return Err(MessageError::Delivered.into());
    }
    let event = NewEvent {
        kind: "message.edited",
        user: Some(user),
        room: Some(room.id),
        subject: Some(id.to_string()),
        outcome: message.target.as_ref().map(Target::to_string),
        ..NewEvent::default()
    };
    work.event(room.instance, event).await?;
    Ok(message)
}

/// Returns a message a person sent.
async fn own(work: &Work, user: UserId, room: &Room, id: MessageId) -> Result<Message, Error> {
    let message = chatroom_store::messages::find(&work.tx, room.id, id).await?;
    let theirs = |message: &Message| message.user == Some(user) && message.sender == Sender::User;
    message.filter(theirs).ok_or(Error::NotFound)
}

/// Takes back a message that still waits in the queue. Only who sent it may.
pub async fn delete_queued(work: &mut Work, caller: &Caller, room: &Room, id: MessageId) -> Result<bool, Error> {
    own(work, caller.user(), room, id).await?;
    let deleted = chatroom_store::messages::delete_queued(&work.tx, room.id, id).await?;
    if deleted {
        let event = NewEvent {
            kind: "message.deleted",
            user: Some(caller.user()),
            room: Some(room.id),
            subject: Some(id.to_string()),
            ..NewEvent::default()
        };
        work.event(room.instance, event).await?;
    }
    Ok(deleted)
}

/// Reads a room's history and its queue.
pub async fn read(db: &impl Access, room: &Room, window: &Window) -> Result<Messages, Error> {
    let history = chatroom_store::messages::history(db, room.id, window).await?;
    let queue = chatroom_store::messages::queue(db, room.id).await?;
    Ok(Messages { messages: history.into_iter().map(view).collect(), queue: queue.into_iter().map(view).collect() })
}

/// Shows a message.
pub fn view(message: Message) -> MessageView {
    MessageView {
        message_id: message.id,
        kind: message.kind,
        sender: message.sender.as_str().to_owned(),
        user_id: message.user,
        target: message.target,
        content: message.content,
        queued: message.queued,
        task_id: message.task,
        created_at: message.created_at,
        run_id: message.run,
        attachments: message.attachments.iter().map(attachments::view).collect(),
    }
}
