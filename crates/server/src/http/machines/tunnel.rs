//! The tunnel's door, and the reports that come beside it.

use axum::extract::{DefaultBodyLimit, FromRequestParts as _, Path, Request, State};
use axum::response::Response;
use chatroom_domain::machines::MachineError;
use chatroom_protocol::api::reports::{Applied, Reports};
use chatroom_protocol::{MachineId, Problem};
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::commands::reports;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::MachineCaller;
use crate::machines::bulk;
use crate::machines::link::{self, Hello};

/// How large reports may be: many of them come at once, and each may show what a permission is about.
const REPORTS_LIMIT: usize = 16 * 1024 * 1024;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    let reports = OpenApiRouter::new().routes(routes!(report)).layer(DefaultBodyLimit::max(REPORTS_LIMIT));
    OpenApiRouter::new().routes(routes!(open)).merge(reports)
}

/// Opens the tunnel of a machine: after the answer 101 the server asks, and the daemon answers, by HTTP/2.
#[utoipa::path(get, path = "/api/tunnel", tag = "machines", security(("machine" = [])),
    params(
        ("chatroom-machine" = MachineId, Header, description = "The machine; it must be the credential's own."),
        ("chatroom-epoch" = u64, Header, description = "Counts the starts of the machine's daemon; the newest wins."),
        ("chatroom-protocol" = u32, Header, description = "The version of the conversation it speaks."),
        ("chatroom-version" = String, Header, description = "The daemon's version."),
        ("chatroom-journal" = String, Header, description = "Which journal it keeps."),
        ("chatroom-renewal" = Option<u64>, Header, description = "The renewal counter of its home; an old one locks the machine."),
        ("chatroom-ticket" = Option<String>, Header, description = "For a further tunnel the server asked for: what it called it."),
    ),
    responses((status = 101), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn open(State(app): State<App>, request: Request) -> Result<Response, Error> {
    // Before the first look at the database.
    let _turn = app.doors.take().await?;
    // In a box: when all machines come at once, nearly all of them wait.
    Box::pin(come_in(&app, request)).await
}

async fn come_in(app: &App, request: Request) -> Result<Response, Error> {
    let (mut parts, body) = request.into_parts();
    let caller = MachineCaller::from_request_parts(&mut parts, app).await?;
    let request = Request::from_parts(parts, body);
    let headers = request.headers();
    let machine: MachineId = read(headers, "chatroom-machine")?;
    if machine != caller.machine {
        return Err(MachineError::NotFound.into());
    }
    let hello = Hello {
        epoch: read(headers, "chatroom-epoch")?,
        protocol: read(headers, "chatroom-protocol")?,
        version: read(headers, "chatroom-version")?,
        journal: read(headers, "chatroom-journal")?,
        renewal: if headers.contains_key("chatroom-renewal") { read(headers, "chatroom-renewal")? } else { 0 },
    };
    if app.stopping.is_cancelled() {
        return Err(Error::ShuttingDown);
    }
    link::greet(app, machine, caller.user, &hello).await?;
    let wanted = match headers.get("chatroom-ticket") {
        Some(ticket) => {
            let waits = ticket.to_str().ok().and_then(|ticket| app.bulk.take_ticket(machine, ticket));
            Some(waits.ok_or(Error::Forbidden("this server did not ask for a further tunnel, or does not any more"))?)
        }
        None => None,
    };
    let (response, pending) = chatroom_tunnel::upgrade(request).map_err(|error| Error::Invalid(error.to_string()))?;
    match wanted {
        Some(waits) => bulk::take(app, machine, waits, pending),
        None => link::take(app, machine, hello, pending),
    }
    Ok(response)
}

fn read<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<T, Error> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.len() <= 120)
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Error::Invalid(format!("the header {name} is missing or cannot be read")))
}

/// Takes what happened on a machine, in the order of its journal; what was applied is never applied again.
#[utoipa::path(post, path = "/api/machines/{machineId}/reports", tag = "machines", security(("machine" = [])),
    params(("machineId" = MachineId, Path)), request_body = Reports,
    responses((status = 200, body = Applied), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn report(
    caller: MachineCaller,
    State(app): State<App>,
    Path(id): Path<MachineId>,
    Json(body): Json<Reports>,
) -> Result<Json<Applied>, Error> {
    if id != caller.machine {
        return Err(MachineError::NotFound.into());
    }
    Ok(Json(reports::apply(&app, id, body).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_machine_that_waits_at_the_door_costs_little() {
        let waits = size(|(app, request): (State<App>, Request)| open(app, request));
        assert!(waits < 1024, "{waits} bytes");
    }
}
