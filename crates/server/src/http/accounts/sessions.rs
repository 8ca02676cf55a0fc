//! The caller's own sign-ins.

use axum::extract::{Path, State};
use chatroom_protocol::api::Done;
use chatroom_protocol::api::auth::{Me, Sessions};
use chatroom_protocol::{Problem, SessionId};

use crate::accounts::{self, sessions};
use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::Person;

/// Shows who is signed in.
#[utoipa::path(get, path = "/api/auth/session", tag = "accounts", security(("session" = [])),
    responses((status = 200, body = Me), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn show(person: Person, State(app): State<App>) -> Result<Json<Me>, Error> {
    Ok(Json(accounts::me(&app.reader(), person.user, person.session).await?))
}

/// Lists the caller's live sessions.
#[utoipa::path(get, path = "/api/auth/sessions", tag = "accounts", security(("session" = [])),
    responses((status = 200, body = Sessions), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(person: Person, State(app): State<App>) -> Result<Json<Sessions>, Error> {
    let live = chatroom_store::sessions::of_user(&app.reader(), person.user, app.clock.now()).await?;
    let view = |session| sessions::view(session, person.session);
    Ok(Json(Sessions { sessions: live.into_iter().map(view).collect() }))
}

/// Ends every session of the caller but the one the request came with.
#[utoipa::path(delete, path = "/api/auth/sessions", tag = "accounts", security(("session" = [])),
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn revoke_others(person: Person, State(app): State<App>) -> Result<Json<Done>, Error> {
    let mut work = app.begin().await?;
    let ended = sessions::revoke_others(&mut work, person.user, person.session).await?;
    work.commit().await?;
    Ok(Json(Done { changed: ended > 0 }))
}

/// Ends a session of the caller. What is open on its behalf ends within a second.
#[utoipa::path(delete, path = "/api/auth/sessions/{sessionId}", tag = "accounts", security(("session" = [])),
    params(("sessionId" = SessionId, Path)),
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn revoke(
    person: Person,
    State(app): State<App>,
    Path(session): Path<SessionId>,
) -> Result<Json<Done>, Error> {
    let mut work = app.begin().await?;
    if !sessions::revoke(&mut work, person.user, session).await? {
        return Err(Error::NotFound);
    }
    work.commit().await?;
    Ok(Json(Done { changed: true }))
}
