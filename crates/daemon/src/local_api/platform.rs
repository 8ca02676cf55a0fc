//! The machine as a whole: alive, version and runs, commands.

use axum::Json as Answer;
use axum::extract::State;
use chatroom_protocol::api::daemon::{CommandReceipt, OpenLink, Ping, Pong, PushCommand, Renewal};
use chatroom_protocol::api::machines::{MachineCredential, MachinePolicy};
use chatroom_protocol::{ErrorCode, PROTOCOL_VERSION};
use http::{HeaderValue, StatusCode};

use super::Api;
use super::body::Json;
use super::problem::{Refusal, problem};
use crate::identity::Identity;
use crate::journal::State as Journalled;
use crate::link::Verdict;
use crate::orders::Order;
use crate::policy::Policy;
use crate::status::DaemonStatus;

/// How long a token may be.
const TOKEN_LIMIT: usize = 200;

pub(super) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(super) async fn ping(State(api): State<Api>, Json(ping): Json<Ping>) -> Answer<Pong> {
    tracing::debug!(server.version = ping.server_version, "pinged");
    Answer(Pong {
        protocol_version: PROTOCOL_VERSION,
        daemon_version: crate::VERSION.to_owned(),
        epoch: api.epoch,
        tools: api.tools.borrow().clone(),
        runs: api.journal.read(Journalled::live_runs),
    })
}

/// Hears that the server leaves, so that the end of the connection is no surprise.
pub(super) async fn reconnect(State(api): State<Api>) -> Result<StatusCode, Refusal> {
    order(&api, Order::Reconnect)
}

/// Opens one more connection.
pub(super) async fn open_link(State(api): State<Api>, Json(open): Json<OpenLink>) -> Result<StatusCode, Refusal> {
    let ticket = HeaderValue::from_str(&open.ticket)
        .map_err(|_| problem(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, "the ticket cannot be sent back"))?;
    order(&api, Order::Open { ticket })
}

fn order(api: &Api, order: Order) -> Result<StatusCode, Refusal> {
    if api.orders.give(order) {
        return Ok(StatusCode::ACCEPTED);
    }
    let why = "this daemon is not connected, or has too many orders already; ask again in a moment";
    Err(problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, why))
}

pub(super) async fn status(State(api): State<Api>) -> Answer<DaemonStatus> {
    let link = api.link.borrow().clone();
    let identity = Identity::load(&api.home).ok().flatten();
    Answer(DaemonStatus {
        pid: std::process::id(),
        started_at: api.started_at,
        version: crate::VERSION.to_owned(),
        epoch: api.epoch,
        machine_id: identity.map(|identity| identity.machine_id),
        server_url: api.trust.server().map(String::from),
        connected: link.connected,
        locked: link.verdict == Some(Verdict::Locked),
        last_error: api.journal.trouble().await.or(link.trouble),
        agents: api.journal.read(Journalled::live_runs),
    })
}

/// Tells what the server may ask of this machine; the file itself is changed by local verbs only.
pub(super) async fn policy(State(api): State<Api>) -> Result<Answer<MachinePolicy>, Refusal> {
    let policy = Policy::load(&api.home)
        .map_err(|error| problem(StatusCode::CONFLICT, ErrorCode::NotPermitted, error.to_string()))?;
    let shown = |folders: Vec<std::path::PathBuf>| folders.iter().map(|path| path.display().to_string()).collect();
    Ok(Answer(MachinePolicy {
        allowed_directories: shown(policy.allowed_directories),
        trusted_directories: shown(policy.trusted_directories),
        allow_auto: policy.allow_auto,
        allow_terminal: policy.allow_terminal,
    }))
}

/// Takes the next credential of the machine in; on disk with the answer.
pub(super) async fn credential(
    State(api): State<Api>,
    Json(next): Json<MachineCredential>,
) -> Result<StatusCode, Refusal> {
    let fits = |token: &str, prefix| token.starts_with(prefix) && token.len() <= TOKEN_LIMIT;
    if !fits(&next.machine_token, "crm_") || !fits(&next.platform_token, "crp_") {
        let why = "a credential is a crm_ and a crp_ token";
        return Err(problem(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, why));
    }
    api.trust.replace(next).await?;
    tracing::info!("the server replaced this machine's credential");
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the next count in; on disk with the answer.
pub(super) async fn renewal(
    State(api): State<Api>,
    Json(Renewal { renewal }): Json<Renewal>,
) -> Result<StatusCode, Refusal> {
    api.trust.count(renewal).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn command(
    State(api): State<Api>,
    Json(push): Json<PushCommand>,
) -> Result<Answer<CommandReceipt>, Refusal> {
    Ok(Answer(api.commands.receive(push).await?))
}
