//! The mutual credential: `crm_…` proves the machine to us, `crp_…` proves us to
//! the machine. Of the first only a hash is kept, the second is sealed.
//!
//! It has no end of its own: a computer that slept for a month must not have to be
//! visited. It is replaced in two ways. [`issue`] makes a new one and ends the old
//! one at once. [`rotate`] loses no request: the next pair is written down, offered
//! through the tunnel, and good beside the present one until the machine, which has
//! it on disk by then, shows it. Whatever crashes in between, one of the two works;
//! a pair that was not taken is offered again with the next connection.

use std::collections::HashMap;
use std::time::Duration;

use chatroom_domain::machines::{Machine, MachineError};
use chatroom_domain::secrets::{Place, Token, TokenHash, TokenKind};
use chatroom_protocol::api::machines::{IssuedMachine, MachineCredential};
use chatroom_protocol::{MachineId, UserId};
use chatroom_store::Access;
use chatroom_store::machines::NextCredential;

use super::call::Peer;
use super::{find, tell, view};
use crate::app::{App, Topic, Work};
use crate::error::{AgentError, Error};

/// How long a machine has to show the credential it took.
const SHOWN: Duration = Duration::from_secs(15);

/// Mints a new credential for a machine; whatever was issued before stops working with the commit.
///
/// A machine that was locked is not any more. Once committed, call [`cut`]: a tunnel
/// opened with the old one must not live on.
pub async fn issue(work: &mut Work, mut machine: Machine) -> Result<IssuedMachine, Error> {
    let (credential, sealed) = mint(work, machine.id)?;
    let hash = TokenHash::of(&credential.machine_token);
    chatroom_store::machines::set_credential(&work.tx, machine.id, &hash, sealed).await?;
    tell(work, &machine, "machine.credential", Some("issued".into())).await?;
    if machine.locked_at.take().is_some() {
        tell(work, &machine, "machine.unlocked", None).await?;
    }
    (machine.epoch, machine.renewal) = (0, 0);
    Ok(IssuedMachine { machine: view(&work.app, machine), credential })
}

/// Makes a pair; returns it with its second half as it is stored.
fn mint(work: &Work, id: MachineId) -> Result<(MachineCredential, String), Error> {
    let machine_token = work.app.mint(TokenKind::Machine)?;
    let platform_token = work.app.mint(TokenKind::Platform)?;
    let sealed = work.app.keys.seal(place(&id.to_string()), platform_token.expose(), work.app.random()?)?;
    let exposed = |token: &Token| token.expose().to_owned();
    let credential =
        MachineCredential { machine_token: exposed(&machine_token), platform_token: exposed(&platform_token) };
    Ok((credential, sealed))
}

/// Replaces both halves of the credential of a machine of `user`, without an interruption.
pub async fn rotate(app: &App, user: UserId, id: MachineId) -> Result<(), Error> {
    let machine = find(&app.reader(), id, user).await?;
    if machine.locked_at.is_some() {
        return Err(MachineError::Locked.into());
    }
    let link = app.links.get(&id).ok_or(AgentError::Offline)?;
    let mut shown = app.wake.subscribe(Topic::Machine(id));
    let next = prepare(app, user, id).await?;
    let peer = Peer { link, token: proof(app, &app.reader(), id).await?.token };
    offer(app, id, &peer, &next).await?;
    let done = async {
        while chatroom_store::machines::next_credential(&app.reader(), id).await?.as_ref() == Some(&next) {
            if shown.changed().await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::time::timeout(SHOWN, done).await.unwrap_or_else(|_| {
        let why = "it has taken its new credential, but has not shown it yet; until it does, the old one works too";
        Err(AgentError::MachineFailed(why.into()).into())
    })
}

/// Writes down the next pair; one that is on its way already is kept.
async fn prepare(app: &App, user: UserId, id: MachineId) -> Result<NextCredential, Error> {
    let mut work = app.begin().await?;
    let machine = find(&work.tx, id, user).await?;
    if let Some(next) = chatroom_store::machines::next_credential(&work.tx, id).await? {
        return Ok(next);
    }
    let (credential, platform_token_sealed) = mint(&work, id)?;
    let token_sealed = app.keys.seal(next_place(&id.to_string()), &credential.machine_token, app.random()?)?;
    let token = TokenHash::of(&credential.machine_token);
    let next = NextCredential { token, token_sealed, platform_token_sealed };
    chatroom_store::machines::set_next_credential(&work.tx, id, &next).await?;
    tell(&mut work, &machine, "machine.credential", Some("offered".into())).await?;
    work.commit().await?;
    Ok(next)
}

/// Gives a daemon the next pair; when this returns well, the machine has it on disk.
async fn offer(app: &App, id: MachineId, peer: &Peer, next: &NextCredential) -> Result<(), Error> {
    let row = id.to_string();
    let credential = MachineCredential {
        machine_token: app.keys.open(next_place(&row), &next.token_sealed)?,
        platform_token: app.keys.open(place(&row), &next.platform_token_sealed)?,
    };
    Ok(peer.tell("/platform/credential", &credential).await?)
}

/// Offers a pair again that an interruption kept from being taken.
pub(super) async fn offer_again(app: &App, id: MachineId, peer: &Peer, next: &NextCredential) {
    if let Err(error) = offer(app, id, peer, next).await {
        tracing::info!(machine.id = %id, %error, "a machine did not take its next credential; it will be offered again");
    }
}

/// Ends the present credential of a machine: it has shown the next one.
pub async fn promote(app: &App, id: MachineId, shown: &TokenHash) -> Result<(), Error> {
    let mut work = app.begin().await?;
    if !chatroom_store::machines::promote_credential(&work.tx, id, shown).await? {
        return Ok(());
    }
    let machine = chatroom_store::machines::of(&work.tx, id).await?.ok_or(MachineError::NotFound)?;
    tell(&mut work, &machine, "machine.credential", Some("rotated".into())).await?;
    work.touch(Topic::Machine(id));
    work.commit().await?;
    tracing::info!(machine.id = %id, "a machine shows its new credential; the old one no longer works");
    Ok(())
}

/// Closes the tunnel of a machine.
pub fn cut(app: &App, id: MachineId) {
    if let Some(link) = app.links.get(&id) {
        link.close();
    }
}

/// What proves us to a machine, and as what it lies in the database: that tells one credential from the next.
pub struct Proof {
    /// `crp_…`
    pub token: String,
    /// As it is stored.
    pub sealed: String,
}

/// Opens what proves us to a machine.
pub async fn proof(app: &App, db: &impl Access, id: MachineId) -> Result<Proof, Error> {
    let sealed = chatroom_store::machines::platform_token_sealed(db, id).await?.ok_or(MachineError::NotFound)?;
    open(app, id, sealed)
}

/// Opens what proves us to each of several machines; one whose cannot be opened keeps it from no other.
pub async fn proofs(
    app: &App,
    db: &impl Access,
    ids: &[MachineId],
) -> Result<HashMap<MachineId, Result<Proof, Error>>, Error> {
    let sealed = chatroom_store::machines::platform_tokens_sealed(db, ids).await?;
    Ok(sealed.into_iter().map(|(id, sealed)| (id, open(app, id, sealed))).collect())
}

/// Opens what proves us to a machine, as it lies in the database.
pub(super) fn open(app: &App, id: MachineId, sealed: String) -> Result<Proof, Error> {
    let token = app.keys.open(place(&id.to_string()), &sealed)?;
    Ok(Proof { token, sealed })
}

fn place(row: &str) -> Place<'_> {
    Place { column: "machines.platform_token", row }
}

fn next_place(row: &str) -> Place<'_> {
    Place { column: "machines.next_token", row }
}
