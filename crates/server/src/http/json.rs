//! JSON bodies in and out; what cannot be read is a problem document.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        // Pages of other origins can send forms and text without asking, JSON they cannot.
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Error::Invalid("the body must be JSON, sent with `content-type: application/json`".into()));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| body(&error))?;
        // A list of the fields' values would be read as the object as well.
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Error::Invalid("the body must be a JSON object".into()));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Error::Invalid(format!("the body does not fit: {error}")))
    }
}

/// Says why a body could not be read.
pub(super) fn body(error: &BytesRejection) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge
    } else {
        Error::Invalid("the body did not arrive whole".into())
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::Internal(format!("an answer could not be written: {error}")).into_response(),
        }
    }
}
