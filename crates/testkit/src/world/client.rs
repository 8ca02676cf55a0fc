//! Requests as somebody, and answers as a test reads them.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::Feed;

/// Somebody who sends requests, with a credential or without.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, `null` if it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub raw: String,
}

impl Client {
    /// Returns somebody with a bearer credential, or without any.
    pub fn new(base: String, token: Option<String>) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self { http, base, token }
    }

    /// Returns the same with another credential.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Returns the credential.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Returns the address of the server.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Begins a request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let raw = answer.text().await.expect("a whole answer");
        Answer { status, headers, body: serde_json::from_str(&raw).unwrap_or_default(), raw }
    }

    /// Sends `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// Sends `PUT` with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    /// Sends `PATCH` with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// Sends `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Opens the event stream.
    pub async fn follow(&self, path: &str) -> Feed {
        let request = self.request(Method::GET, path).header("accept", "text/event-stream");
        Feed::open(request).await
    }
}

impl Answer {
    /// Returns a text of the body's top level.
    pub fn text(&self, name: &str) -> &str {
        match self.body[name].as_str() {
            Some(text) => text,
            None => panic!("no text {name:?} in {} {}", self.status, self.raw),
        }
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Writes status and body for a snapshot, without what differs from run to run.
    pub fn snapshot(&self) -> String {
        let body = serde_json::to_string_pretty(&redacted(self.body.clone())).unwrap_or_default();
        format!("{}\n{body}", self.status)
    }
}

/// Takes ids, tokens, codes and times out of a body.
pub fn redacted(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let varies = matches!(
                    name.as_str(),
                    "requestId" | "machineId" | "link" | "userCode" | "verificationUriComplete" | "verificationUri"
                );
                let value = if varies && value.is_string() { Value::from("…") } else { redacted(value) };
                (name, value)
            })
            .collect(),
        Value::Array(all) => all.into_iter().map(redacted).collect(),
        Value::Number(number) if number.as_i64().is_some_and(|number| number > 1_000_000_000_000) => "<time>".into(),
        Value::String(text) => match text.split_once('_') {
            Some((prefix, rest)) if rest.len() >= 26 && prefix.len() <= 4 && !rest.contains(' ') => {
                format!("{prefix}_…").into()
            }
            _ => Value::String(text),
        },
        other => other,
    }
}
