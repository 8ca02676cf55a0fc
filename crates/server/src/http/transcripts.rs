//! Transcripts of runs: durable streams that people read and machines write.
//!
//! The protocol speaks for itself here: its headers, statuses and offsets pass through as they are. What these routes
//! add is who may do what.

use std::str::FromStr;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use chatroom_domain::access::Caller;
use chatroom_domain::agents::Run;
use chatroom_domain::machines::MachineError;
use chatroom_protocol::api::transcripts::{SearchHits, TranscriptIndex, TranscriptPage};
use chatroom_protocol::{MachineId, Problem, RunId};
use chatroom_streams::Start;
use futures_util::StreamExt as _;
use http::{HeaderValue, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::agents::run_of_member;
use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::{AnyCaller, MachineCaller, Person, signed_out};
use crate::limits::{Held, Kind};
use crate::machines::bulk;
use crate::transcripts::{MAX_BYTES, Of, index, search};

/// How many hits a search has unless more are asked for.
const HITS: usize = 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(look_up))
        .routes(routes!(find))
        .routes(routes!(append, read_there))
}

/// Where a read begins, and whether it goes on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the query, which the stream itself reads")]
pub(super) struct ReadQuery {
    /// `-1` for the beginning, `now` for the end, or an offset an answer named.
    offset: Option<String>,
    /// `long-poll` or `sse`: wait for what comes.
    live: Option<String>,
    /// The `Stream-Cursor` of the answer before, for a read that goes on.
    cursor: Option<String>,
}

/// Reads the transcript of a run, as a stream of the Durable Streams protocol: at most about 1 MiB of events at once, the
/// next offset in `Stream-Next-Offset`, and live by long-poll or server-sent events. Only the machine's user may.
#[utoipa::path(get, path = "/api/runs/{runId}/transcript", tag = "transcripts", security(("session" = [])),
    params(("runId" = RunId, Path), ReadQuery),
    responses(
        (status = 200, content((TranscriptPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "Nothing came while a long poll waited."),
        (status = 304, description = "The client has it."),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn read(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RunId>,
    request: Request,
) -> Result<Response, Error> {
    own_run(&app, &person, id).await?;
    read_here(app, person, id.into(), request).await
}

/// Reads a stream of the server as somebody who may, for as long as they are signed in.
pub(super) async fn read_here(app: App, person: Person, of: Of, request: Request) -> Result<Response, Error> {
    app.transcripts()?.ensure(of).await?;
    let (parts, _) = request.into_parts();
    let serving = app.transcripts()?.serve(of, parts.method, parts.uri.query(), parts.headers, Body::empty());
    let is_live = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("live=")));
    if !is_live {
        return serving.await;
    }
    let held = app.limits.open(person.user, Kind::Log)?;
    let mut over = Box::pin(signed_out(app.clone(), person));
    let response = tokio::select! {
        response = serving => response?,
        // A long poll waits before it answers.
        () = &mut over => {
            return Err(if app.stopping.is_cancelled() { Error::ShuttingDown } else { Error::NotSignedIn });
        }
    };
    Ok(while_signed_in(response, held, over))
}

/// Which event is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct IndexQuery {
    /// The number of an event.
    event: Option<u64>,
}

/// Tells where the events of a transcript are: its pages, its end, and one event by its number.
#[utoipa::path(get, path = "/api/runs/{runId}/transcript/index", tag = "transcripts", security(("session" = [])),
    params(("runId" = RunId, Path), IndexQuery),
    responses((status = 200, body = TranscriptIndex), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn look_up(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(query): Query<IndexQuery>,
) -> Result<Json<TranscriptIndex>, Error> {
    own_run(&app, &person, id).await?;
    Ok(Json(index::look_up(app.transcripts()?, id, query.event).await?))
}

/// What is looked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct SearchQuery {
    /// The text; letter case does not count. 1 to 200 bytes.
    #[serde(default)]
    #[param(required = true)]
    text: String,
    /// The offset to begin at; the beginning if omitted.
    from: Option<String>,
    /// How many hits at most: 1 to 100, 20 if omitted.
    limit: Option<usize>,
}

/// Finds text in what an agent said, thought, did and was answered.
#[utoipa::path(get, path = "/api/runs/{runId}/transcript/search", tag = "transcripts", security(("session" = [])),
    params(("runId" = RunId, Path), SearchQuery),
    responses((status = 200, body = SearchHits), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn find(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<SearchHits>, Error> {
    own_run(&app, &person, id).await?;
    let from = query.from.as_deref().map_or(Ok(Start::Beginning), Start::from_str);
    let from = from.map_err(|error| Error::Invalid(format!("from: {error}")))?;
    let limit = query.limit.unwrap_or(HITS);
    Ok(Json(search::search(app.transcripts()?, id, &query.text, from, limit).await?))
}

/// Appends to the transcript of a run of the machine that calls: an idempotent producer of the Durable Streams protocol,
/// whose epoch is that of its daemon. `Stream-Seq` is the position the batch begins at, 20 digits; so a daemon that
/// comes after another never repeats what that one sent last. `Stream-Closed: true` says that nothing more comes.
#[utoipa::path(post, path = "/api/machines/{machineId}/runs/{runId}/transcript", tag = "transcripts", security(("machine" = [])),
    params(("machineId" = MachineId, Path), ("runId" = RunId, Path)),
    request_body(content = TranscriptPage, content_type = "application/json"),
    responses(
        (status = 200, description = "Appended; `Stream-Next-Offset` has the new end."),
        (status = 204, description = "It was there before, or the transcript was closed."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 507, body = Problem, content_type = "application/problem+json")))]
async fn append(
    caller: MachineCaller,
    State(app): State<App>,
    Path((machine, run)): Path<(MachineId, RunId)>,
    request: Request,
) -> Result<Response, Error> {
    run_of_machine(&app, &caller, machine, run).await?;
    let transcripts = app.transcripts()?;
    if transcripts.ensure(run).await?.about()?.tail.position() > MAX_BYTES {
        return Err(Error::TooLarge);
    }
    let (parts, body) = request.into_parts();
    transcripts.serve(run, parts.method, None, parts.headers, body).await
}

/// Reads the transcript of a run as the other side has it. Its user reads the machine's own copy, from there: what the
/// server does not have yet, or has lost; a long poll waits for 5 s at most. The machine reads the server's, and learns
/// from a `HEAD` how much has arrived.
#[utoipa::path(get, path = "/api/machines/{machineId}/runs/{runId}/transcript", tag = "transcripts", security(("session" = []), ("machine" = [])),
    params(("machineId" = MachineId, Path), ("runId" = RunId, Path), ReadQuery),
    responses(
        (status = 200, content((TranscriptPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "Nothing came while a long poll waited."),
        (status = 304, description = "The client has it."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn read_there(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((machine, id)): Path<(MachineId, RunId)>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    match caller {
        Caller::Person { user, session } => {
            read_from_machine(app, Person { user, session }, machine, id, parts.uri.query().unwrap_or_default()).await
        }
        Caller::Machine { machine: own, user } => {
            run_of_machine(&app, &MachineCaller { machine: own, user }, machine, id).await?;
            let transcripts = app.transcripts()?;
            transcripts.ensure(id).await?;
            transcripts.serve(id, parts.method, parts.uri.query(), parts.headers, Body::empty()).await
        }
        Caller::Run { .. } => Err(Error::Forbidden("an agent inside its run cannot do this; a person can")),
    }
}

async fn read_from_machine(
    app: App,
    person: Person,
    machine: MachineId,
    id: RunId,
    query: &str,
) -> Result<Response, Error> {
    let run = own_run(&app, &person, id).await?;
    if run.machine != machine {
        return Err(Error::NotFound);
    }
    read_stream_of_machine(app, person, machine, &format!("/agents/{id}/transcript?{query}")).await
}

/// Reads a stream from the machine that has it, as somebody who may, for as long as they are signed in.
pub(super) async fn read_stream_of_machine(
    app: App,
    person: Person,
    machine: MachineId,
    path: &str,
) -> Result<Response, Error> {
    let held = app.limits.open(person.user, Kind::Log)?;
    let mut response = bulk::open(&app, machine, path).await?;
    // A machine says nothing to a browser but what belongs to the stream.
    let is_live = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS);
    let headers = std::mem::take(response.headers_mut());
    let of_stream = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
    response.headers_mut().extend(of_stream.filter(|(name, _)| name.as_str().starts_with("stream-")));
    response.headers_mut().insert(header::CONTENT_TYPE, if is_live { EVENTS } else { JSON });
    Ok(while_signed_in(response, held, signed_out(app, person)))
}

/// Passes a body on for as long as somebody reads it who may, and counts it for that long. A refusal is said at once.
fn while_signed_in(response: Response, held: Held, over: impl Future<Output = ()> + Send + 'static) -> Response {
    if !response.status().is_success() {
        return response;
    }
    response.map(|body| {
        let body = Body::new(body.map_frame(move |frame| {
            let _ = &held;
            frame
        }));
        Body::from_stream(body.into_data_stream().take_until(over))
    })
}

/// Returns a run on a machine of the caller.
async fn own_run(app: &App, person: &Person, id: RunId) -> Result<Run, Error> {
    let run = run_of_member(app, person, id).await?;
    if run.user == person.user { Ok(run) } else { Err(Error::NotFound) }
}

async fn run_of_machine(app: &App, caller: &MachineCaller, machine: MachineId, run: RunId) -> Result<Run, Error> {
    if machine != caller.machine {
        return Err(MachineError::NotFound.into());
    }
    chatroom_store::runs::on_machine(&app.reader(), machine, run).await?.ok_or(Error::NotFound)
}
