//! Every command reaches an outcome, also one no machine ever answers.

use chatroom_domain::commands::CommandEvent;

use super::settle;
use crate::app::App;
use crate::error::Error;

/// Ends commands whose time is over.
pub async fn expire(app: App) -> Result<(), Error> {
    let overdue = chatroom_store::commands::overdue(&app.reader(), app.clock.now()).await?;
    if overdue.is_empty() {
        return Ok(());
    }
    let mut work = app.begin().await?;
    // What was heard since is not overdue any more.
    for command in chatroom_store::commands::overdue(&work.tx, work.now).await? {
        settle(&mut work, command.machine, command.id, [CommandEvent::DeadlinePassed]).await?;
    }
    work.commit().await
}
