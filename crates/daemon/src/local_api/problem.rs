//! Answers that say no.

use axum::response::{IntoResponse, Response};
use chatroom_protocol::{ErrorCode, Problem};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use crate::credentials::CredentialError;
use crate::journal::JournalError;
use crate::runs::SteerError;

/// A problem document.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

/// Makes one.
pub(super) fn problem(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Refusal {
    Refusal(Box::new(Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("Refused").to_owned(),
        status: status.as_u16(),
        code,
        detail: detail.into(),
        request_id: None,
        allowed: Vec::new(),
        state: None,
    }))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Closed => {
                problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown, "the daemon is stopping")
            }
            error @ JournalError::Log(_) => {
                problem(StatusCode::INSUFFICIENT_STORAGE, ErrorCode::StorageFull, error.to_string())
            }
            error => problem(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, error.to_string()),
        }
    }
}

impl From<CredentialError> for Refusal {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Interrupted => {
                problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown, error.to_string())
            }
            error => problem(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, error.to_string()),
        }
    }
}

impl From<SteerError> for Refusal {
    fn from(error: SteerError) -> Self {
        let code = match error {
            SteerError::NotRunning => ErrorCode::NotRunning,
            SteerError::NoTerminal => ErrorCode::NoTerminal,
            SteerError::TooManyViewers(why) => {
                return problem(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, why);
            }
            SteerError::PromptSettled => ErrorCode::PromptSettled,
            SteerError::PermissionClosed => ErrorCode::PermissionClosed,
            SteerError::PermissionChanged => ErrorCode::PermissionChanged,
            SteerError::Journal(error) => return error.into(),
            SteerError::Failed(why) => {
                return problem(StatusCode::BAD_GATEWAY, ErrorCode::MachineFailed, why);
            }
        };
        problem(StatusCode::CONFLICT, code, error.to_string())
    }
}

pub(super) async fn no_such_route() -> Refusal {
    problem(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such route")
}

pub(super) async fn no_such_method() -> Refusal {
    problem(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, "this route does not take that method")
}
