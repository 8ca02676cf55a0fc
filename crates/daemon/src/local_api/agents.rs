//! The agents: what lives, and steering it.

use std::io;
use std::time::Duration;

use axum::Json as Answer;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::api::Done;
use chatroom_protocol::api::daemon::{DecidePermission, LiveRun, PromptReceipt, PushPrompt};
use chatroom_protocol::{ErrorCode, PermissionId, RunId};
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::time::sleep;

use super::Api;
use super::body::{Json, id};
use super::problem::{Refusal, problem};
use crate::journal::{Journal, State as Journalled};
use crate::supervisor::log::Tail;

/// How often a log that somebody follows is looked at.
const FOLLOW: Duration = Duration::from_millis(200);

pub(super) async fn list(State(api): State<Api>) -> Answer<Vec<LiveRun>> {
    Answer(api.journal.read(Journalled::live_runs))
}

pub(super) async fn prompt(
    State(api): State<Api>,
    Path(run): Path<String>,
    Json(push): Json<PushPrompt>,
) -> Result<Answer<PromptReceipt>, Refusal> {
    let duplicate = api.runs.prompt(id(&run)?, push).await?;
    Ok(Answer(PromptReceipt { duplicate }))
}

pub(super) async fn interrupt(State(api): State<Api>, Path(run): Path<String>) -> Result<Answer<Done>, Refusal> {
    let changed = api.runs.interrupt(id(&run)?).await?;
    Ok(Answer(Done { changed }))
}

pub(super) async fn decide(
    State(api): State<Api>,
    Path((run, permission)): Path<(String, String)>,
    Json(answer): Json<DecidePermission>,
) -> Result<Answer<Done>, Refusal> {
    let permission: PermissionId = id(&permission)?;
    api.runs.decide(id(&run)?, permission, answer).await?;
    Ok(Answer(Done { changed: true }))
}

#[derive(Deserialize)]
pub(super) struct Log {
    /// Present: go on until the run is over. Absent: what there is.
    follow: Option<String>,
}

pub(super) async fn log(
    State(api): State<Api>,
    Path(run): Path<String>,
    Query(wanted): Query<Log>,
) -> Result<Response, Refusal> {
    let run: RunId = id(&run)?;
    let tail = Tail::open(&api.home.run_dir(run), 0).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            problem(StatusCode::NOT_FOUND, ErrorCode::NotFound, "this machine has no log of that run")
        }
        _ => problem(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, error.to_string()),
    })?;
    let follow = wanted.follow.is_some_and(|follow| follow != "false");
    let reading = Reading { tail, run, journal: api.journal, follow };
    let body = Body::from_stream(stream::unfold(reading, Reading::next));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

struct Reading {
    tail: Tail,
    run: RunId,
    journal: Journal,
    follow: bool,
}

impl Reading {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            // Asked first: what was written before the run was over is read after.
            let is_live = self.journal.read(|state| state.runs.contains_key(&self.run));
            match self.tail.next_line() {
                Ok(Some(mut line)) => {
                    line.push('\n');
                    return Some((Ok(line.into()), self));
                }
                Ok(None) if self.follow && is_live => sleep(FOLLOW).await,
                Ok(None) => return None,
                Err(error) => return Some((Err(error), Self { follow: false, ..self })),
            }
        }
    }
}
