//! Every command reaches an outcome, also one no machine ever answers.

use chatroom_domain::commands::CommandEvent;

use super::settle;
use crate::app::App;
use crate::error::Error;

/// How many old commands one transaction forgets.
const BATCH: u64 = 200;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Ends commands whose time is over.
pub async fn expire(app: App) -> Result<(), Error> {
    let overdue = chatroom_store::commands::overdue(&app.reader(), app.clock.now()).await?;
    if overdue.is_empty() {
        return Ok(());
    }
    let mut work = app.begin().await?;
    // What was heard since is not overdue any more.
    for command in chatroom_store::commands::overdue(&work.tx, work.now).await? {
        let event = CommandEvent::DeadlinePassed;
        settle(&mut work, command.machine, command.id, event).await?;
    }
    work.commit().await
}

/// Forgets commands as old as the feed, in small batches.
pub async fn prune(app: App) -> Result<(), Error> {
    let days = i64::from(app.config.event_retention_days);
    loop {
        let work = app.begin().await?;
        let before = work.now.plus_millis(-days * DAY_MS);
        let forgotten = chatroom_store::commands::prune(&work.tx, before, BATCH).await?;
        work.commit().await?;
        if forgotten < BATCH {
            return Ok(());
        }
    }
}
