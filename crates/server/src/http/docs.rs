//! The API description, for programs and for people.
//!
//! `/api/docs` is written once at start: no script, nothing from another host.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::header;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::pages::{Page, escape};
use crate::app::App;
use crate::error::Error;

/// The two addresses of the description.
pub(super) fn routes(description: &OpenApi) -> Result<Router<App>, Error> {
    let unreadable = |error: serde_json::Error| Error::Internal(format!("the API description: {error}"));
    let json = description.to_pretty_json().map_err(unreadable)?;
    let tree: Value = serde_json::from_str(&json).map_err(unreadable)?;
    let (json, page): (Arc<str>, Arc<str>) = (json.into(), body(&tree).into());
    Ok(Router::new()
        .route("/api/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], json.to_string())))
        .route("/api/docs", get(async move || Page::new("API", page.to_string()))))
}

fn body(tree: &Value) -> String {
    let mut html = format!(
        "<p>{}</p><p><a href=\"/api/openapi.json\">openapi.json</a> · <a href=\"#bodies\">Bodies</a></p>",
        escape(text(&tree["info"]["description"]))
    );
    for (path, item) in fields(&tree["paths"]) {
        for (method, route) in fields(item) {
            write_route(&mut html, path, method, route);
        }
    }
    html.push_str("<h2 id=\"bodies\">Bodies</h2>");
    for (name, schema) in fields(&tree["components"]["schemas"]) {
        write_schema(&mut html, name, schema);
    }
    html
}

fn write_route(html: &mut String, path: &str, method: &str, route: &Value) {
    let _ = write!(html, "<h2><code>{} {}</code></h2>", method.to_uppercase(), escape(path));
    for said in [&route["summary"], &route["description"]] {
        if let Some(said) = said.as_str() {
            let _ = write!(html, "<p>{}</p>", escape(said));
        }
    }
    let callers: Vec<&str> = items(&route["security"]).flat_map(fields).map(|(name, _)| name).collect();
    let callers = if callers.is_empty() { "everyone".to_owned() } else { escape(&callers.join(", ")) };
    let _ = write!(html, "<dl><dt>Open to</dt><dd>{callers}</dd>");
    for parameter in items(&route["parameters"]) {
        let _ = write!(
            html,
            "<dt><code>{}</code></dt><dd>{} in the {}{}{}</dd>",
            escape(text(&parameter["name"])),
            kind(&parameter["schema"]),
            escape(text(&parameter["in"])),
            if parameter["required"] == true { "" } else { ", optional" },
            parameter["description"].as_str().map(|said| format!(": {}", escape(said))).unwrap_or_default(),
        );
    }
    if let Some(content) = route["requestBody"]["content"].as_object() {
        let taken: Vec<String> = content.values().map(|media| kind(&media["schema"])).collect();
        let _ = write!(html, "<dt>Takes</dt><dd>{}</dd>", taken.join(" or "));
    }
    for (status, answer) in fields(&route["responses"]) {
        let given: Vec<String> = fields(&answer["content"]).map(|(_, media)| kind(&media["schema"])).collect();
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(status), given.join(" or "));
    }
    html.push_str("</dl>");
}

fn write_schema(html: &mut String, name: &str, schema: &Value) {
    let name = escape(name);
    let _ = write!(html, "<h2 id=\"body-{name}\"><code>{name}</code></h2>");
    if let Some(said) = schema["description"].as_str() {
        let _ = write!(html, "<p>{}</p>", escape(said));
    }
    if schema["properties"].is_null() {
        let _ = write!(html, "<p>{}</p>", kind(schema));
        return;
    }
    html.push_str("<dl>");
    for (field, schema) in fields(&schema["properties"]) {
        let said = schema["description"].as_str().map(|said| format!("<br>{}", escape(said))).unwrap_or_default();
        let _ = write!(html, "<dt><code>{}</code></dt><dd>{}{said}</dd>", escape(field), kind(schema));
    }
    html.push_str("</dl>");
}

/// Writes a schema in a few words, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#body-{name}\">{name}</a>");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if schema[choice].is_array() {
            return items(&schema[choice]).map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if schema["enum"].is_array() {
        return items(&schema["enum"])
            .map(|word| format!("<code>{}</code>", escape(text(word))))
            .collect::<Vec<_>>()
            .join(" | ");
    }
    if !schema["items"].is_null() {
        return format!("list of {}", kind(&schema["items"]));
    }
    if schema["properties"].is_object() {
        let inner: Vec<String> = fields(&schema["properties"])
            .map(|(name, schema)| format!("<code>{}</code>: {}", escape(name), kind(schema)))
            .collect();
        return format!("{{ {} }}", inner.join(", "));
    }
    match &schema["type"] {
        Value::String(word) => escape(word),
        Value::Array(words) => escape(&words.iter().map(text).collect::<Vec<_>>().join(" or ")),
        _ => "anything".to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
