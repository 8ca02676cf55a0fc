//! The second connection of a machine, for what is big or slow.
//!
//! A reader that stalls holds what its stream may hold unread, and enough of them
//! hold a whole connection. So logs and the like have a connection of their own,
//! which the daemon opens when the first of them is asked for; commands, prompts
//! and pings never wait behind it. What all of it may hold is bounded twice, for
//! each machine and for the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::response::Response;
use chatroom_protocol::MachineId;
use chatroom_protocol::api::daemon::OpenLink;
use chatroom_tunnel::{Generation, Link, Pending, Settings};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::call::{CallError, PATIENCE, Peer};
use super::credential;
use crate::app::App;
use crate::error::{AgentError, Error};

/// How much one stream holds that its reader has not taken.
const STREAM: u32 = 256 * 1024;
/// How many streams of one machine may be open at once. All of them, stalled, leave room for others' answers.
const READERS: u32 = 64;
/// Beyond what stalled streams hold.
const ROOM: u32 = 1024 * 1024;
/// How many streams of all machines may be open at once: they hold 256 MiB at most.
const READERS_IN_ALL: usize = 1024;

/// Returns how the server's end of every tunnel behaves.
///
/// The first connection has the same bounds: a daemon of the version before opens no second.
pub fn settings() -> Settings {
    Settings { stream_window: STREAM, connection_window: READERS * STREAM + ROOM, ..Settings::default() }
}

/// The bulk connections of all machines.
pub struct Bulk {
    machines: Mutex<HashMap<MachineId, Arc<Bulky>>>,
    readers: Arc<Semaphore>,
}

/// That of one machine, for as long as one first connection of it lives.
struct Bulky {
    generation: Generation,
    readers: Arc<Semaphore>,
    /// Held by whoever opens the connection.
    opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    awaited: Option<(String, oneshot::Sender<Link>)>,
}

/// The right to one stream. Keep it for as long as the stream is open.
pub struct Place {
    _of_machine: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Bulk {
    fn default() -> Self {
        Self { machines: Mutex::default(), readers: Arc::new(Semaphore::new(READERS_IN_ALL)) }
    }
}

impl Bulk {
    fn of(&self, id: MachineId, generation: Generation) -> Arc<Bulky> {
        let mut machines = lock(&self.machines);
        let known = machines.get(&id).filter(|known| known.generation == generation);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let fresh = Arc::new(Bulky {
            generation,
            readers: Arc::new(Semaphore::new(READERS as usize)),
            opening: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        });
        if let Some(former) = machines.insert(id, Arc::clone(&fresh)) {
            former.close();
        }
        fresh
    }

    /// Closes the bulk connection of a machine, together with the first connection it belongs to.
    pub fn end(&self, id: MachineId, generation: Generation) {
        let ended = {
            let mut machines = lock(&self.machines);
            if machines.get(&id).is_none_or(|known| known.generation != generation) {
                return;
            }
            machines.remove(&id)
        };
        if let Some(ended) = ended {
            ended.close();
        }
    }

    /// Takes the wait for a connection that shows this ticket. It works once.
    pub fn take_ticket(&self, id: MachineId, ticket: &str) -> Option<oneshot::Sender<Link>> {
        let known = lock(&self.machines).get(&id).cloned()?;
        let mut state = lock(&known.state);
        let (_, waits) = state.awaited.take_if(|(awaited, _)| *awaited == *ticket)?;
        Some(waits)
    }
}

/// Opens a stream of a machine whose body is passed on as it comes.
pub async fn open(app: &App, id: MachineId, path: &str) -> Result<Response, Error> {
    let (peer, place) = peer(app, id).await?;
    let response = peer.open(path).await?;
    Ok(response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |chunk| {
            let _kept = &place;
            chunk
        }))
    }))
}

/// Returns the way to a machine for what is big or slow, and the right to one stream there.
pub async fn peer(app: &App, id: MachineId) -> Result<(Peer, Place), Error> {
    let (Some(generation), Some(control)) = (app.links.generation(&id), app.links.get(&id)) else {
        return Err(AgentError::Offline.into());
    };
    let bulky = app.bulk.of(id, generation);
    let full = |_| AgentError::TooManyStreams;
    let place = Place {
        _of_machine: Arc::clone(&bulky.readers).try_acquire_owned().map_err(full)?,
        _of_all: Arc::clone(&app.bulk.readers).try_acquire_owned().map_err(full)?,
    };
    let token = credential::proof(app, &app.reader(), id).await?.token;
    let control = Peer { link: control, token: token.clone() };
    let link = bulky.link(app, id, &control).await?;
    Ok((Peer { link, token }, place))
}

impl Bulky {
    async fn link(&self, app: &App, id: MachineId, control: &Peer) -> Result<Link, Error> {
        let _opening = self.opening.lock().await;
        if let Some(link) = self.open_link() {
            return Ok(link);
        }
        let ticket = format!("{:032x}", u128::from_ne_bytes(app.random()?));
        let (give, taken) = oneshot::channel();
        lock(&self.state).awaited = Some((ticket.clone(), give));
        match control.tell("/platform/links", &OpenLink { ticket }).await {
            Ok(()) => {}
            // A daemon of the version before has one connection for everything.
            Err(CallError::Refused(problem)) if problem.status == 404 => return Ok(control.link.clone()),
            Err(error) => return Err(error.into()),
        }
        let Ok(Ok(link)) = tokio::time::timeout(PATIENCE, taken).await else {
            let why = "it did not open a connection for this; its log says why";
            return Err(AgentError::MachineFailed(why.to_owned()).into());
        };
        lock(&self.state).link = Some(link.clone());
        if app.links.generation(&id) != Some(self.generation) {
            // What it belongs to ended meanwhile, and nobody would close it.
            link.close();
            return Err(AgentError::Offline.into());
        }
        Ok(link)
    }

    fn close(&self) {
        let state = std::mem::take(&mut *lock(&self.state));
        if let Some(link) = state.link {
            link.close();
        }
    }

    fn open_link(&self) -> Option<Link> {
        lock(&self.state).link.clone().filter(|link| !link.is_closed())
    }
}

/// Takes a connection over for whoever waits for it.
pub fn take(app: &App, id: MachineId, waits: oneshot::Sender<Link>, pending: Pending) {
    let tasks = app.tasks.clone();
    app.tasks.spawn(async move {
        match pending.connect(settings()).await {
            Ok((link, driver)) => {
                tasks.spawn(async move {
                    let closed = driver.await;
                    tracing::debug!(machine.id = %id, %closed, "a tunnel for what is big ended");
                });
                if let Err(unwanted) = waits.send(link) {
                    unwanted.close();
                }
            }
            Err(error) => tracing::info!(machine.id = %id, %error, "a tunnel for what is big did not come to be"),
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing inside can be half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_readers_leave_room_and_fit_the_budget() {
        let settings = settings();
        assert!(settings.stream_window * READERS < settings.connection_window);
        assert!(settings.connection_window < 32 * 1024 * 1024);
        assert!(READERS_IN_ALL * STREAM as usize <= 256 * 1024 * 1024);
    }
}
