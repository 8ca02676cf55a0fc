//! Reading what a request says, with a problem document where that fails.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use chatroom_protocol::ErrorCode;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::{Refusal, problem};

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| match error {
            BytesRejection::FailedToBufferBody(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                problem(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, "the body is larger than 4 MiB")
            }
            error => invalid(error.body_text()),
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| invalid(error.to_string()))
    }
}

/// Reads an id of the path.
pub(super) fn id<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| invalid(error.to_string()))
}

fn invalid(why: impl Into<String>) -> Refusal {
    problem(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, why)
}
