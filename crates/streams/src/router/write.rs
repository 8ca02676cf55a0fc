//! `PUT`, `POST` and `DELETE`.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::answer::{self, Error};
use super::request::{self, BadRequest};
use super::{Service, answer::empty};
use crate::{Engine, Refusal};

/// Reads the body of a request. Nothing else of it is kept until that is there.
fn body(engine: &Engine, request: Box<Request>) -> impl Future<Output = Result<Bytes, Error>> + use<> {
    let largest = engine.options().max_body;
    let body = Limited::new(request.into_body(), largest);
    async move {
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(largest).into()),
            Err(_) => Err(BadRequest::Body.into()),
        }
    }
}

pub(super) async fn create(
    service: &Service,
    engine: &Engine,
    path: &str,
    request: Box<Request>,
) -> Result<Response, Error> {
    let mut create = request::create(request.headers(), &service.options.prefix)?;
    let location = location(request.headers(), request.uri());
    create.body = body(engine, request).await?;
    let reads = create.fork.as_ref().is_some_and(|fork| fork.at.is_some());
    let created = if reads {
        let (engine, path) = (engine.clone(), path.to_owned());
        let asked = tokio::task::spawn_blocking(move || engine.create(&path, create)).await;
        asked.map_err(|_| Refusal::Unreadable)?.await?
    } else {
        engine.create(path, create).await?
    };
    let mut response = empty(if created.is_new { StatusCode::CREATED } else { StatusCode::OK });
    let headers = response.headers_mut();
    if created.is_new {
        headers.insert(header::LOCATION, answer::text(&location));
    }
    headers.insert(header::CONTENT_TYPE, answer::text(created.content_type.as_str()));
    headers.insert(answer::NEXT_OFFSET, answer::offset(created.tail));
    if created.closed {
        headers.insert(answer::CLOSED, answer::yes());
    }
    Ok(response)
}

/// Returns the address of the stream as the client knows it.
fn location(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    match host {
        Some(host) => format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path()),
        None => uri.path().to_owned(),
    }
}

pub(super) async fn append(engine: &Engine, path: &str, request: Box<Request>) -> Result<Response, Error> {
    let mut append = request::append(request.headers())?;
    append.body = body(engine, request).await?;
    let has_body = !append.body.is_empty();
    if has_body && append.content_type.is_none() {
        return Err(BadRequest::NoContentType.into());
    }
    let appended = engine.append(path, append).await?;
    let is_counted = appended.producer.is_some() && appended.is_new && has_body;
    let mut response = empty(if is_counted { StatusCode::OK } else { StatusCode::NO_CONTENT });
    let headers = response.headers_mut();
    headers.insert(answer::NEXT_OFFSET, answer::offset(appended.tail));
    if appended.closed {
        headers.insert(answer::CLOSED, answer::yes());
    }
    if let Some((epoch, seq)) = appended.producer {
        headers.insert(answer::PRODUCER_EPOCH, answer::number(epoch));
        headers.insert(answer::PRODUCER_SEQ, answer::number(seq));
    }
    Ok(response)
}

pub(super) async fn delete(engine: &Engine, path: &str) -> Result<Response, Error> {
    engine.delete(path).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
