//! The HTTP side: one path from the request to the answer for both vendors.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::answer::{Answer, Ending, Refusal, Step};
use super::requests::{Following, Progress, Request};
use super::turn::{Turn, Vendor};
use super::{Script, anthropic, openai};

/// The real services refuse larger bodies too.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

pub(super) async fn serve(listener: TcpListener, router: Router) {
    // Without this a streamed answer waits for the client's delayed acknowledgements.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let served = axum::serve(listener, router).await;
    served.expect("the scripted model's listener");
}

pub(super) fn router(script: Arc<Script>) -> Router {
    Router::new()
        .route("/anthropic/v1/messages", post(messages))
        .route("/anthropic/v1/messages/count_tokens", post(count_tokens))
        .route("/anthropic/v1/models", get(anthropic_models))
        .route("/openai/v1/chat/completions", post(completions))
        .route("/openai/v1/models", get(openai_models))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(script)
}

/// What every handler gets.
#[derive(axum::extract::FromRequest)]
#[from_request(state(Arc<Script>))]
struct Call {
    script: State<Arc<Script>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Call {
    fn record(&self, body: &Value) -> Following {
        self.script.requests.record(Request {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: body.clone(),
            turn: None,
            status: 0,
            progress: Progress::Waiting,
        })
    }

    fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    fn turn(&self, vendor: Vendor, body: &Value) -> Result<Turn, Refusal> {
        match vendor {
            Vendor::Anthropic => {
                anthropic::authenticate(&self.headers)?;
                anthropic::read(body)
            }
            Vendor::OpenAi => {
                openai::authenticate(&self.headers)?;
                openai::read(body)
            }
        }
    }
}

async fn messages(call: Call) -> Response {
    answer(Vendor::Anthropic, &call).await
}

async fn completions(call: Call) -> Response {
    answer(Vendor::OpenAi, &call).await
}

async fn answer(vendor: Vendor, call: &Call) -> Response {
    let body = call.body();
    let following = call.record(&body);
    let turn = match call.turn(vendor, &body) {
        Ok(turn) => turn,
        Err(refusal) => return refuse(vendor, following, &refusal),
    };
    following.understood(&turn);
    let answer = match call.script.reply(&turn).answer(&turn) {
        Ok(answer) => answer,
        Err(problem) => return refuse(vendor, following, &Refusal::new(500, problem)),
    };
    if let Ending::Refused(status) = answer.ending {
        return refuse(vendor, following, &Refusal::new(status, "scripted error"));
    }
    if body["stream"] == json!(true) {
        stream(vendor, following, &answer, &body)
    } else {
        whole(vendor, following, &answer).await
    }
}

fn stream(vendor: Vendor, following: Following, answer: &Answer, body: &Value) -> Response {
    let number = following.number();
    let steps = match vendor {
        Vendor::Anthropic => anthropic::stream(answer, number),
        Vendor::OpenAi => openai::stream(answer, number, openai::wants_usage(body)),
    };
    following.answering(200);
    let frames =
        futures_util::stream::unfold((VecDeque::from(steps), following), |(mut steps, mut following)| async move {
            let frame = loop {
                match steps.pop_front()? {
                    Step::Send(frame) => break frame,
                    Step::Wait(pause) => tokio::time::sleep(pause).await,
                    Step::Forever { keep_alive, every } => {
                        tokio::time::sleep(every).await;
                        let frame = keep_alive.clone();
                        steps.push_front(Step::Forever { keep_alive, every });
                        break frame;
                    }
                }
            };
            if steps.is_empty() {
                following.finish();
            }
            let frame = Ok::<_, Infallible>(Bytes::from(frame));
            Some((frame, (steps, following)))
        });
    let head = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (head, Body::from_stream(frames)).into_response()
}

async fn whole(vendor: Vendor, following: Following, answer: &Answer) -> Response {
    following.answering(200);
    for _ in &answer.chunks {
        tokio::time::sleep(answer.every).await;
    }
    if answer.ending == Ending::Never {
        return std::future::pending().await;
    }
    let number = following.number();
    let body = match vendor {
        Vendor::Anthropic => anthropic::whole(answer, number),
        Vendor::OpenAi => openai::whole(answer, number),
    };
    finish(following, body)
}

async fn count_tokens(call: Call) -> Response {
    let body = call.body();
    let following = call.record(&body);
    let checked = anthropic::authenticate(&call.headers).and_then(|()| anthropic::countable(&body));
    match checked {
        Ok(()) => finish(following, json!({ "input_tokens": call.bytes.len() / 4 })),
        Err(refusal) => refuse(Vendor::Anthropic, following, &refusal),
    }
}

async fn anthropic_models(call: Call) -> Response {
    let following = call.record(&Value::Null);
    match anthropic::authenticate(&call.headers) {
        Ok(()) => finish(following, anthropic::models()),
        Err(refusal) => refuse(Vendor::Anthropic, following, &refusal),
    }
}

async fn openai_models(call: Call) -> Response {
    let following = call.record(&Value::Null);
    match openai::authenticate(&call.headers) {
        Ok(()) => finish(following, openai::models()),
        Err(refusal) => refuse(Vendor::OpenAi, following, &refusal),
    }
}

async fn unknown(call: Call) -> Response {
    let following = call.record(&call.body());
    let vendor = if call.uri.path().starts_with("/openai") { Vendor::OpenAi } else { Vendor::Anthropic };
    let message = format!("no such route: {} {}", call.method, call.uri.path());
    refuse(vendor, following, &Refusal::new(404, message))
}

fn finish(mut following: Following, body: Value) -> Response {
    following.answering(200);
    following.finish();
    Json(body).into_response()
}

fn refuse(vendor: Vendor, mut following: Following, refusal: &Refusal) -> Response {
    let status = axum::http::StatusCode::from_u16(refusal.status).expect("a scripted status between 100 and 999");
    let body = match vendor {
        Vendor::Anthropic => anthropic::error(refusal, following.number()),
        Vendor::OpenAi => openai::error(refusal),
    };
    following.answering(refusal.status);
    following.finish();
    (status, Json(body)).into_response()
}
