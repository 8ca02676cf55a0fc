//! Journals of machines: durable streams that their users read and their daemons write.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use chatroom_domain::access::Caller;
use chatroom_domain::machines::MachineError;
use chatroom_protocol::api::transcripts::JournalPage;
use chatroom_protocol::journal::LAST;
use chatroom_protocol::{MachineId, Problem};
use http::{HeaderValue, Method};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::transcripts::{ReadQuery, read_here, read_stream_of_machine};
use crate::app::App;
use crate::error::Error;
use crate::http::caller::{AnyCaller, MachineCaller, Person};
use crate::machines;
use crate::transcripts::{Of, journal};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read, append)).routes(routes!(read_there))
}

/// Reads the journal of a machine as the server has it, also while the machine is away: what its daemon wrote down of
/// commands, runs and prompts, in order, without what people and agents said. A stream of the Durable Streams protocol,
/// as a transcript is. Only the machine's user may; the machine itself learns from a `HEAD` which entry is the last
/// (`chatroom-journal-last`). At least the last 16 MiB are kept; an offset before them is answered with 410.
#[utoipa::path(get, path = "/api/machines/{machineId}/journal", tag = "machines",
    security(("session" = []), ("machine" = [])),
    params(("machineId" = MachineId, Path), ReadQuery),
    responses(
        (status = 200, content((JournalPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "Nothing came while a long poll waited."),
        (status = 304, description = "The client has it."),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn read(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    request: Request,
) -> Result<Response, Error> {
    match caller {
        Caller::Person { user, session } => {
            machines::find(&app.reader(), id, user).await?;
            read_here(app, Person { user, session }, Of::Journal { user, machine: id }, request).await
        }
        Caller::Machine { machine, user } => {
            let of = of_machine(&MachineCaller { machine, user }, id)?;
            let transcripts = app.transcripts()?;
            transcripts.ensure(of).await?;
            let (parts, _) = request.into_parts();
            let last = if parts.method == Method::HEAD { journal::last(transcripts, of).await? } else { None };
            let query = parts.uri.query();
            let mut response = transcripts.serve(of, parts.method, query, parts.headers, Body::empty()).await?;
            let last = last.and_then(|last| HeaderValue::from_str(&last.to_string()).ok());
            response.headers_mut().extend(last.map(|last| (http::HeaderName::from_static(LAST), last)));
            Ok(response)
        }
        Caller::Run { .. } => Err(Error::Forbidden("an agent inside its run cannot do this; a person can")),
    }
}

/// Appends to the journal of the machine that calls: an idempotent producer of the Durable Streams protocol, whose epoch
/// is that of its daemon. `Stream-Seq` is the place of the batch's first entry, as `chatroom-journal-last` spells places.
#[utoipa::path(post, path = "/api/machines/{machineId}/journal", tag = "machines",
    security(("machine" = [])),
    params(("machineId" = MachineId, Path)),
    request_body(content = JournalPage, content_type = "application/json"),
    responses(
        (status = 200, description = "Appended; `Stream-Next-Offset` has the new end."),
        (status = 204, description = "It was there before."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 507, body = Problem, content_type = "application/problem+json")))]
async fn append(
    caller: MachineCaller,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    request: Request,
) -> Result<Response, Error> {
    let of = of_machine(&caller, id)?;
    let transcripts = app.transcripts()?;
    transcripts.ensure(of).await?;
    let (parts, body) = request.into_parts();
    transcripts.serve(of, parts.method, None, parts.headers, body).await
}

/// Reads the journal of a machine as the machine has it, from there: what the server does not have yet, or has lost; a
/// long poll waits for 5 s at most. Its offsets are not those of the server's copy. Only the machine's user may.
#[utoipa::path(get, path = "/api/machines/{machineId}/journal/local", tag = "machines",
    security(("session" = [])),
    params(("machineId" = MachineId, Path), ReadQuery),
    responses(
        (status = 200, content((JournalPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "Nothing came while a long poll waited."),
        (status = 304, description = "The client has it."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn read_there(
    person: Person,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    request: Request,
) -> Result<Response, Error> {
    machines::find(&app.reader(), id, person.user).await?;
    let query = request.uri().query().unwrap_or_default();
    read_stream_of_machine(app, person, id, &format!("/agents/journal?{query}")).await
}

fn of_machine(caller: &MachineCaller, id: MachineId) -> Result<Of, Error> {
    if id != caller.machine {
        return Err(MachineError::NotFound.into());
    }
    Ok(Of::Journal { user: caller.user, machine: id })
}
