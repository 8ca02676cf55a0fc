//! Agents of a room: what they do, and steering them.

mod prompts;
mod terminal;

use axum::extract::{Path, Query, State};
use chatroom_domain::agents::Run;
use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::{Agents, AnswerPermission, RunView, Runs, ShareAgent};
use chatroom_protocol::{PermissionId, Problem, Role, RoomId, RunId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::{steer, views};
use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::{AnyCaller, Person};
use crate::limits;
use crate::rooms;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(interrupt))
        .routes(routes!(answer))
        .routes(routes!(share))
        .routes(routes!(list_runs))
        .routes(routes!(show_run))
        .merge(prompts::routes())
        .merge(terminal::routes())
}

/// Lists the agents of a room, one per role. Configurations and questions are shown to the machine's user alone.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/agents", tag = "agents", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path)), responses((status = 200, body = Agents), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn list(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<RoomId>,
) -> Result<Json<Agents>, Error> {
    let reader = app.reader();
    let room = rooms::for_caller(&reader, &caller, id).await?;
    let agents = views::views(&reader, &room, caller.user(), app.clock.now()).await?;
    Ok(Json(Agents { agents }))
}

/// Ends the turn of an agent, not the agent. `changed` says whether it was in one.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/agents/{role}/interrupt", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn interrupt(
    person: Person,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
) -> Result<Json<Done>, Error> {
    let changed = steer::interrupt(&app, person.user, id, &role).await?;
    Ok(Json(Done { changed }))
}

/// Allows or denies what an agent asks. The digest says what was shown.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/agents/{role}/permissions/{permissionId}", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path), ("permissionId" = PermissionId, Path)), request_body = AnswerPermission,
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn answer(
    person: Person,
    State(app): State<App>,
    Path((id, role, permission)): Path<(RoomId, Role, PermissionId)>,
    Json(body): Json<AnswerPermission>,
) -> Result<Json<Done>, Error> {
    steer::answer(&app, person.user, id, &role, permission, body).await?;
    Ok(Json(Done { changed: true }))
}

/// Says whether the other members of the room act through an agent of the caller.
#[utoipa::path(put, path = "/api/chatrooms/{chatroomId}/agents/{role}/share", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = ShareAgent,
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn share(
    person: Person,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Json(body): Json<ShareAgent>,
) -> Result<Json<Done>, Error> {
    let mut work = app.begin().await?;
    let changed = steer::share(&mut work, person.user, id, &role, body.shared).await?;
    work.commit().await?;
    Ok(Json(Done { changed }))
}

/// Which runs are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunsQuery {
    /// Only those made before this one.
    after: Option<RunId>,
    /// At most so many, 1 to 500; 50 if omitted.
    limit: Option<u64>,
}

/// Lists the runs of a role, the newest first.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/agents/{role}/runs", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path), RunsQuery),
    responses((status = 200, body = Runs), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn list_runs(
    person: Person,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Runs>, Error> {
    let reader = app.reader();
    let room = rooms::find(&reader, id, person.user).await?;
    room.role(&role)?;
    let limit = limits::page(query.limit, 50)?;
    // One more tells whether there are more.
    let mut runs = chatroom_store::runs::of_role(&reader, room.id, &role, query.after, limit + 1).await?;
    let more = runs.len() as u64 > limit;
    runs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = runs.last().filter(|_| more).map(|run| run.id);
    Ok(Json(Runs { runs: runs.into_iter().map(|run| views::run_view(run, person.user)).collect(), next }))
}

/// Shows a run to a member of its room.
#[utoipa::path(get, path = "/api/runs/{runId}", tag = "agents", security(("session" = [])),
    params(("runId" = RunId, Path)), responses((status = 200, body = RunView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn show_run(person: Person, State(app): State<App>, Path(id): Path<RunId>) -> Result<Json<RunView>, Error> {
    let run = run_of_member(&app, &person, id).await?;
    Ok(Json(views::run_view(run, person.user)))
}

/// Returns a run of a room the caller is a member of.
pub(super) async fn run_of_member(app: &App, person: &Person, id: RunId) -> Result<Run, Error> {
    let reader = app.reader();
    let run = chatroom_store::runs::of(&reader, id).await?.ok_or(Error::NotFound)?;
    match rooms::find(&reader, run.room, person.user).await {
        Ok(_) => Ok(run),
        Err(Error::Room(_)) => Err(Error::NotFound),
        Err(error) => Err(error),
    }
}
