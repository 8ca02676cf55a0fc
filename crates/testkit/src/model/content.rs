//! Message contents and tool lists, as far as both vendors write them alike.

use serde_json::{Value, json};

/// Returns the names of the inputs a JSON schema describes.
pub(super) fn inputs(schema: &Value) -> Vec<String> {
    let properties = schema["properties"].as_object();
    properties.map_or_else(Vec::new, |all| all.keys().cloned().collect())
}

/// Returns the blocks of a content, which may also be one plain string.
pub(super) fn blocks(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        other => list(other).to_vec(),
    }
}

/// Returns all text of a content.
pub(super) fn text(content: &Value) -> String {
    let blocks = blocks(content);
    let texts: Vec<_> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join("\n")
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
