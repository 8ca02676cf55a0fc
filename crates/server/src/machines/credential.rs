//! The mutual credential: `crm_…` proves the machine to us, `crp_…` proves us to
//! the machine. Of the first only a hash is kept, the second is sealed.

use chatroom_domain::machines::{Machine, MachineError};
use chatroom_domain::secrets::{Place, TokenKind};
use chatroom_protocol::MachineId;
use chatroom_protocol::api::machines::{IssuedMachine, MachineCredential};
use chatroom_store::Access;

use super::{tell, view};
use crate::app::{App, Work};
use crate::error::Error;

/// Mints a new credential for a machine; the one before it stops working with the commit.
///
/// Once committed, call [`cut`]: a tunnel opened with the old one must not live on.
pub async fn issue(work: &mut Work, machine: Machine) -> Result<IssuedMachine, Error> {
    let machine_token = work.app.mint(TokenKind::Machine)?;
    let platform_token = work.app.mint(TokenKind::Platform)?;
    let row = machine.id.to_string();
    let sealed = work.app.keys.seal(place(&row), platform_token.expose(), work.app.random()?)?;
    chatroom_store::machines::set_credential(&work.tx, machine.id, &machine_token.hash(), sealed).await?;
    tell(work, &machine, "machine.credential", None).await?;
    Ok(IssuedMachine {
        machine: view(machine, work.now),
        credential: MachineCredential {
            machine_token: machine_token.expose().to_owned(),
            platform_token: platform_token.expose().to_owned(),
        },
    })
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
    let token = app.keys.open(place(&id.to_string()), &sealed)?;
    Ok(Proof { token, sealed })
}

fn place(row: &str) -> Place<'_> {
    Place { column: "machines.platform_token", row }
}
