//! What is past its time is forgotten, in small batches, so that no table grows without end.

use chatroom_domain::attachments::UNCLAIMED_MS;
use chatroom_protocol::Timestamp;
use chatroom_store::{StoreError, Tx, attachments, codes, commands, devices, events, runs, sessions, waiters};
use futures_util::future::BoxFuture;

use crate::app::App;
use crate::error::Error;

/// How many rows one transaction forgets.
const BATCH: u64 = 500;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Forgets some of what is older than a time; returns how much.
type Forget = for<'a> fn(&'a Tx, Timestamp) -> BoxFuture<'a, Result<u64, StoreError>>;

/// Forgets sessions, codes and device sign-ins that ended a day ago or longer.
pub async fn sign_ins(app: App) -> Result<(), Error> {
    let before = app.clock.now().plus_millis(-DAY_MS);
    batches(&app, "sessions", before, |tx, before| Box::pin(sessions::sweep(tx, before))).await?;
    batches(&app, "codes", before, |tx, before| Box::pin(codes::sweep(tx, before))).await?;
    batches(&app, "device_logins", before, |tx, before| Box::pin(devices::sweep(tx, before))).await
}

/// Forgets files that have waited for their message for a day.
pub async fn attachments(app: App) -> Result<(), Error> {
    let before = app.clock.now().plus_millis(-UNCLAIMED_MS);
    batches(&app, "attachments", before, |tx, before| Box::pin(attachments::prune(tx, before, BATCH))).await
}

/// Forgets what the settings give a time for: events and commands, then runs with their prompts and questions, and waits.
pub async fn history(app: App) -> Result<(), Error> {
    let events_before = ago(&app, app.config.event_retention_days);
    batches(&app, "events", events_before, |tx, before| Box::pin(events::prune(tx, before, BATCH))).await?;
    batches(&app, "commands", events_before, |tx, before| Box::pin(commands::prune(tx, before, BATCH))).await?;
    let runs_before = ago(&app, app.config.run_retention_days);
    batches(&app, "runs", runs_before, |tx, before| Box::pin(runs::prune(tx, before, BATCH))).await?;
    batches(&app, "waiters", runs_before, |tx, before| Box::pin(waiters::prune(tx, before, BATCH))).await
}

fn ago(app: &App, days: u32) -> Timestamp {
    app.clock.now().plus_millis(-i64::from(days) * DAY_MS)
}

/// Forgets batch after batch until nothing is left to forget; writers come in between.
async fn batches(app: &App, what: &'static str, before: Timestamp, forget: Forget) -> Result<(), Error> {
    let mut all = 0;
    loop {
        let work = app.begin().await?;
        let rows = forget(&work.tx, before).await?;
        if rows == 0 {
            break;
        }
        work.commit().await?;
        all += rows;
        app.health.forgot(what, rows);
    }
    if all > 0 {
        tracing::info!(what, rows = all, "forgot what was past its time");
    }
    Ok(())
}
