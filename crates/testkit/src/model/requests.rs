//! What reached the model, and how far each answer got.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Method, Uri};
use serde_json::Value;
use tokio::sync::watch;

use super::turn::Turn;

/// How far the answer to a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was sent yet.
    Waiting,
    /// The answer is being sent.
    Open,
    /// The answer was sent to its end.
    Finished,
    /// The client hung up before the end.
    Cut,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, null when it was not JSON.
    pub body: Value,
    /// The conversation, where the request was a valid one.
    pub turn: Option<Turn>,
    /// The status of the answer, 0 before it is known.
    pub status: u16,
    /// How far the answer got.
    pub progress: Progress,
}

impl Request {
    /// Returns a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the credential, from `Authorization: Bearer` or `x-api-key`.
    pub fn token(&self) -> Option<&str> {
        self.header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .or_else(|| self.header("x-api-key"))
    }

    /// Returns the newest user text, or nothing for a request without a conversation.
    pub fn prompt(&self) -> &str {
        self.turn.as_ref().map_or("", |turn| &turn.prompt)
    }

    /// Whether the agent's tools were offered, which background calls do not do.
    pub fn is_main_call(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.shell.is_some())
    }
}

/// All requests, and a signal that one of them changed.
pub(super) struct Requests {
    all: Mutex<Vec<Request>>,
    changed: watch::Sender<()>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { all: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Requests {
    /// Records a request and returns the handle that follows its answer.
    pub(super) fn record(self: &Arc<Self>, request: Request) -> Following {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(request);
        let index = all.len() - 1;
        drop(all);
        self.changed.send_replace(());
        Following { requests: Arc::clone(self), index, finished: false }
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.lock().clone()
    }

    pub(super) fn open(&self) -> usize {
        self.lock().iter().filter(|request| request.progress == Progress::Open).count()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// One line per request, for the message of a failed wait.
    pub(super) fn summary(&self) -> Vec<String> {
        let line = |request: &Request| {
            let Request { method, uri, status, progress, .. } = request;
            let prompt: String = request.prompt().chars().take(200).collect();
            format!("{method} {uri} {status} {progress:?} {prompt:?}")
        };
        self.lock().iter().map(line).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one answer: dropped before its end, the client has hung up.
pub(super) struct Following {
    requests: Arc<Requests>,
    index: usize,
    finished: bool,
}

impl Following {
    pub(super) fn number(&self) -> usize {
        self.index + 1
    }

    pub(super) fn understood(&self, turn: &Turn) {
        self.update(|request| request.turn = Some(turn.clone()));
    }

    pub(super) fn answering(&self, status: u16) {
        self.update(|request| {
            request.status = status;
            request.progress = Progress::Open;
        });
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.update(|request| request.progress = Progress::Finished);
    }

    fn update(&self, change: impl FnOnce(&mut Request)) {
        change(&mut self.requests.lock()[self.index]);
        self.requests.changed.send_replace(());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if !self.finished {
            self.update(|request| request.progress = Progress::Cut);
        }
    }
}
