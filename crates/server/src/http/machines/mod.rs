//! Machines of the caller: registering, naming, removing, configuring, and how another computer joins.

mod join;
mod tunnel;

use axum::extract::{Path, State};
use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::Runs;
use chatroom_protocol::api::machines::{
    AgentConfigView, IssuedMachine, MachinePolicy, MachineView, Machines, RegisterMachine, RenameMachine,
    UpdateAgentConfig,
};
use chatroom_protocol::{MachineId, Problem, Role, RoomId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::views;
use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::Person;
use crate::machines::{self, configs, credential, policy, removal, view};
use crate::rooms;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, register, rename, remove))
        .routes(routes!(issue))
        .routes(routes!(rotate))
        .routes(routes!(configure))
        .routes(routes!(show_policy))
        .routes(routes!(live_runs))
        .merge(join::routes())
        .merge(tunnel::routes())
}

/// Lists the caller's machines, by alias.
#[utoipa::path(get, path = "/api/machines", tag = "machines", security(("session" = [])),
    responses((status = 200, body = Machines), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn list(person: Person, State(app): State<App>) -> Result<Json<Machines>, Error> {
    let machines = chatroom_store::machines::list(&app.reader(), person.user).await?;
    let machines = machines.into_iter().map(|machine| view(&app, machine)).collect();
    Ok(Json(Machines { machines }))
}

/// Shows a machine of the caller.
#[utoipa::path(get, path = "/api/machines/{machineId}", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), responses((status = 200, body = MachineView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn show(person: Person, State(app): State<App>, Path(id): Path<MachineId>) -> Result<Json<MachineView>, Error> {
    let machine = machines::find(&app.reader(), id, person.user).await?;
    Ok(Json(view(&app, machine)))
}

/// Registers the computer the caller is signed in on, under the id its home made for itself. Again is the same as once.
#[utoipa::path(put, path = "/api/machines/{machineId}", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), request_body = RegisterMachine,
    responses((status = 200, body = MachineView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn register(
    person: Person,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    Json(body): Json<RegisterMachine>,
) -> Result<Json<MachineView>, Error> {
    let mut work = app.begin().await?;
    let machine = machines::register(&mut work, person.user, id, body).await?;
    work.commit().await?;
    Ok(Json(view(&app, machine)))
}

/// Gives a machine another name.
#[utoipa::path(patch, path = "/api/machines/{machineId}", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), request_body = RenameMachine,
    responses((status = 200, body = MachineView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn rename(
    person: Person,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    Json(body): Json<RenameMachine>,
) -> Result<Json<MachineView>, Error> {
    let mut work = app.begin().await?;
    let machine = machines::rename(&mut work, person.user, id, &body.alias).await?;
    work.commit().await?;
    Ok(Json(view(&app, machine)))
}

/// Removes a machine: its credential and its tunnel end, its configurations go, its roles are free.
#[utoipa::path(delete, path = "/api/machines/{machineId}", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn remove(person: Person, State(app): State<App>, Path(id): Path<MachineId>) -> Result<Json<Done>, Error> {
    removal::remove(&app, person.user, id).await?;
    Ok(Json(Done { changed: true }))
}

/// Makes a new credential for a machine; whatever was issued before stops working at once, and a lock ends.
#[utoipa::path(post, path = "/api/machines/{machineId}/credential", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), responses((status = 200, body = IssuedMachine), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn issue(
    person: Person,
    State(app): State<App>,
    Path(id): Path<MachineId>,
) -> Result<Json<IssuedMachine>, Error> {
    let mut work = app.begin().await?;
    let machine = machines::find(&work.tx, id, person.user).await?;
    let issued = credential::issue(&mut work, machine).await?;
    work.commit().await?;
    credential::cut(&app, id);
    Ok(Json(issued))
}

/// Replaces the credential of a connected machine without an interruption; the old one works until the new one is shown.
#[utoipa::path(post, path = "/api/machines/{machineId}/credential/rotate", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn rotate(person: Person, State(app): State<App>, Path(id): Path<MachineId>) -> Result<Json<Done>, Error> {
    credential::rotate(&app, person.user, id).await?;
    Ok(Json(Done { changed: true }))
}

/// Saves which tool a role runs on a machine of the caller, and where.
#[utoipa::path(put, path = "/api/machines/{machineId}/agents/{chatroomId}/{role}", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path), ("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = UpdateAgentConfig,
    responses((status = 200, body = AgentConfigView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn configure(
    person: Person,
    State(app): State<App>,
    Path((id, room, role)): Path<(MachineId, RoomId, Role)>,
    Json(body): Json<UpdateAgentConfig>,
) -> Result<Json<AgentConfigView>, Error> {
    let mut work = app.begin().await?;
    let machine = machines::find(&work.tx, id, person.user).await?;
    let room = rooms::find(&work.tx, room, person.user).await?;
    let config = configs::update(&mut work, person.user, machine.id, &room, role, body).await?;
    work.commit().await?;
    Ok(Json(configs::view(config)))
}

/// Shows what a connected machine lets the server ask of it: where agents may work, and how. Verbs on it change that.
#[utoipa::path(get, path = "/api/machines/{machineId}/policy", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), responses((status = 200, body = MachinePolicy), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn show_policy(
    person: Person,
    State(app): State<App>,
    Path(id): Path<MachineId>,
) -> Result<Json<MachinePolicy>, Error> {
    Ok(Json(policy::read(&app, person.user, id).await?))
}

/// Lists what runs on a machine of the caller, in whatever room: the runs that are not over, the oldest first.
#[utoipa::path(get, path = "/api/machines/{machineId}/runs", tag = "machines", security(("session" = [])),
    params(("machineId" = MachineId, Path)), responses((status = 200, body = Runs), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn live_runs(person: Person, State(app): State<App>, Path(id): Path<MachineId>) -> Result<Json<Runs>, Error> {
    let reader = app.reader();
    let machine = machines::find(&reader, id, person.user).await?;
    let live = chatroom_store::runs::live_on(&reader, machine.id).await?;
    Ok(Json(Runs { runs: live.into_iter().map(|run| views::run_view(run, person.user)).collect(), next: None }))
}
