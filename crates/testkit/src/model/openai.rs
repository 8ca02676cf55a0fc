//! `OpenAI` chat completions.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Answer, Ending, Refusal, Step};
use super::content::{blocks, inputs, list, text};
use super::turn::{Entry, Outcome, Tool, ToolResult, Turn, Vendor};
use super::{MODEL, SMALL_MODEL};

pub(super) fn authenticate(headers: &HeaderMap) -> Result<(), Refusal> {
    let bearer = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
    if bearer { Ok(()) } else { Err(Refusal::new(401, "You didn't provide an API key.")) }
}

pub(super) fn read(body: &Value) -> Result<Turn, Refusal> {
    if !body.is_object() {
        return Err(Refusal::invalid("We could not parse the JSON body of your request."));
    }
    let Some(model) = body["model"].as_str() else {
        return Err(Refusal::invalid("you must provide a model parameter"));
    };
    if model.starts_with("no-such") {
        return Err(Refusal::new(404, format!("The model `{model}` does not exist")));
    }
    let messages = list(&body["messages"]);
    if messages.is_empty() {
        return Err(Refusal::invalid("Missing required parameter: 'messages'."));
    }
    paired(messages)?;

    let tool = |tool: &Value| Tool {
        name: tool["function"]["name"].as_str().unwrap_or_default().to_owned(),
        inputs: inputs(&tool["function"]["parameters"]),
    };
    let tools: Vec<_> = list(&body["tools"]).iter().map(tool).collect();
    let entries = messages.iter().flat_map(entries);
    Ok(Turn::read(Vendor::OpenAi, model.to_owned(), &tools, entries))
}

fn entries(message: &Value) -> Vec<Entry> {
    let said = text(&message["content"]);
    match message["role"].as_str() {
        Some("system" | "developer") => vec![Entry::System(said)],
        Some("assistant") => {
            let calls = list(&message["tool_calls"]);
            calls.iter().map(|_| Entry::Call).collect()
        }
        Some("tool") => vec![Entry::Result(ToolResult {
            outcome: if said.contains("rejected permission") { Outcome::Denied } else { Outcome::Ran },
            text: said,
        })],
        _ => vec![Entry::User(said)],
    }
}

/// Checks that tool messages answer the calls right before them, all of them.
fn paired(messages: &[Value]) -> Result<(), Refusal> {
    const UNANSWERED: &str =
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.";
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(position) = open.iter().position(|call| *call == id) else {
                return Err(Refusal::invalid(format!(
                    "Invalid parameter: messages[{index}] with role 'tool' must be a response to a preceding message with 'tool_calls'."
                )));
            };
            open.remove(position);
            continue;
        }
        if let Some(id) = open.first() {
            return Err(Refusal::invalid(format!(
                "{UNANSWERED} The following tool_call_ids did not have response messages: {id}"
            )));
        }
        let calls = list(&message["tool_calls"]);
        match role {
            "assistant" => {
                if calls.is_empty() && blocks(&message["content"]).is_empty() {
                    return Err(Refusal::invalid(format!(
                        "Invalid value for 'messages[{index}].content': expected a string, got null."
                    )));
                }
                open = calls.iter().filter_map(|call| call["id"].as_str()).collect();
            }
            "system" | "developer" | "user" => {}
            other => {
                return Err(Refusal::invalid(format!("Invalid value: '{other}' for 'messages[{index}].role'.")));
            }
        }
    }
    match open.first() {
        Some(_) => Err(Refusal::invalid(UNANSWERED)),
        None => Ok(()),
    }
}

/// Whether a streamed answer shall end with its usage.
pub(super) fn wants_usage(body: &Value) -> bool {
    body["stream_options"]["include_usage"] == json!(true)
}

pub(super) fn error(refusal: &Refusal) -> Value {
    let (kind, code) = match refusal.status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        403 => ("permission_error", Value::Null),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("requests", json!("rate_limit_exceeded")),
        status if status >= 500 => ("server_error", Value::Null),
        _ => ("invalid_request_error", Value::Null),
    };
    json!({ "error": { "message": refusal.message, "type": kind, "param": null, "code": code } })
}

pub(super) fn models() -> Value {
    let model = |id: &str| json!({ "id": id, "object": "model", "created": 1_767_225_600, "owned_by": "scripted" });
    json!({ "object": "list", "data": [model(MODEL), model(SMALL_MODEL)] })
}

fn usage(answer: &Answer) -> Value {
    let (input, output) = (answer.input_tokens, answer.output_tokens);
    json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.call.is_some() { "tool_calls" } else { "stop" }
}

fn completion(answer: &Answer, number: usize, object: &str, choices: &Value) -> Value {
    json!({
        "id": format!("chatcmpl-{number:08}"), "object": object, "created": 1_767_225_600,
        "model": answer.model, "choices": choices,
    })
}

pub(super) fn whole(answer: &Answer, number: usize) -> Value {
    let mut message = json!({ "role": "assistant", "content": null });
    if !answer.chunks.is_empty() {
        message["content"] = json!(answer.text());
    }
    if let Some((name, input)) = &answer.call {
        let function = json!({ "name": name, "arguments": input.to_string() });
        let id = format!("call_{number:08}");
        message["tool_calls"] = json!([{ "id": id, "type": "function", "function": function }]);
    }
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason(answer) });
    let mut whole = completion(answer, number, "chat.completion", &json!([choice]));
    whole["usage"] = usage(answer);
    whole
}

pub(super) fn stream(answer: &Answer, number: usize, with_usage: bool) -> Vec<Step> {
    let frame = |choices: Value| completion(answer, number, "chat.completion.chunk", &choices);
    let delta =
        |delta: Value, finish: Value| data(&frame(json!([{ "index": 0, "delta": delta, "finish_reason": finish }])));

    let mut steps = vec![delta(json!({ "role": "assistant", "content": "" }), Value::Null)];
    for chunk in &answer.chunks {
        steps.push(Step::Wait(answer.every));
        steps.push(delta(json!({ "content": chunk }), Value::Null));
    }
    if answer.ending == Ending::Never {
        steps.push(Step::hang(": keep-alive\n\n"));
        return steps;
    }
    if let Some((name, input)) = &answer.call {
        let id = format!("call_{number:08}");
        let begin = json!({ "name": name, "arguments": "" });
        let begin = json!({ "index": 0, "id": id, "type": "function", "function": begin });
        let arguments = json!({ "arguments": input.to_string() });
        let arguments = json!({ "index": 0, "function": arguments });
        steps.push(delta(json!({ "tool_calls": [begin] }), Value::Null));
        steps.push(delta(json!({ "tool_calls": [arguments] }), Value::Null));
    }
    steps.push(delta(json!({}), json!(finish_reason(answer))));
    if with_usage {
        let mut last = frame(json!([]));
        last["usage"] = usage(answer);
        steps.push(data(&last));
    }
    steps.push(Step::Send("data: [DONE]\n\n".to_owned()));
    steps
}

fn data(value: &Value) -> Step {
    Step::Send(format!("data: {value}\n\n"))
}
