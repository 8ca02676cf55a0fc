//! Commands: typed, durable requests to a machine, pushed down its tunnel.
//!
//! A client says what to do and to which role. Tool, directory and arguments come
//! from what was saved; nothing a client sends ever becomes one.

pub mod expiry;
pub mod facts;
pub mod reports;
pub mod start;
pub mod stop;

use chatroom_domain::access::Caller;
use chatroom_domain::commands::{Command, CommandEvent, WAITING_LIMIT, deadline_ms};
use chatroom_domain::machines::{Machine, MachineError};
use chatroom_domain::rooms::Room;
use chatroom_domain::secrets::Place;
use chatroom_protocol::api::commands::{CommandStatus, CommandType, CommandView, SendCommand};
use chatroom_protocol::api::daemon::{PushCommand, Slot, StartRun};
use chatroom_protocol::{CommandId, MachineId, Role, Timestamp, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;

use crate::agents::life::Ending;
use crate::app::{App, Topic, Work};
use crate::error::Error;
use crate::{agents, machines, rooms};

use start::Talk;
pub use stop::stop_slot;

/// What a daemon is asked to do when a start finds an older run in its place.
const REPLACE: CommandType = CommandType::RestartAgent;

/// Sends a command to a machine of `user`.
pub async fn send(work: &mut Work, user: UserId, id: MachineId, body: SendCommand) -> Result<Command, Error> {
    let machine = machines::find(&work.tx, id, user).await?;
    if machine.locked_at.is_some() {
        return Err(MachineError::Locked.into());
    }
    if chatroom_store::commands::count_pending(&work.tx, id).await? >= WAITING_LIMIT {
        return Err(MachineError::TooManyCommands.into());
    }
    match (body.kind, body.chatroom_id, body.role) {
        (kind, Some(room), Some(role)) if kind.wants_agent() => {
            if kind == CommandType::StopAgent {
                if body.resume {
                    return Err(MachineError::BadCommand("a stop resumes nothing; send it without resume").into());
                }
                let room = stop::place(work, &machine, room, &role).await?;
                stop::stop(work, user, &machine, &room, &role).await
            } else {
                let room = rooms::find(&work.tx, room, user).await?;
                room.role(&role)?;
                let talk = if body.resume { Talk::Last } else { Talk::New };
                start::start(work, user, &machine, kind, &room, &role, talk).await
            }
        }
        (kind, None, None) if !kind.wants_agent() && !body.resume => {
            let command = draft(work, user, &machine, kind, None)?;
            queue(work, &command, String::new()).await?;
            Ok(command)
        }
        (kind, ..) if kind.wants_agent() => {
            Err(MachineError::BadCommand("a command about an agent names a chatroomId and a role").into())
        }
        _ => {
            Err(MachineError::BadCommand("this command names neither a chatroomId nor a role, and resumes nothing")
                .into())
        }
    }
}

fn draft(
    work: &Work,
    user: UserId,
    machine: &Machine,
    kind: CommandType,
    slot: Option<(&Room, &Role)>,
) -> Result<Command, Error> {
    Ok(Command {
        id: work.app.id(CommandId::from_parts)?,
        machine: machine.id,
        kind,
        slot: slot.map(|(room, role)| (room.id, role.clone())),
        run: None,
        status: CommandStatus::Pending,
        result: None,
        sent_by: user,
        created_at: work.now,
        deadline_at: work.now.plus_millis(deadline_ms(kind)),
        received_at: None,
        processed_at: None,
    })
}

/// Writes a command that the machine is to take.
async fn queue(work: &mut Work, command: &Command, push_sealed: String) -> Result<(), Error> {
    chatroom_store::commands::insert(&work.tx, command, push_sealed).await?;
    work.touch(Topic::Machine(command.machine));
    told(work, command).await
}

/// Writes a command whose outcome is plain without asking the machine.
async fn at_once(work: &mut Work, mut command: Command, result: String) -> Result<Command, Error> {
    command.status = CommandStatus::Completed;
    command.result = Some(result);
    command.processed_at = Some(work.now);
    chatroom_store::commands::insert(&work.tx, &command, String::new()).await?;
    told(work, &command).await?;
    Ok(command)
}

async fn told(work: &mut Work, command: &Command) -> Result<(), Error> {
    let kind = match command.status {
        CommandStatus::Pending => "command.pending",
        CommandStatus::Processing => "command.processing",
        CommandStatus::Completed => "command.completed",
        CommandStatus::Failed => "command.failed",
        CommandStatus::Expired => "command.expired",
    };
    let (room, role) = command.slot.clone().unzip();
    let event = NewEvent {
        kind,
        private_to: Some(command.sent_by),
        user: Some(command.sent_by),
        room,
        role,
        machine: Some(command.machine),
        subject: Some(command.id.to_string()),
        outcome: command.result.clone(),
    };
    match room {
        Some(room) => {
            let room = rooms::of(&work.tx, room).await?;
            work.event(room.instance, event).await
        }
        None => work.event_for(command.sent_by, event).await,
    }
}

/// Applies what was heard about a command, in its order; returns whether that changed anything.
pub async fn settle(
    work: &mut Work,
    machine: MachineId,
    id: CommandId,
    events: impl IntoIterator<Item = CommandEvent>,
) -> Result<bool, Error> {
    let Some(mut command) = chatroom_store::commands::find(&work.tx, machine, id).await? else {
        return Ok(false);
    };
    let mut changed = false;
    for event in events {
        if command.hear(event, work.now) {
            command.result = command.result.map(|result| agents::life::short(&result));
            told(work, &command).await?;
            changed = true;
        }
    }
    if changed {
        chatroom_store::commands::update(&work.tx, &command).await?;
        if matches!(command.status, CommandStatus::Failed | CommandStatus::Expired) {
            came_to_nothing(work, &command).await?;
        }
    }
    Ok(changed)
}

/// Ends the run of a start that failed before there was a process.
async fn came_to_nothing(work: &mut Work, command: &Command) -> Result<(), Error> {
    let Some(id) = command.run else { return Ok(()) };
    match chatroom_store::runs::of(&work.tx, id).await? {
        Some(run) if run.live() && run.pid.is_none() => {
            let room = rooms::of(&work.tx, run.room).await?;
            let why = command.result.clone().unwrap_or_default();
            // A person's start comes in time or not at all. One of ours waits for a machine that went away meanwhile.
            let slot = agents::slot(&work.tx, run.room, &run.role).await?;
            let waits = command.status == CommandStatus::Expired && slot.counted_from < command.created_at;
            let ending = if waits { Ending::Crashed } else { Ending::Refused };
            agents::life::exit(work, &room, run, ending, &why).await
        }
        _ => Ok(()),
    }
}

/// Reads the outcome a machine tells.
pub fn heard(status: CommandStatus, result: String) -> Option<CommandEvent> {
    match status {
        CommandStatus::Completed => Some(CommandEvent::Succeeded(result)),
        CommandStatus::Failed => Some(CommandEvent::Refused(result)),
        CommandStatus::Expired => Some(CommandEvent::TooLate(result)),
        CommandStatus::Pending | CommandStatus::Processing => None,
    }
}

/// Makes what is pushed for a command.
pub(crate) fn push_body(app: &App, command: &Command, sealed: &str, now: Timestamp) -> Result<PushCommand, Error> {
    let mut push = PushCommand {
        command_id: command.id,
        kind: command.kind.as_str().to_owned(),
        expires_in_ms: command.deadline_at.millis_since(now),
        start: None,
        slot: command.slot.clone().map(|(chatroom_id, role)| Slot { chatroom_id, role }),
        by: None,
    };
    if !sealed.is_empty() {
        let Sealed { start, replaces } = open(app, command.id, sealed)?;
        push.start = Some(start);
        if replaces {
            REPLACE.as_str().clone_into(&mut push.kind);
        }
    }
    Ok(push)
}

/// What a start needs beside its command; it holds the run's token, so it is sealed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed {
    start: StartRun,
    replaces: bool,
}

fn seal(app: &App, id: CommandId, what: &Sealed) -> Result<String, Error> {
    let text = serde_json::to_string(what)
        .map_err(|error| Error::Internal(format!("a start could not be written: {error}")))?;
    let row = id.to_string();
    Ok(app.keys.seal(place(&row), &text, app.random()?)?)
}

fn open(app: &App, id: CommandId, sealed: &str) -> Result<Sealed, Error> {
    let text = app.keys.open(place(&id.to_string()), sealed)?;
    serde_json::from_str(&text).map_err(|error| Error::Internal(format!("a start could not be read: {error}")))
}

fn place(row: &str) -> Place<'_> {
    Place { column: "commands.push", row }
}

/// Checks that a caller may read the commands of a machine: its user, or the machine itself.
pub async fn readable(db: &impl Access, caller: &Caller, id: MachineId) -> Result<(), Error> {
    match caller {
        Caller::Person { user, .. } => machines::find(db, id, *user).await.map(drop),
        Caller::Machine { machine, .. } if *machine == id => Ok(()),
        Caller::Machine { .. } => Err(MachineError::NotFound.into()),
        Caller::Run { .. } => Err(Error::Forbidden("an agent inside its run cannot do this; a person can")),
    }
}

/// Shows a command.
pub fn view(command: Command) -> CommandView {
    let (chatroom_id, role) = command.slot.unzip();
    CommandView {
        command_id: command.id,
        machine_id: command.machine,
        kind: command.kind,
        chatroom_id,
        role,
        run_id: command.run,
        status: command.status,
        result: command.result,
        sent_by: command.sent_by,
        created_at: command.created_at,
        deadline_at: command.deadline_at,
        received_at: command.received_at,
        processed_at: command.processed_at,
    }
}
