//! What waits to be told to an agent.

use axum::extract::{Path, State};
use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::{FollowUp, PromptView, Prompts};
use chatroom_protocol::{Problem, PromptId, Role, RoomId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::{queue, steer};
use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::Person;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(follow_up)).routes(routes!(list)).routes(routes!(edit, withdraw))
}

/// Tells a live run something more; it is given to the tool when the turn before it is over.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/agents/{role}/follow-up", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = FollowUp,
    responses((status = 200, body = PromptView), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn follow_up(
    person: Person,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Json(body): Json<FollowUp>,
) -> Result<Json<PromptView>, Error> {
    let mut work = app.begin().await?;
    let prompt = steer::follow_up(&mut work, person.user, id, &role, &body.text).await?;
    let view = queue::view(&work.tx, prompt).await?;
    work.commit().await?;
    Ok(Json(view))
}

/// Lists what the live run of a role is told next, and what it is told now.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/agents/{role}/prompts", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), responses((status = 200, body = Prompts), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn list(
    person: Person,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
) -> Result<Json<Prompts>, Error> {
    let prompts = queue::list(&app.reader(), person.user, id, &role).await?;
    Ok(Json(Prompts { prompts }))
}

/// Changes a follow-up of the caller, as long as the agent does not have it.
#[utoipa::path(put, path = "/api/chatrooms/{chatroomId}/agents/{role}/prompts/{promptId}", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path), ("promptId" = PromptId, Path)), request_body = FollowUp,
    responses((status = 200, body = PromptView), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn edit(
    person: Person,
    State(app): State<App>,
    Path((id, role, prompt)): Path<(RoomId, Role, PromptId)>,
    Json(body): Json<FollowUp>,
) -> Result<Json<PromptView>, Error> {
    Ok(Json(queue::edit(&app, person.user, id, &role, prompt, &body.text).await?))
}

/// Takes back a follow-up of the caller, as long as the agent does not have it.
#[utoipa::path(delete, path = "/api/chatrooms/{chatroomId}/agents/{role}/prompts/{promptId}", tag = "agents", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path), ("promptId" = PromptId, Path)),
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn withdraw(
    person: Person,
    State(app): State<App>,
    Path((id, role, prompt)): Path<(RoomId, Role, PromptId)>,
) -> Result<Json<Done>, Error> {
    queue::withdraw(&app, person.user, id, &role, prompt).await?;
    Ok(Json(Done { changed: true }))
}
