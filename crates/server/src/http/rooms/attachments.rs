//! Files beside messages, in and out.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chatroom_domain::attachments::{Attachment, IMAGE_LIMIT, Media};
use chatroom_protocol::api::attachments::AttachmentView;
use chatroom_protocol::{AttachmentId, MachineId, Problem, RoomId, RunId};
use chatroom_store::Access;
use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::http::caller::{AnyCaller, MachineCaller, Person};
use crate::http::{Json, json};
use crate::rooms::{self, attachments};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    let sending = OpenApiRouter::new().routes(routes!(send)).layer(DefaultBodyLimit::max(IMAGE_LIMIT));
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(read_for_run)).merge(sending)
}

/// How the description of the API shows a file: as its bytes, whatever they are.
struct FileBytes;

impl utoipa::PartialSchema for FileBytes {
    fn schema() -> RefOr<Schema> {
        let bytes = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(bytes)).into()
    }
}

impl utoipa::ToSchema for FileBytes {}

/// What a file is called.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NameQuery {
    /// Its name, 1 to 120 bytes, without a slash.
    name: String,
}

/// Sends a file for a message to come: a png, jpeg, gif or webp image of at most 5 MiB, or UTF-8 text of at most 1 MiB.
///
/// What it is, its bytes say. The message names it within a day, else it is forgotten.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/attachments", tag = "rooms", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), NameQuery), request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 201, body = AttachmentView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn send(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RoomId>,
    Query(query): Query<NameQuery>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<AttachmentView>), Error> {
    // Whoever may not send here is not told what would be wrong with what they sent.
    rooms::find(&app.reader(), id, person.user).await?;
    let bytes = bytes.map_err(|error| json::body(&error))?;
    let mut work = app.begin().await?;
    let room = rooms::find(&work.tx, id, person.user).await?;
    let attachment = attachments::take(&mut work, person.user, &room, &query.name, &bytes).await?;
    work.commit().await?;
    Ok((StatusCode::CREATED, Json(attachments::view(&attachment))))
}

/// Reads a file of a room. A browser shows it without letting it do anything.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/attachments/{attachmentId}", tag = "rooms", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("attachmentId" = AttachmentId, Path)),
    responses((status = 200, content((FileBytes = "image/png"), (FileBytes = "image/jpeg"), (FileBytes = "image/gif"), (FileBytes = "image/webp"), (String = "text/plain"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn read(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((room, id)): Path<(RoomId, AttachmentId)>,
) -> Result<Response, Error> {
    let reader = app.reader();
    let room = rooms::for_caller(&reader, &caller, room).await?;
    let attachment = attachments::find(&reader, caller.user(), &room, id).await?;
    file(&reader, &attachment).await
}

/// Reads a file for a run of the machine that calls: one beside a message of the run's room.
#[utoipa::path(get, path = "/api/machines/{machineId}/runs/{runId}/attachments/{attachmentId}", tag = "rooms", security(("machine" = [])),
    params(("machineId" = MachineId, Path), ("runId" = RunId, Path), ("attachmentId" = AttachmentId, Path)),
    responses((status = 200, content((FileBytes = "image/png"), (FileBytes = "image/jpeg"), (FileBytes = "image/gif"), (FileBytes = "image/webp"), (String = "text/plain"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn read_for_run(
    caller: MachineCaller,
    State(app): State<App>,
    Path((machine, run, id)): Path<(MachineId, RunId, AttachmentId)>,
) -> Result<Response, Error> {
    let reader = app.reader();
    if caller.machine != machine {
        return Err(Error::NotFound);
    }
    let run = chatroom_store::runs::on_machine(&reader, machine, run).await?.ok_or(Error::NotFound)?;
    let room = match rooms::find(&reader, run.room, caller.user).await {
        Err(Error::Room(_)) => return Err(Error::NotFound),
        found => found?,
    };
    let attachment = attachments::find(&reader, caller.user, &room, id).await?;
    file(&reader, &attachment).await
}

/// Answers with a file as its sender sent it; nothing in it runs, and nothing takes it for something else.
async fn file(db: &impl Access, attachment: &Attachment) -> Result<Response, Error> {
    let bytes = chatroom_store::attachments::bytes(db, attachment.id).await?.ok_or(Error::NotFound)?;
    let (kind, shown) = match attachment.media {
        Media::Text => ("text/plain; charset=utf-8", "attachment"),
        image => (image.as_str(), "inline"),
    };
    // The plain name for old readers, the real one for all others.
    let name: String = attachment.name.as_str().bytes().map(percent).collect();
    let disposition = format!("{shown}; filename=\"{}\"; filename*=UTF-8''{name}", attachment.name.plain());
    let disposition = HeaderValue::try_from(disposition)
        .map_err(|_| Error::Internal("the name of an attachment could not be written".into()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable")),
    ];
    Ok((headers, bytes).into_response())
}

/// Writes a byte as it stands in an extended parameter of a header (RFC 8187).
fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
