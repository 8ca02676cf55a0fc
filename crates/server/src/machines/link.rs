//! The reverse tunnel, server end.
//!
//! A machine dials us and keeps one connection open; we push commands and prompts
//! down it. The connection may die at any moment, so nothing here is the truth:
//! the truth is in the tables, and whatever was not acknowledged is pushed again
//! over the next one.

use chatroom_domain::agents::Desired;
use chatroom_domain::machines::{Machine, MachineError};
use chatroom_protocol::api::daemon::Pong;
use chatroom_protocol::{MachineId, PROTOCOL_VERSION, UserId};
use chatroom_tunnel::{Generation, Link, Pending, Settings};
use tokio_util::sync::CancellationToken;

use super::call::Peer;
use super::credential::{self, Proof};
use super::{check_tools, lease, push, tell};
use crate::app::{App, Topic, Work};
use crate::error::Error;
use crate::{agents, commands, rooms};

/// What a daemon says of itself when it dials.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Which daemon of the machine it is: each start counts one up.
    pub epoch: u64,
    /// The version of the conversation it speaks.
    pub protocol: u32,
    /// Its version.
    pub version: String,
    /// Which journal it keeps.
    pub journal: String,
}

/// Checks a daemon that asks for a tunnel, before it gets one.
pub async fn greet(app: &App, id: MachineId, user: UserId, hello: &Hello) -> Result<(), Error> {
    check_version(app, hello)?;
    let machine = super::find(&app.reader(), id, user).await?;
    if hello.epoch < machine.epoch {
        return Err(MachineError::StaleEpoch.into());
    }
    Ok(())
}

fn check_version(app: &App, hello: &Hello) -> Result<(), Error> {
    let (theirs, ours) = (hello.protocol, PROTOCOL_VERSION);
    if theirs > ours {
        return Err(Error::VersionGap(format!(
            "this machine's chatroom {} is newer than the server's {}; update the server, or on this machine run: {}",
            hello.version,
            env!("CARGO_PKG_VERSION"),
            update_line(app)
        )));
    }
    if theirs + 1 < ours {
        return Err(Error::VersionGap(format!(
            "this machine's chatroom {} is too old for the server's {}; on this machine run: {}",
            hello.version,
            env!("CARGO_PKG_VERSION"),
            update_line(app)
        )));
    }
    Ok(())
}

fn update_line(app: &App) -> String {
    let script = app.config.public_url.join("/join.sh");
    format!("curl -fsSL {script} | sh && chatroom machine daemon stop && chatroom machine daemon start")
}

/// Takes a tunnel over in a task of its own, until it ends.
pub fn take(app: &App, id: MachineId, hello: Hello, pending: Pending) {
    let (app, tasks) = (app.clone(), app.tasks.clone());
    tasks.spawn(async move {
        match pending.connect(Settings::default()).await {
            Ok((link, driver)) => {
                let gone = CancellationToken::new();
                let end = gone.clone();
                app.tasks.spawn(async move {
                    let closed = driver.await;
                    tracing::info!(machine.id = %id, %closed, "a tunnel ended");
                    end.cancel();
                });
                let token = String::new();
                live(&app, id, &hello, Peer { link, token }, &gone).await;
            }
            Err(error) => tracing::info!(machine.id = %id, %error, "a tunnel did not come to be"),
        }
    });
}

/// Lives through one connection: proof, lease, pushing, end of lease. The link is closed when this returns.
async fn live(app: &App, id: MachineId, hello: &Hello, mut peer: Peer, gone: &CancellationToken) {
    let link = peer.link.clone();
    let introduced = async {
        let proof = credential::proof(app, &app.reader(), id).await?;
        peer.token.clone_from(&proof.token);
        let pong = lease::ping(&peer).await?;
        Ok::<_, Error>((proof, pong))
    };
    let (proof, pong) = match introduced.await {
        Ok(introduced) => introduced,
        Err(error) => {
            tracing::warn!(machine.id = %id, %error, "a daemon did not take us for its platform");
            link.close();
            return;
        }
    };
    let generation = match arrive(app, id, hello, &pong, &proof, &link).await {
        Ok(Some(generation)) => generation,
        Ok(None) => {
            tracing::info!(machine.id = %id, "a tunnel was overtaken before it began");
            link.close();
            return;
        }
        Err(error) => {
            tracing::error!(machine.id = %id, %error, "a machine could not be written down as online");
            link.close();
            return;
        }
    };
    tracing::info!(machine.id = %id, epoch = hello.epoch, "a machine is online");
    tokio::select! {
        () = gone.cancelled() => {}
        () = app.stopping.cancelled() => {}
        Err(error) = push::push(app, id, &peer) => {
            tracing::error!(machine.id = %id, %error, "pushing failed; the machine dials again");
        }
    }
    link.close();
    if app.links.remove_if(&id, generation)
        && let Err(error) = leave(app, id).await
    {
        // Its lease ends by itself.
        tracing::error!(machine.id = %id, %error, "a machine could not be written down as offline");
    }
}

/// Writes an arrival, and makes its tunnel the machine's. `None` if a newer credential or daemon came first.
///
/// The tunnel is put in its place inside the write: whoever ends the one before it
/// sees either no successor and no lease of it, or both.
async fn arrive(
    app: &App,
    id: MachineId,
    hello: &Hello,
    pong: &Pong,
    proof: &Proof,
    link: &Link,
) -> Result<Option<Generation>, Error> {
    let mut work = app.begin().await?;
    let Some(machine) = chatroom_store::machines::of(&work.tx, id).await? else {
        return Ok(None);
    };
    let sealed = chatroom_store::machines::platform_token_sealed(&work.tx, id).await?;
    if sealed.as_ref() != Some(&proof.sealed) || hello.epoch < machine.epoch {
        return Ok(None);
    }
    let version: String = hello.version.chars().take(60).collect();
    lease::begin(&mut work, &machine, hello.epoch, &version).await?;
    let tools = check_tools(pong.tools.clone())?;
    // A daemon that has just started has not looked yet, and names none at all.
    if !tools.is_empty() && tools != machine.tools {
        chatroom_store::machines::set_tools(&work.tx, id, &tools).await?;
        tell(&mut work, &machine, "machine.tools", None).await?;
    }
    reconcile(&mut work, &machine, hello, pong).await?;
    let (generation, replaced) = app.links.insert(id, link.clone());
    if let Some(replaced) = replaced {
        replaced.close();
    }
    if let Err(error) = work.commit().await {
        app.links.remove_if(&id, generation);
        return Err(error);
    }
    Ok(Some(generation))
}

/// Brings together what people want and what lives on the machine.
///
/// A stop takes effect however long the machine was away. Runs of a journal that
/// is gone will never be heard of again.
async fn reconcile(work: &mut Work, machine: &Machine, hello: &Hello, pong: &Pong) -> Result<(), Error> {
    for live in &pong.runs {
        let Some(room) = chatroom_store::rooms::of(&work.tx, live.chatroom_id).await? else {
            continue;
        };
        let slot = agents::slot(&work.tx, room.id, &live.role).await?;
        // A run that was given up here, because its machine was away, is not wanted any more.
        let known = chatroom_store::runs::of(&work.tx, live.run_id).await?.is_some_and(|run| run.live());
        let wanted = known && slot.desired == Desired::Running && slot.run == Some(live.run_id);
        let under_way = chatroom_store::commands::has_open(&work.tx, machine.id, room.id, &live.role).await?;
        if !wanted && !under_way {
            commands::stop::order(work, machine, &room, &live.role).await?;
        }
    }
    let known = chatroom_store::machines::watermark(&work.tx, machine.id).await?;
    let journal = known.and_then(|known| known.journal);
    if journal.is_none_or(|journal| journal == hello.journal) {
        return Ok(());
    }
    for run in chatroom_store::runs::live_on(&work.tx, machine.id).await? {
        let there = pong.runs.iter().any(|live| live.run_id == run.id);
        let under_way = chatroom_store::commands::has_open(&work.tx, machine.id, run.room, &run.role).await?;
        if !there && !under_way {
            let room = rooms::of(&work.tx, run.room).await?;
            let reason = "the machine came back without its journal, and without this run";
            agents::life::exit(work, &room, run, false, reason).await?;
        }
    }
    Ok(())
}

async fn leave(app: &App, id: MachineId) -> Result<(), Error> {
    let mut work = app.begin().await?;
    // The next tunnel may be there already.
    if app.links.generation(&id).is_some() {
        return Ok(());
    }
    lease::end(&mut work, id).await?;
    work.touch(Topic::Machine(id));
    work.commit().await
}
