//! What a daemon reports, applied once and in the order of its journal.
//!
//! The journal is the truth about processes; what is written here is a projection
//! of it. A watermark (which journal, up to which number) makes a repeated report
//! a no-op, and the epoch keeps a daemon that was superseded from being heard.
//! Which journal a machine keeps is said when it connects, not by its reports.

use chatroom_domain::machines::MachineError;
use chatroom_protocol::MachineId;
use chatroom_protocol::api::reports::{Applied, Reports};
use chatroom_store::machines::Known;

use super::facts;
use crate::app::App;
use crate::error::Error;

/// How many reports come at once.
const BATCH: usize = 256;

/// Applies what was not applied before.
pub async fn apply(app: &App, id: MachineId, body: Reports) -> Result<Applied, Error> {
    if body.reports.len() > BATCH {
        return Err(Error::Beyond("reports", format!("at most {BATCH} reports at once")));
    }
    if !(1..=64).contains(&body.journal_id.len()) {
        return Err(Error::Invalid("journalId must be 1 to 64 characters".into()));
    }
    if !body.reports.is_sorted_by(|one, next| one.seq < next.seq) {
        return Err(Error::Invalid("reports must come in the order of the journal".into()));
    }
    if body.reports.last().is_some_and(|last| i64::try_from(last.seq).is_err()) {
        return Err(Error::Invalid("no journal has that many reports".into()));
    }
    let mut work = app.begin().await?;
    let known = chatroom_store::machines::known(&work.tx, id).await?.ok_or(MachineError::NotFound)?;
    let Known { machine, watermark: known, .. } = known;
    if machine.locked_at.is_some() {
        return Err(MachineError::Locked.into());
    }
    if body.epoch < machine.epoch {
        return Err(MachineError::StaleEpoch.into());
    }
    if known.journal.as_ref().is_some_and(|journal| *journal != body.journal_id) {
        return Err(MachineError::OtherJournal.into());
    }
    let mut watermark = known.clone().in_journal(&body.journal_id);
    let new = body.reports.into_iter().filter(|report| watermark.takes(report.seq)).collect();
    facts::apply_all(&mut work, &machine, new).await?;
    if watermark != known {
        chatroom_store::machines::set_watermark(&work.tx, id, &body.journal_id, watermark.applied).await?;
        work.commit().await?;
    }
    Ok(Applied { applied_through: watermark.applied })
}
