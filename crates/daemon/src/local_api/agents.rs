//! The agents: what lives, and steering it.

use axum::Json as Answer;
use axum::extract::{Path, State};
use chatroom_protocol::PermissionId;
use chatroom_protocol::api::Done;
use chatroom_protocol::api::daemon::{ChangePrompt, DecidePermission, Interrupt, LiveRun, PromptReceipt, PushPrompt};

use super::Api;
use super::body::{Json, id};
use super::problem::Refusal;
use crate::journal::State as Journalled;

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

pub(super) async fn change_prompt(
    State(api): State<Api>,
    Path((run, prompt)): Path<(String, String)>,
    Json(change): Json<ChangePrompt>,
) -> Result<Answer<Done>, Refusal> {
    api.runs.change(id(&run)?, id(&prompt)?, change).await?;
    Ok(Answer(Done { changed: true }))
}

pub(super) async fn interrupt(
    State(api): State<Api>,
    Path(run): Path<String>,
    Json(Interrupt { by }): Json<Interrupt>,
) -> Result<Answer<Done>, Refusal> {
    let changed = api.runs.interrupt(id(&run)?, by).await?;
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
