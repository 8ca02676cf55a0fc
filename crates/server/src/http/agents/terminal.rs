//! The terminal of a run, as a WebSocket.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::api::terminal::{Frame, JoinTerminal, MAX_FRAME, TerminalSays, TerminalSize, Typing};
use chatroom_protocol::{Problem, RunId};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::time::{Duration, Instant, interval, sleep_until, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::run_of_member;
use crate::agents::terminal::{self, Heard, Viewer};
use crate::app::App;
use crate::error::{AgentError, Error};
use crate::http::caller::{Person, signed_out};
use crate::limits::Kind;

/// How long a viewer may take nothing, or say nothing.
const SILENCE: Duration = Duration::from_mins(1);
/// How often it is asked whether it is there.
const PING: Duration = Duration::from_secs(20);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(join))
}

/// How a viewer joins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
struct JoinQuery {
    /// Whether it wants to type: `free` (if nobody else does), `take` or `never`.
    #[serde(default)]
    typing: Typing,
    /// How wide it is; the run takes the size of whoever types.
    columns: Option<u16>,
    /// How high it is.
    rows: Option<u16>,
    /// Go on after this many bytes, seen before.
    from: Option<u64>,
    /// The number it had before its connection was lost.
    replaces: Option<u64>,
}

/// Joins the terminal of a run, as a WebSocket: binary messages are bytes of the terminal, text messages are JSON
/// (`ViewerSays` there, `TerminalSays` back). Only the machine's user may.
#[utoipa::path(get, path = "/api/runs/{runId}/terminal", tag = "agents", security(("session" = [])),
    params(("runId" = RunId, Path), JoinQuery),
    responses((status = 101, description = "the terminal", body = TerminalSays), (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn join(
    person: Person,
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(query): Query<JoinQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let run = run_of_member(&app, &person, id).await?;
    if run.user != person.user {
        return Err(Error::NotFound);
    }
    if !run.live() {
        return Err(AgentError::NotRunning.into());
    }
    if run.form != RunForm::Terminal {
        return Err(AgentError::NoTerminal.into());
    }
    let upgrade = upgrade.map_err(|_| Error::Invalid("a terminal is a WebSocket: ask for an upgrade to one".into()))?;
    let held = app.limits.open(person.user, Kind::Terminal)?;
    let size = query.columns.zip(query.rows).map(|(columns, rows)| TerminalSize { columns, rows });
    let how = JoinTerminal { typing: query.typing, size, from: query.from, replaces: query.replaces };
    let viewer = terminal::join(&app, &run, how).await?;
    let tasks = app.tasks.clone();
    let relay = move |socket| async move {
        let _held = held;
        relay(app, person, socket, viewer).await;
    };
    Ok(upgrade.max_message_size(MAX_FRAME).on_upgrade(move |socket| tasks.track_future(relay(socket))))
}

/// Passes on what both sides say, until one of them ends, or the person is signed out.
async fn relay(app: App, person: Person, socket: WebSocket, viewer: Viewer) {
    let (mut out, input) = socket.split();
    let Viewer { mut shown, typed } = viewer;
    let last = tokio::select! {
        last = show(&mut shown, &mut out) => last,
        () = type_in(input, &typed) => None,
        () = signed_out(app.clone(), person) => {
            let why = if app.stopping.is_cancelled() { "the server stops for a moment" } else { "you are signed out" };
            Some(TerminalSays::Lost { reason: why.to_owned() })
        }
    };
    let goodbye = async {
        if let Some(last) = last {
            out.send(message(Frame::says(&last))).await?;
        }
        out.send(Message::Close(None)).await
    };
    // A viewer who is gone hears nothing.
    let _ = timeout(Duration::from_secs(2), goodbye).await;
}

/// Shows what comes. Returns what is left to say; `None`: the viewer is gone, or was told all.
async fn show(shown: &mut terminal::Shown, out: &mut SplitSink<WebSocket, Message>) -> Option<TerminalSays> {
    let mut ping = interval(PING);
    loop {
        let message = tokio::select! {
            heard = shown.next() => match heard {
                Heard::Frame(frame) => message(frame),
                Heard::End { said_all: true } => return None,
                Heard::End { said_all: false } => {
                    let reason = "the connection to the machine ended".to_owned();
                    return Some(TerminalSays::Lost { reason });
                }
            },
            _ = ping.tick() => Message::Ping(Vec::new().into()),
        };
        timeout(SILENCE, out.send(message)).await.ok()?.ok()?;
    }
}

/// Passes on what the viewer says, until it is gone or silent.
async fn type_in(mut input: SplitStream<WebSocket>, typed: &terminal::Typed) {
    let mut until = Instant::now() + SILENCE;
    loop {
        let message = tokio::select! {
            message = input.next() => message,
            () = sleep_until(until) => return,
        };
        until = Instant::now() + SILENCE;
        let frame = match message {
            Some(Ok(Message::Binary(bytes))) => Frame::Bytes(bytes.to_vec()),
            Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        };
        if typed.send(&frame).await.is_err() {
            return;
        }
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Bytes(bytes) => Message::Binary(bytes.into()),
        Frame::Text(text) => Message::Text(text.into()),
    }
}
