//! Tenants and their members.

use axum::extract::{Path, State};
use chatroom_protocol::api::Done;
use chatroom_protocol::api::auth::{Code, InstanceView, Instances, Invitation, Members};
use chatroom_protocol::{InstanceId, Problem, UserId};

use crate::accounts::{self, instances};
use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::Person;

/// Lists the caller's instances, their own first.
#[utoipa::path(get, path = "/api/instances", tag = "accounts", security(("session" = [])),
    responses((status = 200, body = Instances), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(person: Person, State(app): State<App>) -> Result<Json<Instances>, Error> {
    let me = accounts::me(&app.reader(), person.user, person.session).await?;
    Ok(Json(Instances { instances: me.instances }))
}

/// Lists the members of an instance.
#[utoipa::path(get, path = "/api/instances/{instanceId}/members", tag = "accounts", security(("session" = [])),
    params(("instanceId" = InstanceId, Path)),
    responses((status = 200, body = Members), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn members(
    person: Person,
    State(app): State<App>,
    Path(id): Path<InstanceId>,
) -> Result<Json<Members>, Error> {
    Ok(Json(Members { members: instances::members(&app.reader(), id, person.user).await? }))
}

/// Ends a membership; only the owner may. The rooms of the instance are closed to the member from then on.
#[utoipa::path(delete, path = "/api/instances/{instanceId}/members/{userId}", tag = "accounts",
    security(("session" = [])), params(("instanceId" = InstanceId, Path), ("userId" = UserId, Path)),
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn remove_member(
    person: Person,
    State(app): State<App>,
    Path((id, member)): Path<(InstanceId, UserId)>,
) -> Result<Json<Done>, Error> {
    let mut work = app.begin().await?;
    let changed = instances::remove_member(&mut work, id, person.user, member).await?;
    work.commit().await?;
    Ok(Json(Done { changed }))
}

/// Makes an invitation that works once, for a week; only the owner may.
#[utoipa::path(post, path = "/api/instances/{instanceId}/invitations", tag = "accounts",
    security(("session" = [])), params(("instanceId" = InstanceId, Path)),
    responses((status = 200, body = Invitation), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn invite(
    person: Person,
    State(app): State<App>,
    Path(id): Path<InstanceId>,
) -> Result<Json<Invitation>, Error> {
    let mut work = app.begin().await?;
    let invitation = instances::invite(&mut work, id, person.user).await?;
    work.commit().await?;
    Ok(Json(invitation))
}

/// Takes an invitation up.
#[utoipa::path(post, path = "/api/invitations/accept", tag = "accounts", security(("session" = [])),
    request_body = Code, responses((status = 200, body = InstanceView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn accept(
    person: Person,
    State(app): State<App>,
    Json(body): Json<Code>,
) -> Result<Json<InstanceView>, Error> {
    let mut work = app.begin().await?;
    let instance = instances::accept(&mut work, person.user, &body.code).await?;
    work.commit().await?;
    let owner = instance.owner == person.user;
    Ok(Json(InstanceView { instance_id: instance.id, name: instance.name, owner }))
}
