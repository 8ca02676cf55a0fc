//! The renewal counter: it tells a home from a copy of it.
//!
//! With every connection, and every hour of one, a daemon is given the next count,
//! writes it down durably, and confirms it. Whoever shows a count that is neither
//! the confirmed one nor the one under way works with an older copy of the home: a
//! copied disk, or yesterday's backup. The machine is locked then, for both, until
//! its owner says which computer is the right one.

use std::time::Duration;

use chatroom_domain::machines::{Machine, MachineError};
use chatroom_protocol::MachineId;
use chatroom_protocol::api::daemon::Renewal;
use futures_util::stream::{self, StreamExt as _};

use super::call::{CallError, Peer};
use super::{credential, lock};
use crate::app::App;
use crate::error::Error;

/// How often the daemon of an open tunnel is given the next count.
pub const EVERY: Duration = Duration::from_hours(1);
/// How many daemons are asked at once.
const AT_ONCE: usize = 32;

/// Lets a daemon in that shows the current count, and locks the machine of one that does not.
pub async fn check(app: &App, machine: &Machine, shown: u64) -> Result<(), Error> {
    if machine.locked_at.is_some() {
        return Err(MachineError::Locked.into());
    }
    if machine.follows(shown) { Ok(()) } else { lock::lock_unless_current(app, machine.id, shown).await }
}

/// Gives a daemon that showed `shown` the next count, and returns it once the daemon has it on disk.
///
/// `None` for a daemon that does not count yet; one that ever did must go on.
pub(super) async fn give(app: &App, id: MachineId, peer: &Peer, shown: u64) -> Result<Option<u64>, Error> {
    let machine = chatroom_store::machines::of(&app.reader(), id).await?.ok_or(MachineError::NotFound)?;
    // Another daemon may have come first since it was let in.
    check(app, &machine, shown).await?;
    if shown > machine.renewal {
        // Its last confirmation was lost. It must be written down before a further count is given.
        confirm(app, &[(id, shown)]).await?;
    }
    let renewal = shown + 1;
    match peer.tell("/platform/renewal", &Renewal { renewal }).await {
        Ok(()) => Ok(Some(renewal)),
        Err(CallError::Refused(problem)) if problem.status == 404 && machine.renewal == 0 && shown == 0 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives every connected daemon its next count.
pub async fn renew(app: App) -> Result<(), Error> {
    let asked = app.links.keys().into_iter().map(|id| {
        let app = app.clone();
        async move { (id, next(&app, id).await) }
    });
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    let mut confirmed = Vec::new();
    for (id, answer) in answers {
        match answer {
            Ok(renewal) => confirmed.extend(renewal.map(|renewal| (id, renewal))),
            Err(error) => tracing::info!(machine.id = %id, %error, "a machine did not take its next count"),
        }
    }
    if confirmed.is_empty() { Ok(()) } else { confirm(&app, &confirmed).await }
}

async fn next(app: &App, id: MachineId) -> Result<Option<u64>, Error> {
    let Some(link) = app.links.get(&id) else { return Ok(None) };
    let machine = chatroom_store::machines::of(&app.reader(), id).await?.ok_or(MachineError::NotFound)?;
    let peer = Peer { link, token: credential::proof(app, &app.reader(), id).await?.token };
    give(app, id, &peer, machine.renewal).await
}

async fn confirm(app: &App, confirmed: &[(MachineId, u64)]) -> Result<(), Error> {
    let work = app.begin().await?;
    for (id, renewal) in confirmed {
        chatroom_store::machines::set_renewal(&work.tx, *id, *renewal).await?;
    }
    work.commit().await
}
