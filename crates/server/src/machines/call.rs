//! Asking a daemon something through its tunnel.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use chatroom_protocol::Problem;
use chatroom_tunnel::{Link, LinkError};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{AgentError, Error};

/// The most an answer may hold that is read whole.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The far end of a tunnel, and what proves us to it.
#[derive(Clone)]
pub struct Peer {
    /// The way there.
    pub link: Link,
    /// `crp_…`
    pub token: String,
}

/// Why there is no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The tunnel is closed, or broke off.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// It took too long.
    #[error("it did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The daemon said no.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The daemon answered with something else than was expected.
    #[error("it gave an answer that cannot be read: {0}")]
    Unreadable(String),
}

impl CallError {
    /// Returns whether the daemon has decided: asking again would change nothing.
    pub fn is_final(&self) -> bool {
        let Self::Refused(problem) = self else { return false };
        (400..500).contains(&problem.status) && ![401, 408, 429].contains(&problem.status)
    }

    /// Returns whether the daemon does not take us for the platform.
    pub fn is_distrust(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 401)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Link(LinkError::Closed) => AgentError::Offline.into(),
            CallError::Refused(problem) if problem.status < 500 && problem.status != 401 => {
                AgentError::Refused(problem).into()
            }
            other => AgentError::MachineFailed(other.to_string()).into(),
        }
    }
}

impl Peer {
    /// Sends a JSON body and reads a JSON answer.
    pub async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, CallError> {
        let text = self.send(path, body).await?;
        serde_json::from_slice(&text).map_err(|error| CallError::Unreadable(error.to_string()))
    }

    /// Reads a JSON answer.
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, CallError> {
        let response = self.open(path).await?;
        let text = tokio::time::timeout(PATIENCE, read(response)).await.unwrap_or(Err(CallError::TooSlow(PATIENCE)))?;
        serde_json::from_slice(&text).map_err(|error| CallError::Unreadable(error.to_string()))
    }

    /// Sends a JSON body and takes any answer that is a yes.
    pub async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), CallError> {
        self.send(path, body).await.map(drop)
    }

    async fn send(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| CallError::Unreadable(error.to_string()))?;
        let exchange = async {
            let response = self.request(Method::POST, path, Body::from(body)).await?;
            let status = response.status();
            let answer = read(response).await?;
            if status.is_success() { Ok(answer) } else { Err(refusal(status, &answer)) }
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(CallError::TooSlow(PATIENCE)))
    }

    /// Asks for something whose body is passed on as it comes.
    pub async fn open(&self, path: &str) -> Result<Response, CallError> {
        self.stream(Method::GET, path, Body::empty()).await
    }

    /// Opens a stream both ways: one body goes there while the other comes back.
    pub async fn exchange(&self, path: &str, body: Body) -> Result<Response, CallError> {
        self.stream(Method::POST, path, body).await
    }

    async fn stream(&self, method: Method, path: &str, body: Body) -> Result<Response, CallError> {
        let response = tokio::time::timeout(PATIENCE, self.request(method, path, body))
            .await
            .unwrap_or(Err(CallError::TooSlow(PATIENCE)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let answer =
            tokio::time::timeout(PATIENCE, read(response)).await.unwrap_or(Err(CallError::TooSlow(PATIENCE)))?;
        Err(refusal(status, &answer))
    }

    async fn request(&self, method: Method, path: &str, body: Body) -> Result<Response, CallError> {
        let mut proof = HeaderValue::try_from(format!("Bearer {}", self.token))
            .map_err(|error| CallError::Unreadable(error.to_string()))?;
        proof.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, proof)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| CallError::Unreadable(error.to_string()))?;
        Ok(self.link.request(request).await?)
    }
}

async fn read(response: Response) -> Result<Vec<u8>, CallError> {
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    body.map(|body| body.to_bytes().to_vec()).map_err(|error| CallError::Unreadable(error.to_string()))
}

fn refusal(status: StatusCode, answer: &[u8]) -> CallError {
    match serde_json::from_slice::<Problem>(answer) {
        Ok(problem) => CallError::Refused(Box::new(Problem { status: status.as_u16(), ..problem })),
        Err(_) => CallError::Unreadable(format!("status {status} without a reason")),
    }
}
