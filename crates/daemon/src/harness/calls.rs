//! Tool calls of the Agent Client Protocol, which are told bit by bit.

use std::collections::HashMap;

use serde_json::Value;

use super::{Out, text_of};
use crate::supervisor::event::RunEvent;

/// How many calls may be under way at once.
const MAX_CALLS: usize = 1_000;

/// The calls of a turn.
#[derive(Default)]
pub(super) struct Calls(HashMap<String, Call>);

/// A call that was announced.
#[derive(Default)]
pub(super) struct Call {
    name: String,
    /// Its newest title.
    pub(super) title: String,
    /// What it would do, once that was said.
    pub(super) input: Value,
    told: bool,
}

impl Calls {
    /// Takes over what an update says of a call.
    pub(super) fn learn(&mut self, update: &Value) {
        let id = text_of(update, "toolCallId");
        if self.0.len() >= MAX_CALLS && !self.0.contains_key(id) {
            // None of them came back: their stories are told without what was announced.
            self.0.clear();
        }
        let call = self.0.entry(id.to_owned()).or_default();
        if let Some(title) = update["title"].as_str() {
            if call.name.is_empty() {
                title.clone_into(&mut call.name);
            }
            title.clone_into(&mut call.title);
        }
        if !is_empty(&update["rawInput"]) {
            call.input = update["rawInput"].clone();
        }
    }

    /// Tells the story of a call once: at its announcement its input is often not known yet.
    pub(super) fn tell(&mut self, id: &str, out: &mut Out) {
        let Some(call) = self.0.get_mut(id).filter(|call| !call.told) else {
            return;
        };
        call.told = true;
        let input = if is_empty(&call.input) { call.title.clone() } else { call.input.to_string() };
        out.story(RunEvent::ToolCall { id: id.to_owned(), name: call.name.clone(), input });
    }

    /// Returns what is known of a call.
    pub(super) fn get(&self, id: &str) -> Option<&Call> {
        self.0.get(id)
    }

    /// A call came back.
    pub(super) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// The turn is over.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Returns whether a value says nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
