//! The Anthropic messages protocol.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Answer, Ending, Refusal, Step};
use super::content::{blocks, inputs, list, text};
use super::turn::{Entry, Outcome, Tool, ToolResult, Turn, Vendor};
use super::{MODEL, SMALL_MODEL};

pub(super) fn authenticate(headers: &HeaderMap) -> Result<(), Refusal> {
    let key = headers.contains_key("x-api-key");
    let bearer = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
    if !key && !bearer {
        return Err(Refusal::new(401, "x-api-key header is required"));
    }
    if !headers.contains_key("anthropic-version") {
        return Err(Refusal::invalid("anthropic-version: header is required"));
    }
    Ok(())
}

/// Checks what `messages` and `count_tokens` both need.
pub(super) fn countable(body: &Value) -> Result<(), Refusal> {
    if !body.is_object() {
        return Err(Refusal::invalid("The request body is not valid JSON"));
    }
    let Some(model) = body["model"].as_str() else {
        return Err(Refusal::invalid("model: Field required"));
    };
    if model.starts_with("no-such") {
        return Err(Refusal::new(404, format!("model: {model}")));
    }
    let Some(messages) = body["messages"].as_array() else {
        return Err(Refusal::invalid("messages: Field required"));
    };
    if messages.is_empty() {
        return Err(Refusal::invalid("messages: at least one message is required"));
    }
    paired(messages)
}

/// Checks that every tool call is answered in the very next message, and nothing else is.
fn paired(messages: &[Value]) -> Result<(), Refusal> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant" | "system") {
            return Err(Refusal::invalid(format!("messages.{index}.role: Input should be 'user' or 'assistant'")));
        }
        if role == "system" {
            continue;
        }
        let mut results = Vec::new();
        let mut calls = Vec::new();
        for block in list(&message["content"]) {
            match block["type"].as_str() {
                Some("tool_use") => calls.push(block["id"].as_str().unwrap_or_default()),
                Some("tool_result") => {
                    results.push(block["tool_use_id"].as_str().unwrap_or_default());
                }
                Some("text") if block["text"].as_str().is_none_or(str::is_empty) => {
                    return Err(Refusal::invalid("messages: text content blocks must be non-empty"));
                }
                Some(_) => {}
                None => {
                    return Err(Refusal::invalid(format!("messages.{index}.content.0.type: Field required")));
                }
            }
        }
        if let Some(id) = results.iter().find(|id| !open.contains(id)) {
            return Err(Refusal::invalid(format!(
                "messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        if let Some(id) = open.iter().find(|id| !results.contains(id)) {
            return Err(Refusal::invalid(format!(
                "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )));
        }
        open = calls;
    }
    match open.first() {
        Some(id) => Err(Refusal::invalid(format!(
            "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
        ))),
        None => Ok(()),
    }
}

pub(super) fn read(body: &Value) -> Result<Turn, Refusal> {
    countable(body)?;
    if !body["max_tokens"].is_u64() {
        return Err(Refusal::invalid("max_tokens: Field required"));
    }
    let tool = |tool: &Value| Tool {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        inputs: inputs(&tool["input_schema"]),
    };
    let tools: Vec<_> = list(&body["tools"]).iter().map(tool).collect();

    let mut entries = vec![Entry::System(text(&body["system"]))];
    for message in list(&body["messages"]) {
        let content = &message["content"];
        match message["role"].as_str() {
            Some("system") => entries.push(Entry::System(text(content))),
            Some("assistant") => {
                let calls = blocks(content);
                let calls = calls.iter().filter(|block| block["type"] == "tool_use");
                entries.extend(calls.map(|_| Entry::Call));
            }
            _ => {
                let results = blocks(content);
                let results = results.iter().filter(|block| block["type"] == "tool_result");
                entries.extend(results.map(|block| Entry::Result(result(block))));
                entries.push(Entry::User(text(content)));
            }
        }
    }
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    Ok(Turn::read(Vendor::Anthropic, model, &tools, entries))
}

fn result(block: &Value) -> ToolResult {
    let text = text(&block["content"]);
    let failed = block["is_error"] == json!(true);
    let ran = text.starts_with("Exit code") || text.contains("<tool_use_error>");
    ToolResult {
        outcome: match (failed, ran) {
            (false, _) => Outcome::Ran,
            (true, true) => Outcome::Failed,
            (true, false) => Outcome::Denied,
        },
        text,
    }
}

pub(super) fn error(refusal: &Refusal, number: usize) -> Value {
    let kind = match refusal.status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({
        "type": "error",
        "error": { "type": kind, "message": refusal.message },
        "request_id": format!("req_{number:08}"),
    })
}

pub(super) fn models() -> Value {
    let model =
        |id: &str| json!({ "type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z" });
    json!({
        "data": [model(MODEL), model(SMALL_MODEL)],
        "has_more": false, "first_id": MODEL, "last_id": SMALL_MODEL,
    })
}

fn message(answer: &Answer, number: usize) -> Value {
    json!({
        "id": format!("msg_{number:08}"), "type": "message", "role": "assistant", "model": answer.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": answer.input_tokens, "output_tokens": 1,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        },
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.call.is_some() { "tool_use" } else { "end_turn" }
}

pub(super) fn whole(answer: &Answer, number: usize) -> Value {
    let mut content = Vec::new();
    if !answer.chunks.is_empty() {
        content.push(json!({ "type": "text", "text": answer.text() }));
    }
    if let Some((name, input)) = &answer.call {
        let id = format!("toolu_{number:08}");
        content.push(json!({ "type": "tool_use", "id": id, "name": name, "input": input }));
    }
    let mut message = message(answer, number);
    message["content"] = json!(content);
    message["stop_reason"] = json!(stop_reason(answer));
    message["usage"]["output_tokens"] = json!(answer.output_tokens);
    message
}

pub(super) fn stream(answer: &Answer, number: usize) -> Vec<Step> {
    let mut steps = vec![event("message_start", json!({ "message": message(answer, number) }))];
    let mut index = 0;
    if !answer.chunks.is_empty() {
        let block = json!({ "type": "text", "text": "" });
        steps.push(event("content_block_start", json!({ "index": 0, "content_block": block })));
        for chunk in &answer.chunks {
            steps.push(Step::Wait(answer.every));
            let delta = json!({ "type": "text_delta", "text": chunk });
            steps.push(event("content_block_delta", json!({ "index": 0, "delta": delta })));
        }
        index = 1;
    }
    if answer.ending == Ending::Never {
        steps.push(Step::hang("event: ping\ndata: {\"type\": \"ping\"}\n\n"));
        return steps;
    }
    if index == 1 {
        steps.push(event("content_block_stop", json!({ "index": 0 })));
    }
    if let Some((name, input)) = &answer.call {
        let id = format!("toolu_{number:08}");
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
        let delta = json!({ "type": "input_json_delta", "partial_json": input.to_string() });
        steps.push(event("content_block_start", json!({ "index": index, "content_block": block })));
        steps.push(event("content_block_delta", json!({ "index": index, "delta": delta })));
        steps.push(event("content_block_stop", json!({ "index": index })));
    }
    let delta = json!({ "stop_reason": stop_reason(answer), "stop_sequence": null });
    let usage = json!({ "output_tokens": answer.output_tokens });
    steps.push(event("message_delta", json!({ "delta": delta, "usage": usage })));
    steps.push(event("message_stop", json!({})));
    steps
}

fn event(kind: &str, mut data: Value) -> Step {
    data["type"] = json!(kind);
    Step::Send(format!("event: {kind}\ndata: {data}\n\n"))
}
