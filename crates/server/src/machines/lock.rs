//! Locking a machine whose home was used from two places.
//!
//! Nobody can tell from here which of the two is the right one. So both lose their
//! tunnel, nothing either reports is believed, and its agents count as stopped, until
//! the owner has a new credential issued on the right computer.

use chatroom_domain::agents::{Agent, Desired};
use chatroom_domain::machines::MachineError;
use chatroom_protocol::MachineId;
use chatroom_store::commands::Pending;

use super::credential::cut;
use super::{removal, tell};
use crate::app::App;
use crate::commands;
use crate::error::Error;

/// Why agents ended and commands failed.
const WHY: &str = "machine locked: its home was used from two places";

/// Locks a machine, unless the count that was shown turns out to be current after all.
pub async fn lock_unless_current(app: &App, id: MachineId, shown: u64) -> Result<(), Error> {
    let mut work = app.begin().await?;
    let machine = chatroom_store::machines::of(&work.tx, id).await?.ok_or(MachineError::NotFound)?;
    if machine.locked_at.is_some() {
        return Err(MachineError::Locked.into());
    }
    if machine.follows(shown) {
        return Ok(());
    }
    chatroom_store::machines::lock(&work.tx, id, work.now).await?;
    for Pending { command, .. } in chatroom_store::commands::pending(&work.tx, id).await? {
        let refused = chatroom_domain::commands::CommandEvent::Refused(WHY.into());
        commands::settle(&mut work, id, command.id, [refused]).await?;
    }
    removal::end_runs(&mut work, id, WHY).await?;
    for slot in chatroom_store::agents::on_machine(&work.tx, id).await? {
        // One that was about to be started again would come back with the machine.
        let stopped = Agent { desired: Desired::Stopped, restart_at: None, ..slot };
        chatroom_store::agents::put(&work.tx, &stopped).await?;
    }
    tell(&mut work, &machine, "machine.locked", Some(WHY.into())).await?;
    work.commit().await?;
    cut(app, id);
    tracing::warn!(
        machine.id = %id,
        shown,
        confirmed = machine.renewal,
        "a machine is locked: its home was used from two places; its owner unlocks it on the right computer"
    );
    Err(MachineError::Locked.into())
}
