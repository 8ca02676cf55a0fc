//! The reverse tunnel, server end.
//!
//! A machine dials us and keeps one connection open; we push commands and prompts
//! down it. The connection may die at any moment, so nothing here is the truth:
//! the truth is in the tables, and whatever was not acknowledged is pushed again
//! over the next one.

use chatroom_domain::agents::Found;
use chatroom_domain::machines::{Machine, MachineError};
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::daemon::{LiveRun, Pong};
use chatroom_protocol::{MachineId, PROTOCOL_VERSION, UserId};
use chatroom_store::Access;
use chatroom_store::machines::{Known, NextCredential};
use chatroom_tunnel::{Generation, Link, Pending};
use tokio_util::sync::CancellationToken;

use super::call::Peer;
use super::credential::{self, Proof};
use super::{bulk, check_tools, lease, push, renewal, tell};
use crate::agents::life::Ending;
use crate::app::{App, Topic, Work};
use crate::error::Error;
use crate::{agents, commands, rooms};

/// How long a daemon may take to hear that the server leaves.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

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
    /// The renewal counter of its home.
    pub renewal: u64,
}

/// Checks a daemon that asks for a tunnel, before it gets one.
pub async fn greet(app: &App, id: MachineId, user: UserId, hello: &Hello) -> Result<(), Error> {
    let checked = check_version(app, hello);
    app.gaps.note(id, checked.as_ref().err().map(ToString::to_string));
    checked?;
    let machine = super::find(&app.reader(), id, user).await?;
    // First the count: an old copy of the home has an old epoch as well, and must not pass for a daemon that ends.
    renewal::check(app, &machine, hello.renewal).await?;
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
        match Box::pin(pending.connect(bulk::settings())).await {
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
        let reader = app.reader();
        let proof = Box::pin(credential::proof(app, &reader, id)).await?;
        peer.token.clone_from(&proof.token);
        let pong = Box::pin(lease::ping(&peer)).await?;
        let renewal = Box::pin(renewal::give(app, id, &peer, hello.renewal)).await?;
        Ok::<_, Error>(Introduced { proof, pong, renewal })
    };
    // Boxed, as is whatever else is over before it goes quiet: what stays is kept for every machine.
    let introduced = match app.stopping.run_until_cancelled(Box::pin(introduced)).await {
        Some(Ok(introduced)) => introduced,
        Some(Err(error)) => {
            tracing::warn!(machine.id = %id, %error, "a daemon did not take us for its platform");
            link.close();
            return;
        }
        None => {
            Box::pin(farewell(&peer)).await;
            link.close();
            return;
        }
    };
    let arrived = async {
        // Not before it has shown what it is: whoever stays silent keeps nobody waiting. Nearly all wait here when all
        // machines come at once, so there is room for what follows only then.
        let _turn = app.arrivals.take().await?;
        Box::pin(arrive(app, id, hello, &introduced, &link)).await
    };
    let Arrived { generation, next } = match arrived.await {
        Ok(Some(arrived)) => arrived,
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
    let serve = async {
        if let Some(next) = next {
            Box::pin(credential::offer_again(app, id, &peer, &next)).await;
        }
        push::push(app, id, &link).await
    };
    tokio::select! {
        () = gone.cancelled() => {}
        () = app.stopping.cancelled() => Box::pin(farewell(&peer)).await,
        Err(error) = serve => {
            tracing::error!(machine.id = %id, %error, "pushing failed; the machine dials again");
        }
    }
    link.close();
    let is_gone = app.links.remove_if(&id, generation);
    app.bulk.end(id, generation);
    if is_gone && let Err(error) = Box::pin(leave(app, id)).await {
        // Its lease ends by itself.
        tracing::error!(machine.id = %id, %error, "a machine could not be written down as offline");
    }
}

/// What came of the first words with a daemon.
struct Introduced {
    proof: Proof,
    pong: Pong,
    /// The count it has on disk now.
    renewal: Option<u64>,
}

/// A machine that is written down as online.
struct Arrived {
    generation: Generation,
    /// The credential it has been offered and not shown yet.
    next: Option<Box<NextCredential>>,
}

/// Tells a daemon that another connection can be had at once or soon, so that it does not wonder.
async fn farewell(peer: &Peer) {
    let nothing = serde_json::Map::new();
    let told = peer.tell("/platform/reconnect", &nothing);
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

/// Writes an arrival, and makes its tunnel the machine's. `None` if a newer credential or daemon came first.
///
/// The tunnel is put in its place inside the write: whoever ends the one before it
/// sees either no successor and no lease of it, or both.
async fn arrive(
    app: &App,
    id: MachineId,
    hello: &Hello,
    introduced: &Introduced,
    link: &Link,
) -> Result<Option<Arrived>, Error> {
    let Introduced { proof, pong, renewal } = introduced;
    let mut work = app.begin().await?;
    let Some(known) = chatroom_store::machines::known(&work.tx, id).await? else {
        return Ok(None);
    };
    let Known { machine, platform_token_sealed: sealed, next, watermark } = known;
    if sealed.as_ref() != Some(&proof.sealed) || hello.epoch < machine.epoch || machine.locked_at.is_some() {
        return Ok(None);
    }
    let version: String = hello.version.chars().take(60).collect();
    lease::begin(&mut work, &machine, hello.epoch, &version, *renewal).await?;
    let tools = check_tools(pong.tools.clone())?;
    // A daemon that has just started has not looked yet, and names none at all.
    if !tools.is_empty() && tools != machine.tools {
        chatroom_store::machines::set_tools(&work.tx, id, &tools).await?;
        tell(&mut work, &machine, "machine.tools", None).await?;
    }
    stop_unwanted(&mut work, &machine, pong).await?;
    let journal = watermark.journal.as_ref();
    if journal.is_some_and(|journal| *journal != hello.journal) {
        end_lost(&mut work, &machine, pong).await?;
    }
    if journal != Some(&hello.journal) {
        chatroom_store::machines::set_watermark(&work.tx, id, &hello.journal, 0).await?;
    }
    let (generation, replaced) = app.links.insert(id, link.clone());
    let written = work.commit().await;
    // Only now: whoever is replaced dials again at once, and must find what replaced it written down.
    if let Some(replaced) = replaced {
        replaced.close();
    }
    if let Err(error) = written {
        app.links.remove_if(&id, generation);
        return Err(error);
    }
    Ok(Some(Arrived { generation, next: next.map(Box::new) }))
}

/// Orders the end of what lives on a machine and nobody wants: a stop takes effect however long it was away.
async fn stop_unwanted(work: &mut Work, machine: &Machine, pong: &Pong) -> Result<(), Error> {
    for live in &pong.runs {
        if let Some(room) = unwanted(&work.tx, machine.id, live, Seen::Now).await? {
            commands::stop::order(work, machine, &room, &live.role).await?;
        }
    }
    Ok(())
}

/// Ends the runs of a journal that is gone: they will never be heard of again.
async fn end_lost(work: &mut Work, machine: &Machine, pong: &Pong) -> Result<(), Error> {
    for run in chatroom_store::runs::live_on(&work.tx, machine.id).await? {
        let there = pong.runs.iter().any(|live| live.run_id == run.id);
        let under_way = chatroom_store::commands::has_open(&work.tx, machine.id, run.room, &run.role).await?;
        if !there && !under_way {
            let room = rooms::of(&work.tx, run.room).await?;
            let reason = "the machine came back without its journal, and without this run";
            agents::life::exit(work, &room, run, Ending::Crashed, reason).await?;
        }
    }
    Ok(())
}

/// Orders the end of runs a daemon says it has and nobody wants: a start that was given up here may have come to be there.
pub(super) async fn end_unwanted(app: &App, id: MachineId, pong: &Pong) -> Result<(), Error> {
    for live in &pong.runs {
        if unwanted(&app.reader(), id, live, Seen::Before).await?.is_none() {
            continue;
        }
        let mut work = app.begin().await?;
        if let Some(machine) = chatroom_store::machines::of(&work.tx, id).await?
            && let Some(room) = unwanted(&work.tx, id, live, Seen::Before).await?
        {
            commands::stop::order(&mut work, &machine, &room, &live.role).await?;
            work.commit().await?;
        }
    }
    Ok(())
}

/// When a daemon said what lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// As it connected: nothing was pushed to it since.
    Now,
    /// While it went on: what it said may be over.
    Before,
}

/// Returns the room of a run that is to be ended.
async fn unwanted(db: &impl Access, machine: MachineId, live: &LiveRun, seen: Seen) -> Result<Option<Room>, Error> {
    let Some(room) = chatroom_store::rooms::of(db, live.chatroom_id).await? else {
        return Ok(None);
    };
    let slot = agents::slot(db, room.id, &live.role).await?;
    let here = chatroom_store::runs::live_in(db, room.id, &live.role).await?;
    let found = Found {
        run: live.run_id,
        // A run that was given up here, because its machine was away, is not wanted any more.
        known: here.iter().any(|run| run.id == live.run_id),
        under_way: chatroom_store::commands::has_open(db, machine, room.id, &live.role).await?,
        replaced: seen == Seen::Before
            && here.iter().any(|run| run.id != live.run_id && run.machine == machine && run.pid.is_some()),
    };
    Ok(slot.is_unwanted(found).then_some(room))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_machine_that_waits_or_does_nothing_costs_its_server_little() {
        type Arguments = (&'static App, MachineId, &'static Hello, Peer, &'static CancellationToken);
        let live = size(|(app, id, hello, peer, gone): Arguments| live(app, id, hello, peer, gone));
        assert!(live < 2048, "{live} bytes");
    }
}
