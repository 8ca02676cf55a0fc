//! Rooms: making them, finding them, and what is said in them.

pub mod attachments;
pub mod export;
pub mod list;
pub mod messages;
pub mod prompts;

use chatroom_domain::access::{Caller, may_instruct};
use chatroom_domain::rooms::{self, Instructions, Room, RoomError};
use chatroom_protocol::api::rooms::{CreateRoom, RoomView, UpdateRoom};
use chatroom_protocol::{Role, RoomId, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;

use crate::accounts::throttle::Tries;
use crate::app::Work;
use crate::error::Error;
use crate::tasks::wait;

/// Makes a room in an instance of `user`: the one named, else their own.
pub async fn create(work: &mut Work, user: UserId, body: CreateRoom) -> Result<Room, Error> {
    let (name, entry) = rooms::check_new(&body.name, &body.roles, body.entry.as_ref())?;
    let instances = chatroom_store::instances::of_user(&work.tx, user).await?;
    let instance = match body.instance_id {
        Some(wanted) => instances.iter().find(|instance| instance.id == wanted),
        None => instances.iter().find(|instance| instance.owner == user).or(instances.first()),
    }
    .ok_or(Error::NotFound)?;
    let room = Room {
        id: work.app.id(RoomId::from_parts)?,
        instance: instance.id,
        name,
        roles: body.roles,
        entry,
        created_at: work.now,
        instructions: None,
        archived_at: None,
    };
    chatroom_store::rooms::insert(&work.tx, &room).await?;
    let created = NewEvent {
        kind: "room.created",
        user: Some(user),
        room: Some(room.id),
        subject: Some(room.id.to_string()),
        outcome: Some(room.name.clone()),
        ..NewEvent::default()
    };
    work.event(room.instance, created).await?;
    Ok(room)
}

/// Changes what may change of a room of `user`: its name, its standing instructions, and whether it is put away.
pub async fn update(work: &mut Work, user: UserId, id: RoomId, body: UpdateRoom) -> Result<Room, Error> {
    let mut room = find(&work.tx, id, user).await?;
    let mut told = Vec::new();
    if let Some(name) = body.name {
        let name = rooms::parse_name(&name)?;
        if name != room.name {
            told.push(("room.renamed", Some(name.clone())));
            room.name = name;
        }
    }
    if let Some(text) = body.instructions {
        let text = rooms::parse_instructions(&text)?;
        let known = room.instructions.as_ref().map_or("", |said| said.text.as_str());
        if text != known {
            told.push(("room.instructions", Some(if text.is_empty() { "removed" } else { "set" }.to_owned())));
            room.instructions = Some(Instructions { text, by: user, at: work.now });
        }
    }
    match body.archived {
        Some(true) if room.archived_at.is_none() => {
            room.may_be_archived(&chatroom_store::agents::of_room(&work.tx, room.id).await?)?;
            told.push(("room.archived", None));
            room.archived_at = Some(work.now);
        }
        Some(false) if room.archived_at.is_some() => {
            told.push(("room.unarchived", None));
            room.archived_at = None;
        }
        _ => {}
    }
    chatroom_store::rooms::update(&work.tx, &room).await?;
    for (kind, outcome) in told {
        let event = NewEvent {
            kind,
            user: Some(user),
            room: Some(room.id),
            subject: Some(room.id.to_string()),
            outcome,
            ..NewEvent::default()
        };
        work.event(room.instance, event).await?;
    }
    Ok(room)
}

/// Returns the standing instructions that reach an agent of `owner` in a role.
pub async fn instructions<'a>(
    db: &impl Access,
    room: &'a Room,
    role: &Role,
    owner: UserId,
) -> Result<Option<&'a Instructions>, Error> {
    let Some(said) = &room.instructions else { return Ok(None) };
    let shared = wait::shared_by(db, room, role, owner).await?;
    Ok(may_instruct(said.by, owner, shared).then_some(said))
}

/// Returns a room `user` is a member of.
pub async fn find(db: &impl Access, id: RoomId, user: UserId) -> Result<Room, Error> {
    Ok(chatroom_store::rooms::find(db, id, user).await?.ok_or(RoomError::NotFound)?)
}

/// Returns a room on behalf of the platform itself.
pub async fn of(db: &impl Access, id: RoomId) -> Result<Room, Error> {
    Ok(chatroom_store::rooms::of(db, id).await?.ok_or(RoomError::NotFound)?)
}

/// Returns the room a caller may act in: a member's, or a run's own.
pub async fn for_caller(db: &impl Access, caller: &Caller, id: RoomId) -> Result<Room, Error> {
    find(db, id, acts_for(caller, id)?).await
}

/// Returns the room a caller speaks in, and the position of what is said there.
async fn speak(work: &Work, caller: &Caller, id: RoomId) -> Result<(Room, i64), Error> {
    let user = acts_for(caller, id)?;
    Ok(chatroom_store::rooms::speak(&work.tx, id, user, work.now).await?.ok_or(RoomError::NotFound)?)
}

/// Returns the member as whom a caller acts in a room.
fn acts_for(caller: &Caller, id: RoomId) -> Result<UserId, Error> {
    match caller {
        Caller::Run { room, .. } if *room != id => Err(RoomError::NotFound.into()),
        Caller::Machine { .. } => Err(Error::Forbidden("a machine does not act in rooms")),
        Caller::Run { user, .. } | Caller::Person { user, .. } => Ok(*user),
    }
}

/// Counts what a run writes: an agent that loops must not flood its room. People are not counted.
pub(crate) fn pace(work: &Work, caller: &Caller) -> Result<(), Error> {
    match caller {
        Caller::Run { run, .. } => Ok(work.app.throttle.attempt(&Tries::RunWrites(*run), work.now)?),
        Caller::Person { .. } | Caller::Machine { .. } => Ok(()),
    }
}

/// Checks that a caller may speak for a role: a member for any, a run only for its own.
pub fn check_role(caller: &Caller, room: &Room, role: &Role) -> Result<(), Error> {
    if let Caller::Run { role: own, .. } = caller
        && own != role
    {
        return Err(Error::Forbidden("inside a run you speak for your own role only"));
    }
    Ok(room.role(role)?)
}

/// Shows a room.
pub fn view(room: Room) -> RoomView {
    let instructions = room.instructions.filter(|said| !said.text.is_empty());
    RoomView {
        chatroom_id: room.id,
        instance_id: room.instance,
        name: room.name,
        roles: room.roles,
        entry: room.entry,
        created_at: room.created_at,
        instructions_by: instructions.as_ref().map(|said| said.by),
        instructions: instructions.map(|said| said.text),
        archived_at: room.archived_at,
    }
}
