//! Starting again what stopped by itself.
//!
//! When is written with the crash itself (see `life::exit`), so a server
//! that dies in between forgets nothing. A machine that is away is waited for.

use chatroom_domain::agents::{Agent, Desired};

use super::{slot, tell};
use crate::app::{App, Work};
use crate::commands::start;
use crate::error::Error;
use crate::rooms;

/// Starts every agent whose time has come and whose machine is there.
pub async fn due(app: App) -> Result<(), Error> {
    let reader = app.reader();
    for slot in chatroom_store::agents::due(&reader, app.clock.now()).await? {
        let machine = match slot.machine {
            Some(id) => chatroom_store::machines::of(&reader, id).await?,
            None => None,
        };
        if machine.is_some_and(|machine| !machine.online(app.clock.now())) {
            continue;
        }
        // Each by itself: one that cannot be started keeps no other from it.
        match one(&app, &slot).await {
            Err(error) if error.trouble().is_none() => {
                tracing::error!(%error, room.id = %slot.room, role = %slot.role, "an agent could not be started again");
            }
            done => done?,
        }
    }
    Ok(())
}

async fn one(app: &App, due: &Agent) -> Result<(), Error> {
    let mut work = app.begin().await?;
    let slot = slot(&work.tx, due.room, &due.role).await?;
    // A person may have started or stopped it since.
    if slot.restart_at != due.restart_at {
        return Ok(());
    }
    restart(&mut work, slot).await?;
    work.commit().await
}

async fn restart(work: &mut Work, slot: Agent) -> Result<(), Error> {
    let machine = match slot.machine {
        Some(id) => chatroom_store::machines::of(&work.tx, id).await?,
        None => None,
    };
    let room = rooms::of(&work.tx, slot.room).await?;
    let Some(machine) = machine.filter(|_| slot.desired == Desired::Running) else {
        return leave(work, Agent { restart_at: None, ..slot }).await;
    };
    if !machine.online(work.now) {
        return Ok(());
    }
    if let Err(error) = rooms::find(&work.tx, slot.room, machine.user).await {
        return match error {
            // Its user left the room.
            Error::Room(_) => leave(work, Agent { desired: Desired::Stopped, restart_at: None, ..slot }).await,
            other => Err(other),
        };
    }
    match start::again(work, &machine, &room, slot.clone()).await {
        Err(Error::Machine(refused)) => {
            let role = slot.role.clone();
            leave(work, Agent { gave_up: Some(refused.to_string()), restart_at: None, ..slot }).await?;
            tell(work, &room, &role, "agent.gave-up", None, None).await
        }
        done => done,
    }
}

async fn leave(work: &Work, slot: Agent) -> Result<(), Error> {
    Ok(chatroom_store::agents::put(&work.tx, &slot).await?)
}
