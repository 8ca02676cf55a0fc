//! What a run wrote, and what the journal has, as this machine has it: streams of the Durable Streams protocol.
//!
//! People read the server's copies; these are there before the server has them, and when it has lost its own.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use chatroom_protocol::{ErrorCode, RunId};
use chatroom_streams::router::{RouterOptions, read_only};
use chatroom_streams::{Lines, Reader};
use http::{StatusCode, Uri};
use tower::ServiceExt as _;

use super::Api;
use super::body::id;
use super::problem::{Refusal, problem};
use crate::home::Home;
use crate::journal::{HISTORY, Journal};
use crate::supervisor::EVENTS;

/// How long a long poll waits: the server passes it on only for a while.
const LONG_POLL: Duration = Duration::from_secs(5);
/// Below which path the router has the streams.
const PREFIX: &str = "/streams";
/// What the journal is called there, beside the runs.
const JOURNAL: &str = "journal";
/// The longest words of a refusal.
const WORDS: usize = 4096;

/// The streams of this machine; cheap to clone.
#[derive(Clone)]
pub struct Streams(Router);

impl Streams {
    /// Returns those of a home.
    pub fn of(home: Home, journal: Journal) -> Self {
        let find = move |name: &str| {
            let lines = if name == JOURNAL {
                Lines::in_parts(&home.join(HISTORY))
            } else {
                let run: RunId = name.parse().map_err(|_| chatroom_streams::Refusal::NotFound)?;
                let journal = journal.clone();
                let is_over = move || journal.read(|state| !state.runs.contains_key(&run));
                Lines::open(&home.run_dir(run).join(EVENTS), is_over)
            };
            match lines {
                Ok(lines) => Ok(Reader::of_lines(lines)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(chatroom_streams::Refusal::NotFound),
                Err(error) => {
                    tracing::error!(stream = name, %error, "a stream of this machine cannot be read");
                    Err(chatroom_streams::Refusal::Unreadable)
                }
            }
        };
        let options = RouterOptions { prefix: PREFIX.into(), long_poll: LONG_POLL, ..RouterOptions::default() };
        Self(read_only(find, options))
    }
}

pub(super) async fn transcript(
    State(api): State<Api>,
    Path(run): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let run: RunId = id(&run)?;
    read(api, &run.to_string(), request, "this machine has no transcript of that run").await
}

pub(super) async fn journal(State(api): State<Api>, request: Request) -> Result<Response, Refusal> {
    read(api, JOURNAL, request, "this machine has no journal").await
}

async fn read(api: Api, name: &str, mut request: Request, missing: &str) -> Result<Response, Refusal> {
    // The parameters of this route are not those of that one.
    request.extensions_mut().clear();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    *request.uri_mut() = Uri::try_from(format!("{PREFIX}/{name}{query}"))
        .map_err(|_| problem(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, "the query cannot be read"))?;
    let response = match api.streams.0.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response);
    }
    let words = to_bytes(response.into_body(), WORDS).await.unwrap_or_default();
    let (code, words) = match status {
        StatusCode::NOT_FOUND => (ErrorCode::NotFound, missing.into()),
        StatusCode::GONE => (ErrorCode::NotFound, String::from_utf8_lossy(&words)),
        status if status.is_server_error() => (ErrorCode::Internal, String::from_utf8_lossy(&words)),
        StatusCode::TOO_MANY_REQUESTS => (ErrorCode::TooManyRequests, String::from_utf8_lossy(&words)),
        _ => (ErrorCode::InvalidRequest, String::from_utf8_lossy(&words)),
    };
    Err(problem(status, code, words.trim()))
}
