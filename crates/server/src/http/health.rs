//! Whether the server lives, and whether it can work.

use axum::extract::State;

use crate::app::App;
use crate::error::Error;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers and takes writes, and the server is not about to stop.
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, Error> {
    if app.stopping.is_cancelled() {
        return Err(Error::ShuttingDown);
    }
    if let Some(trouble) = app.health.trouble() {
        return Err(Error::Unwell(trouble));
    }
    app.store.ping().await?;
    Ok("ready\n")
}
