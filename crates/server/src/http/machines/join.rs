//! How another computer joins: the code, the script, the program, and the claim.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::Problem;
use chatroom_protocol::api::machines::{ClaimEnrolment, Enrolment, IssuedMachine};
use http::header;
use tokio_util::io::ReaderStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::Person;
use crate::machines::binary::{self, Program};
use crate::machines::{credential, enrolment};

/// What the script begins as.
const SCRIPT: &str = include_str!("join.sh");

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(offer)).routes(routes!(claim)).routes(routes!(script)).routes(routes!(download))
}

/// Makes the one line that lets another computer join as a machine of the caller: one use, 15 minutes.
#[utoipa::path(post, path = "/api/enrolments", tag = "machines", security(("session" = [])),
    responses((status = 201, body = Enrolment), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn offer(person: Person, State(app): State<App>) -> Result<(http::StatusCode, Json<Enrolment>), Error> {
    let mut work = app.begin().await?;
    let enrolment = enrolment::offer(&mut work, person.user).await?;
    work.commit().await?;
    Ok((http::StatusCode::CREATED, Json(enrolment)))
}

/// Joins: the code proves whose machine this is to be.
#[utoipa::path(post, path = "/api/enrolments/claim", tag = "machines", request_body = ClaimEnrolment,
    responses((status = 200, body = IssuedMachine), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn claim(State(app): State<App>, Json(body): Json<ClaimEnrolment>) -> Result<Json<IssuedMachine>, Error> {
    let id = body.machine_id;
    let mut work = app.begin().await?;
    let issued = enrolment::claim(&mut work, body).await?;
    work.commit().await?;
    credential::cut(&app, id);
    Ok(Json(issued))
}

/// The script of the line. It holds no secret; the code is an argument.
#[utoipa::path(get, path = "/join.sh", tag = "machines",
    responses((status = 200, body = String, content_type = "text/x-shellscript"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn script(State(app): State<App>) -> Result<Response, Error> {
    let program = binary::program(&app).await?;
    let (platform, checksum) = match &program {
        Some(program) => (binary::platform(), program.checksum.clone()),
        None => (String::new(), String::new()),
    };
    let text = SCRIPT
        .replace("@URL@", &app.config.public_url.to_string())
        .replace("@PLATFORM@", &platform)
        .replace("@CHECKSUM@", &checksum);
    let headers = [(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, text).into_response())
}

/// The program, for the platform this server runs on.
#[utoipa::path(get, path = "/download/{platform}/chatroom", tag = "machines", params(("platform" = String, Path)),
    responses((status = 200, body = [u8], content_type = "application/octet-stream"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn download(State(app): State<App>, Path(platform): Path<String>) -> Result<Response, Error> {
    if platform != binary::platform() {
        return Err(Error::NotFound);
    }
    let Program { path, size, checksum, .. } = binary::program(&app).await?.ok_or(Error::NotFound)?;
    let file = tokio::fs::File::open(&path)
        .await
        .map_err(|error| Error::Internal(format!("the program cannot be read: {error}")))?;
    let body = Body::from_stream(ReaderStream::with_capacity(file, 128 * 1024));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::HeaderName::from_static("chatroom-sha256"), checksum),
    ];
    Ok((headers, body).into_response())
}
