//! Commands to a machine of the caller, and what the machine says of them.

use axum::extract::{Path, Query, State};
use chatroom_domain::machines::MachineError;
use chatroom_protocol::api::Done;
use chatroom_protocol::api::commands::{AckCommand, CommandStatus, CommandView, Commands, SendCommand};
use chatroom_protocol::{CommandId, MachineId, Problem};
use http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::commands::{self, heard, readable, settle, view};
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::{AnyCaller, MachineCaller, Person};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, send)).routes(routes!(show)).routes(routes!(ack))
}

/// Sends a command. It names a room and a role at most: tool, directory and arguments are the server's to say.
#[utoipa::path(post, path = "/api/machines/{machineId}/commands", tag = "commands", security(("session" = [])),
    params(("machineId" = MachineId, Path)), request_body = SendCommand,
    responses((status = 201, body = CommandView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn send(
    person: Person,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    Json(body): Json<SendCommand>,
) -> Result<(StatusCode, Json<CommandView>), Error> {
    let mut work = app.begin().await?;
    let command = commands::send(&mut work, person.user, id, body).await?;
    work.commit().await?;
    Ok((StatusCode::CREATED, Json(view(command))))
}

/// Which commands are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct ListQuery {
    /// Only those that are there in their life.
    status: Option<CommandStatus>,
}

/// Lists the latest commands to a machine, the newest first; for its user, and for itself.
#[utoipa::path(get, path = "/api/machines/{machineId}/commands", tag = "commands", security(("session" = []), ("machine" = [])),
    params(("machineId" = MachineId, Path), ListQuery), responses((status = 200, body = Commands), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn list(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Commands>, Error> {
    let reader = app.reader();
    readable(&reader, &caller, id).await?;
    let commands = chatroom_store::commands::list(&reader, id, query.status).await?;
    Ok(Json(Commands { commands: commands.into_iter().map(view).collect() }))
}

/// Shows a command.
#[utoipa::path(get, path = "/api/machines/{machineId}/commands/{commandId}", tag = "commands", security(("session" = []), ("machine" = [])),
    params(("machineId" = MachineId, Path), ("commandId" = CommandId, Path)),
    responses((status = 200, body = CommandView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn show(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, command)): Path<(MachineId, CommandId)>,
) -> Result<Json<CommandView>, Error> {
    let reader = app.reader();
    readable(&reader, &caller, id).await?;
    let command = chatroom_store::commands::find(&reader, id, command).await?;
    Ok(Json(view(command.ok_or(Error::NotFound)?)))
}

/// Takes the outcome of a command from its machine. A repeated or late one changes nothing.
#[utoipa::path(post, path = "/api/machines/{machineId}/commands/{commandId}/ack", tag = "commands", security(("machine" = [])),
    params(("machineId" = MachineId, Path), ("commandId" = CommandId, Path)), request_body = AckCommand,
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn ack(
    caller: MachineCaller,
    State(app): State<App>,
    Path((id, command)): Path<(MachineId, CommandId)>,
    Json(body): Json<AckCommand>,
) -> Result<Json<Done>, Error> {
    if id != caller.machine {
        return Err(MachineError::NotFound.into());
    }
    if !matches!(body.status, CommandStatus::Completed | CommandStatus::Failed) {
        return Err(Error::Invalid("status must be completed or failed".into()));
    }
    let event = heard(body.status, body.result.unwrap_or_default());
    let event = event.ok_or_else(|| Error::Invalid("status must be completed or failed".into()))?;
    let mut work = app.begin().await?;
    if chatroom_store::commands::find(&work.tx, id, command).await?.is_none() {
        return Err(Error::NotFound);
    }
    let changed = settle(&mut work, id, command, [event]).await?;
    work.commit().await?;
    Ok(Json(Done { changed }))
}
