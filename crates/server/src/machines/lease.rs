//! Online is a lease: written when a tunnel is up, renewed while the daemon
//! answers, ended with the tunnel. It is read by the clock, so a server that
//! died leaves nobody online.
//!
//! Renewing writes no event, and one statement serves many machines.

use std::time::Duration;

use chatroom_domain::agents::RUN_TOKEN_MS;
use chatroom_domain::machines::{LEASE_MS, Machine, MachineError, RENEW_EVERY_MS};
use chatroom_protocol::api::daemon::{Ping, Pong};
use chatroom_protocol::{MachineId, PROTOCOL_VERSION};
use chatroom_store::events::NewEvent;
use chatroom_store::machines::Connected;
use chatroom_tunnel::Generation;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::call::{CallError, Peer};
use super::credential::{self, Proof};
use super::{link, tell};
use crate::app::{App, Work};
use crate::error::Error;
use crate::rooms;

/// How often leases are renewed.
const RENEW_EVERY: Duration = Duration::from_millis(RENEW_EVERY_MS.unsigned_abs());
/// The pause between two rounds, which is part of it.
pub const PAUSE: Duration = Duration::from_secs(5);
/// Machines asked at once, unless there are so many that a round would not end in time: they share a write.
const TOGETHER: usize = 20;
/// Parts of a round at most.
const PARTS: u32 = 50;

/// Asks a daemon whether it is there, and shows it that we are who it knows.
pub async fn ping(peer: &Peer) -> Result<Pong, CallError> {
    let ping = Ping { protocol_version: PROTOCOL_VERSION, server_version: env!("CARGO_PKG_VERSION").to_owned() };
    peer.post("/platform/ping", &ping).await
}

/// Renews the leases of all machines that are connected, some after others.
///
/// A round takes its time: thousands asked in one moment would keep everybody else waiting, and one machine that
/// does not answer would keep the others.
pub async fn round(app: App) -> Result<(), Error> {
    let mut ids = app.links.keys();
    // In the same order each time, so that each machine's turn comes as often as the round.
    ids.sort_unstable();
    let step = RENEW_EVERY.saturating_sub(PAUSE) / PARTS;
    let began = Instant::now();
    let together = ids.len().div_ceil(PARTS as usize).max(TOGETHER);
    for (part, some) in (0..).zip(ids.chunks(together)) {
        sleep_until(began + step * part).await;
        let (app, some) = (app.clone(), some.to_vec());
        app.tasks.clone().spawn(async move {
            if let Err(error) = renew(&app, some).await {
                tracing::error!(%error, "leases could not be renewed; they will be in the next round");
            }
        });
    }
    sleep_until(began + step * PARTS).await;
    Ok(())
}

/// Renews the lease of every machine among these whose daemon answers.
pub async fn renew(app: &App, ids: Vec<MachineId>) -> Result<(), Error> {
    let mut proofs = credential::proofs(app, &app.reader(), &ids).await?;
    let asked = ids.into_iter().map(|id| ask(app, id, proofs.remove(&id)));
    let answered: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    if answered.is_empty() {
        return Ok(());
    }
    let work = app.begin().await?;
    // A tunnel that ended meanwhile has ended its lease, or is about to: writes come one after another.
    let alive: Vec<MachineId> = answered
        .into_iter()
        .filter(|(id, generation)| app.links.generation(id) == Some(*generation))
        .map(|(id, _)| id)
        .collect();
    let lease_until = work.now.plus_millis(LEASE_MS);
    chatroom_store::machines::renew(&work.tx, &alive, work.now, lease_until).await?;
    let token_until = work.now.plus_millis(RUN_TOKEN_MS);
    chatroom_store::runs::renew_tokens(&work.tx, &alive, token_until).await?;
    work.commit().await
}

async fn ask(app: &App, id: MachineId, proof: Option<Result<Proof, Error>>) -> Option<(MachineId, Generation)> {
    let generation = app.links.generation(&id)?;
    let held = app.links.get(&id)?;
    let asked = async {
        let token = proof.ok_or(MachineError::NotFound)??.token;
        let peer = Peer { link: held.clone(), token };
        Ok::<_, Error>(ping(&peer).await?)
    };
    let error = match asked.await {
        Ok(pong) => {
            if let Err(error) = link::end_unwanted(app, id, &pong).await {
                tracing::error!(machine.id = %id, %error, "what lives on a machine could not be compared with what is wanted");
            }
            return Some((id, generation));
        }
        Err(error) => error,
    };
    tracing::info!(machine.id = %id, %error, "a machine did not answer");
    let machine = chatroom_store::machines::of(&app.reader(), id).await;
    if let Ok(machine) = machine
        && !machine.is_some_and(|machine| machine.online(app.clock.now()))
    {
        // Its lease is over: let the daemon dial again, and say that it was away.
        held.close();
    }
    None
}

/// Writes that a machine is online, and tells those who look at its agents.
pub async fn begin(
    work: &mut Work,
    machine: &Machine,
    epoch: u64,
    version: &str,
    renewal: Option<u64>,
) -> Result<(), Error> {
    let connected = Connected {
        epoch,
        version,
        // It never goes back.
        renewal: machine.renewal.max(renewal.unwrap_or_default()),
        at: work.now,
        lease_until: work.now.plus_millis(LEASE_MS),
    };
    chatroom_store::machines::connected(&work.tx, machine.id, connected).await?;
    tell(work, machine, "machine.online", None).await?;
    if tell_rooms(work, machine, "agent.reachable").await? {
        let token_until = work.now.plus_millis(RUN_TOKEN_MS);
        chatroom_store::runs::renew_tokens(&work.tx, &[machine.id], token_until).await?;
    }
    Ok(())
}

/// Writes that a machine is offline, and tells those who look at its agents.
pub async fn end(work: &mut Work, id: MachineId) -> Result<(), Error> {
    // A removed machine has told its end already.
    let Some(machine) = chatroom_store::machines::of(&work.tx, id).await? else {
        return Ok(());
    };
    chatroom_store::machines::disconnected(&work.tx, id, work.now).await?;
    tell(work, &machine, "machine.offline", None).await?;
    tell_rooms(work, &machine, "agent.unreachable").await?;
    Ok(())
}

/// Returns whether there are agents on a machine, whose rooms were told.
async fn tell_rooms(work: &mut Work, machine: &Machine, kind: &'static str) -> Result<bool, Error> {
    let runs = chatroom_store::runs::live_on(&work.tx, machine.id).await?;
    let are_there = !runs.is_empty();
    for run in runs {
        let room = rooms::of(&work.tx, run.room).await?;
        let event = NewEvent {
            kind,
            room: Some(run.room),
            role: Some(run.role),
            subject: Some(run.id.to_string()),
            ..NewEvent::default()
        };
        work.event(room.instance, event).await?;
    }
    Ok(are_there)
}
