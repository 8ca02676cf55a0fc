//! The machine as a whole: alive, version and runs, commands.

use axum::Json as Answer;
use axum::extract::State;
use chatroom_protocol::PROTOCOL_VERSION;
use chatroom_protocol::api::daemon::{CommandReceipt, Ping, Pong, PushCommand};
use http::StatusCode;

use super::Api;
use super::body::Json;
use super::problem::Refusal;
use crate::identity::Identity;
use crate::journal::State as Journalled;
use crate::status::DaemonStatus;

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

pub(super) async fn status(State(api): State<Api>) -> Answer<DaemonStatus> {
    let link = api.link.borrow().clone();
    let identity = Identity::load(&api.home).ok().flatten();
    Answer(DaemonStatus {
        pid: std::process::id(),
        started_at: api.started_at,
        version: crate::VERSION.to_owned(),
        epoch: api.epoch,
        machine_id: identity.map(|identity| identity.machine_id),
        server_url: api.platform.server().map(String::from),
        connected: link.connected,
        last_error: link.trouble,
        agents: api.journal.read(Journalled::live_runs),
    })
}

pub(super) async fn command(
    State(api): State<Api>,
    Json(push): Json<PushCommand>,
) -> Result<Answer<CommandReceipt>, Refusal> {
    Ok(Answer(api.commands.receive(push).await?))
}
