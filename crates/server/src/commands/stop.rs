//! Stopping an agent: what is wanted is written first, then the machine is told.

use chatroom_domain::agents::Desired;
use chatroom_domain::commands::Command;
use chatroom_domain::machines::Machine;
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::commands::CommandType;
use chatroom_protocol::{Role, RoomId, UserId};

use super::{at_once, draft, queue};
use crate::agents;
use crate::app::Work;
use crate::error::Error;
use crate::{machines, rooms};

/// Returns the room a stop is about: one the machine's user is a member of, or one where the machine runs something
/// that outlived the membership.
pub(super) async fn place(work: &Work, machine: &Machine, id: RoomId, role: &Role) -> Result<Room, Error> {
    let live = chatroom_store::runs::live_in(&work.tx, id, role).await?;
    if live.iter().any(|run| run.machine == machine.id) {
        return rooms::of(&work.tx, id).await;
    }
    let room = rooms::find(&work.tx, id, machine.user).await?;
    room.role(role)?;
    Ok(room)
}

/// Stops what a role runs on a machine. Stopping what does not run is done at once.
pub(super) async fn stop(
    work: &mut Work,
    user: UserId,
    machine: &Machine,
    room: &Room,
    role: &Role,
) -> Result<Command, Error> {
    let mut slot = agents::slot(&work.tx, room.id, role).await?;
    if slot.machine == Some(machine.id) {
        slot.desired = Desired::Stopped;
        slot.gave_up = None;
        slot.restart_at = None;
        chatroom_store::agents::put(&work.tx, &slot).await?;
        agents::tell(work, room, role, "agent.stopping", slot.run, None).await?;
    }
    let live = chatroom_store::runs::live_in(&work.tx, room.id, role).await?;
    let command = draft(work, user, machine, CommandType::StopAgent, Some((room, role)))?;
    if live.iter().any(|run| run.machine == machine.id) {
        queue(work, &command, String::new()).await?;
        Ok(command)
    } else {
        at_once(work, command, "was not running".into()).await
    }
}

/// Stops the live run of a role, on whichever machine of `user` it is.
pub async fn stop_slot(work: &mut Work, user: UserId, room: &Room, role: &Role) -> Result<(), Error> {
    if let Some(run) = agents::live_run(&work.tx, room.id, role).await? {
        let machine = machines::find(&work.tx, run.machine, user).await?;
        stop(work, user, &machine, room, role).await?;
    }
    Ok(())
}

/// Tells a machine to end what lives in a place where nothing should, whatever is written of it here.
pub(crate) async fn order(work: &mut Work, machine: &Machine, room: &Room, role: &Role) -> Result<(), Error> {
    let kind = CommandType::StopAgent;
    let command = draft(work, machine.user, machine, kind, Some((room, role)))?;
    queue(work, &command, String::new()).await
}
