//! Removing a machine: its credential ends, its configurations go, its roles are free.

use chatroom_domain::agents::Desired;
use chatroom_domain::machines::MachineError;
use chatroom_protocol::api::commands::CommandType;
use chatroom_protocol::api::daemon::{CommandReceipt, PushCommand, Slot};
use chatroom_protocol::{CommandId, MachineId, UserId};
use chatroom_store::Access;
use futures_util::future::join_all;

use super::call::Peer;
use super::credential::{self, cut};
use super::{find, tell};
use crate::agents::{self, life::Ending};
use crate::app::{App, Work};
use crate::error::Error;
use crate::rooms;

/// How long a machine that is removed has to end its runs, before its tunnel is closed.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(500);

/// Removes a machine of `user` and closes its tunnel.
pub async fn remove(app: &App, user: UserId, id: MachineId) -> Result<(), Error> {
    let mut work = app.begin().await?;
    let machine = find(&work.tx, id, user).await?;
    let peer = peer(app, &work.tx, id).await;
    let slots = end_runs(&mut work, id, "machine removed").await?;
    for mut slot in chatroom_store::agents::on_machine(&work.tx, id).await? {
        slot.desired = Desired::Stopped;
        slot.machine = None;
        slot.run = None;
        slot.shared = false;
        slot.gave_up = None;
        slot.restart_at = None;
        chatroom_store::agents::put(&work.tx, &slot).await?;
        let room = rooms::of(&work.tx, slot.room).await?;
        let outcome = Some("machine removed".to_owned());
        agents::tell(&mut work, &room, &slot.role, "agent.freed", None, outcome).await?;
    }
    tell(&mut work, &machine, "machine.removed", None).await?;
    if !chatroom_store::machines::remove(&work.tx, id, user).await? {
        return Err(MachineError::NotFound.into());
    }
    work.commit().await?;

    if let Some(peer) = peer {
        let _ = tokio::time::timeout(FAREWELL, order_stops(app, &peer, slots)).await;
    }
    cut(app, id);
    Ok(())
}

/// Writes that every run of a machine is over and not wanted any more; returns where they were.
pub(super) async fn end_runs(work: &mut Work, id: MachineId, why: &str) -> Result<Vec<Slot>, Error> {
    let mut slots = Vec::new();
    for run in chatroom_store::runs::live_on(&work.tx, id).await? {
        slots.push(Slot { chatroom_id: run.room, role: run.role.clone() });
        let room = rooms::of(&work.tx, run.room).await?;
        let mut slot = agents::slot(&work.tx, run.room, &run.role).await?;
        if slot.run == Some(run.id) {
            slot.desired = Desired::Stopped;
            chatroom_store::agents::put(&work.tx, &slot).await?;
        }
        agents::life::exit(work, &room, run, Ending::Requested, why).await?;
    }
    Ok(slots)
}

async fn peer(app: &App, db: &impl Access, id: MachineId) -> Option<Peer> {
    let link = app.links.get(&id)?;
    let proof = credential::proof(app, db, id).await.ok()?;
    Some(Peer { link, token: proof.token })
}

/// Asks the machine to end what it runs. Nobody may steer that any more, and its tokens are dead.
async fn order_stops(app: &App, peer: &Peer, slots: Vec<Slot>) {
    let stops = slots.into_iter().map(|slot| async move {
        let Ok(command_id) = app.id(CommandId::from_parts) else { return };
        let push = PushCommand {
            command_id,
            kind: CommandType::StopAgent.as_str().to_owned(),
            expires_in_ms: 60_000,
            start: None,
            slot: Some(slot),
            by: None,
        };
        if let Err(error) = peer.post::<CommandReceipt>("/commands", &push).await {
            tracing::info!(%error, "a removed machine did not take a last stop");
        }
    });
    join_all(stops).await;
}
