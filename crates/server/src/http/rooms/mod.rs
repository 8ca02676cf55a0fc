//! `/api/chatrooms`: rooms and messages.

mod attachments;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::api::Done;
use chatroom_protocol::api::rooms::{
    CreateRoom, EditMessage, Export, MarkRead, MessageView, Messages, RoomView, Rooms, SendMessage, UpdateRoom,
};
use chatroom_protocol::{MessageId, Problem, Role, RoomId};
use chatroom_store::messages::Window;
use chatroom_store::read_marks::Which;
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::{AnyCaller, Person};
use crate::limits;
use crate::rooms::{self, export, list, messages};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, index))
        .routes(routes!(show, update))
        .routes(routes!(mark_read))
        .routes(routes!(send, read))
        .routes(routes!(edit_message, delete_message))
        .routes(routes!(export_room))
        .merge(attachments::routes())
}

/// Makes a room.
#[utoipa::path(post, path = "/api/chatrooms", tag = "rooms", security(("session" = [])), request_body = CreateRoom,
    responses((status = 201, body = RoomView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn create(
    person: Person,
    State(app): State<App>,
    Json(body): Json<CreateRoom>,
) -> Result<(StatusCode, Json<RoomView>), Error> {
    let mut work = app.begin().await?;
    let room = rooms::create(&mut work, person.user, body).await?;
    work.commit().await?;
    Ok((StatusCode::CREATED, Json(rooms::view(room))))
}

/// Which rooms are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RoomsQuery {
    /// Only those whose name has this in it, in either case of ASCII letters.
    search: Option<String>,
    /// Those that are put away, instead of those that are not.
    archived: Option<bool>,
    /// Only those made before this one.
    after: Option<RoomId>,
    /// At most so many, 1 to 500; 100 if omitted.
    limit: Option<u64>,
}

/// Lists the caller's rooms, the newest first, with what is new in each and what waits for the caller.
#[utoipa::path(get, path = "/api/chatrooms", tag = "rooms", security(("session" = [])), params(RoomsQuery),
    responses((status = 200, body = Rooms), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn index(person: Person, State(app): State<App>, Query(query): Query<RoomsQuery>) -> Result<Json<Rooms>, Error> {
    let which = Which {
        archived: query.archived.unwrap_or(false),
        search: query.search.unwrap_or_default(),
        after: query.after,
        limit: limits::page(query.limit, 100)?,
    };
    Ok(Json(list::list(&app.reader(), person.user, which, app.clock.now()).await?))
}

/// Notes up to where the caller has read a room. It never goes back; the caller's own feed tells their other windows.
#[utoipa::path(put, path = "/api/chatrooms/{chatroomId}/read", tag = "rooms", security(("session" = [])),
    params(("chatroomId" = RoomId, Path)), request_body = MarkRead,
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn mark_read(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RoomId>,
    Json(body): Json<MarkRead>,
) -> Result<Json<Done>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::find(&work.tx, id, person.user).await?;
    let changed = list::mark_read(&mut work, person.user, &room, body.message_id).await?;
    work.commit().await?;
    Ok(Json(Done { changed }))
}

/// Shows a room.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}", tag = "rooms", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path)), responses((status = 200, body = RoomView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn show(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<RoomId>,
) -> Result<Json<RoomView>, Error> {
    Ok(Json(rooms::view(rooms::for_caller(&app.reader(), &caller, id).await?)))
}

/// Renames a room, tells its agents something for good, puts it away or brings it back.
///
/// Agents get the standing instructions when they start, and with their next task when those changed meanwhile. A room
/// whose agents are wanted to run cannot be put away; one that is put away takes no messages and no work.
#[utoipa::path(patch, path = "/api/chatrooms/{chatroomId}", tag = "rooms", security(("session" = [])),
    params(("chatroomId" = RoomId, Path)), request_body = UpdateRoom,
    responses((status = 200, body = RoomView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn update(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RoomId>,
    Json(body): Json<UpdateRoom>,
) -> Result<Json<RoomView>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::update(&mut work, person.user, id, body).await?;
    work.commit().await?;
    Ok(Json(rooms::view(room)))
}

/// Says something. A person's message becomes a task, at once or from the queue; an agent's is a note.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/messages", tag = "rooms", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path)), request_body = SendMessage,
    responses((status = 201, body = MessageView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn send(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<RoomId>,
    Json(body): Json<SendMessage>,
) -> Result<(StatusCode, Json<MessageView>), Error> {
    let mut work = app.begin().await?;
    let message = messages::send(&mut work, &caller, id, body).await?;
    work.commit().await?;
    Ok((StatusCode::CREATED, Json(messages::view(message))))
}

/// Which part of a history is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
struct HistoryQuery {
    /// Only what came after this message.
    since_message_id: Option<MessageId>,
    /// Only what came before this message, the last of it.
    before_message_id: Option<MessageId>,
    /// Only what this role said, or `user`, or `system`.
    sender_role: Option<String>,
    /// At most so many, 1 to 500; 50 if omitted.
    limit: Option<u64>,
}

/// Reads the history in order, and what waits in the queue.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/messages", tag = "rooms", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), HistoryQuery), responses((status = 200, body = Messages), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn read(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<RoomId>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Messages>, Error> {
    let reader = app.reader();
    let room = rooms::for_caller(&reader, &caller, id).await?;
    if let Some(sender) = query.sender_role.as_deref().filter(|sender| !matches!(*sender, "user" | "system")) {
        room.role(&Role::parse(sender)?)?;
    }
    let position = async |id: Option<MessageId>| match id {
        Some(id) => {
            Ok(Some(chatroom_store::messages::find(&reader, room.id, id).await?.ok_or(Error::NotFound)?.position))
        }
        None => Ok::<_, Error>(None),
    };
    let (after, before) = (position(query.since_message_id).await?, position(query.before_message_id).await?);
    let window = Window { after, before, sender: query.sender_role, limit: limits::page(query.limit, 50)? };
    Ok(Json(messages::read(&reader, &room, &window).await?))
}

/// Says something else with a queued message of the caller. One that is a task already stays as it is.
#[utoipa::path(put, path = "/api/chatrooms/{chatroomId}/messages/{messageId}", tag = "rooms", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("messageId" = MessageId, Path)), request_body = EditMessage,
    responses((status = 200, body = MessageView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn edit_message(
    person: Person,
    State(app): State<App>,
    Path((id, message)): Path<(RoomId, MessageId)>,
    Json(body): Json<EditMessage>,
) -> Result<Json<MessageView>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::find(&work.tx, id, person.user).await?;
    let message = messages::edit_queued(&mut work, person.user, &room, message, body).await?;
    work.commit().await?;
    Ok(Json(messages::view(message)))
}

/// Takes back a queued message of the caller. One that is a task already stays.
#[utoipa::path(delete, path = "/api/chatrooms/{chatroomId}/messages/{messageId}", tag = "rooms", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("messageId" = MessageId, Path)), responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn delete_message(
    person: Person,
    State(app): State<App>,
    Path((id, message)): Path<(RoomId, MessageId)>,
) -> Result<Json<Done>, Error> {
    let caller = person.caller();
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    let changed = messages::delete_queued(&mut work, &caller, &room, message).await?;
    work.commit().await?;
    Ok(Json(Done { changed }))
}

/// How an export is written.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExportFormat {
    /// For people.
    Markdown,
    /// For programs.
    Json,
}

/// How an export is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExportQuery {
    /// `markdown` for people, which it is if omitted, or `json`: an object with the room, its messages and its queue.
    #[param(inline)]
    format: Option<ExportFormat>,
}

/// Writes a whole room down, as a file to keep. Where that breaks off, so does the connection.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/export", tag = "rooms", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ExportQuery),
    responses((status = 200, content((String = "text/markdown"), (Export = "application/json"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn export_room(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RoomId>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Error> {
    let room = rooms::find(&app.reader(), id, person.user).await?;
    let (format, kind, ending) = match query.format.unwrap_or(ExportFormat::Markdown) {
        ExportFormat::Markdown => (export::Format::Markdown, "text/markdown; charset=utf-8", "md"),
        ExportFormat::Json => (export::Format::Json, "application/json", "json"),
    };
    let disposition = format!("attachment; filename=\"{}.{ending}\"", room.id);
    let disposition = HeaderValue::try_from(disposition)
        .map_err(|_| Error::Internal("the name of an export could not be written".into()))?;
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, disposition)];
    let pieces = export::export(&app, room, format).inspect_err(|error| {
        tracing::error!(%error, "the export of a room broke off");
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}
