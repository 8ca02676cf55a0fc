//! How a CLI device signs in: it starts and polls, a person decides.

use axum::extract::{Path, State};
use chatroom_protocol::Problem;
use chatroom_protocol::api::Done;
use chatroom_protocol::api::auth::{DecideDevice, DeviceCodes, DeviceRequest, IssuedSession, PollDevice, StartDevice};

use crate::accounts::devices;
use crate::app::App;
use crate::error::Error;
use crate::http::caller::Person;
use crate::http::{ClientAddress, Json};

/// Begins a device sign-in.
#[utoipa::path(post, path = "/api/auth/device", tag = "accounts", request_body = StartDevice,
    responses((status = 200, body = DeviceCodes), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn start(
    from: ClientAddress,
    State(app): State<App>,
    Json(body): Json<StartDevice>,
) -> Result<Json<DeviceCodes>, Error> {
    Ok(Json(devices::start(&app, from.0, body).await?))
}

/// Asks for the decision: `authorization_pending`, `slow_down`, `access_denied`, `code_expired`, or once the session.
#[utoipa::path(post, path = "/api/auth/device/token", tag = "accounts", request_body = PollDevice,
    responses((status = 200, body = IssuedSession), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn poll(State(app): State<App>, Json(body): Json<PollDevice>) -> Result<Json<IssuedSession>, Error> {
    Ok(Json(devices::poll(&app, &body.device_code).await?))
}

/// Shows what asks to be let in.
#[utoipa::path(get, path = "/api/auth/device/{userCode}", tag = "accounts", security(("session" = [])),
    params(("userCode" = String, Path)),
    responses((status = 200, body = DeviceRequest), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn show(
    person: Person,
    State(app): State<App>,
    Path(code): Path<String>,
) -> Result<Json<DeviceRequest>, Error> {
    Ok(Json(devices::show(&app, person.user, &code).await?))
}

/// Lets a device in, or refuses it.
#[utoipa::path(post, path = "/api/auth/device/{userCode}", tag = "accounts", security(("session" = [])),
    params(("userCode" = String, Path)), request_body = DecideDevice,
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn decide(
    person: Person,
    State(app): State<App>,
    Path(code): Path<String>,
    Json(body): Json<DecideDevice>,
) -> Result<Json<Done>, Error> {
    devices::decide(&app, person.user, &code, body.decision).await?;
    Ok(Json(Done { changed: true }))
}
