//! Tool calls of the Agent Client Protocol, which are told bit by bit.

use std::collections::HashMap;

use serde_json::{Value, json};

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

/// How many lines that stay are told around those that change.
const AROUND: usize = 3;

/// Returns the changes of files that the content of a call tells, in words of its protocol; nothing if it tells none. Of a
/// file as it was and as it is, only what lies around the change is kept: a log has no room for whole files.
pub(super) fn changes(content: &Value) -> Option<String> {
    let blocks = content.as_array()?.iter().filter(|block| text_of(block, "type") == "diff");
    let changes: Vec<_> = blocks.map(around_change).collect();
    (!changes.is_empty()).then(|| json!({ "content": changes }).to_string())
}

fn around_change(block: &Value) -> Value {
    let [before, after] =
        ["oldText", "newText"].map(|key| text_of(block, key).split_inclusive('\n').collect::<Vec<_>>());
    let same = before.iter().zip(&after).take_while(|(was, is)| was == is).count();
    let rest = before.len().min(after.len()) - same;
    let end = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(was, is)| was == is).count();
    let kept = |lines: &[&str]| lines[same.saturating_sub(AROUND)..lines.len() - end.saturating_sub(AROUND)].concat();
    json!({ "type": "diff", "path": block["path"], "oldText": kept(&before), "newText": kept(&after) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_changed_file_what_lies_around_the_change_is_told() {
        let lines = |range: std::ops::Range<u32>| range.map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
        let diff =
            |before: Value, after: &str| json!([{ "type": "diff", "path": "a", "oldText": before, "newText": after }]);
        let told = |before: Value, after: &str| {
            let told: Value = serde_json::from_str(&changes(&diff(before, after)).expect("a change")).expect("JSON");
            let block = &told["content"][0];
            (text_of(block, "oldText").to_owned(), text_of(block, "newText").to_owned())
        };
        let (before, after) = (lines(0..100), format!("{}new\n{}", lines(0..50), lines(51..100)));
        let around = ("47\n48\n49\n50\n51\n52\n53\n".to_owned(), "47\n48\n49\nnew\n51\n52\n53\n".to_owned());
        assert_eq!(told(before.into(), &after), around);
        assert_eq!(told(Value::Null, "all\n"), (String::new(), "all\n".to_owned()));
        // What is doubled is not taken off twice.
        assert_eq!(told("a\na\n".into(), "a\n"), ("a\na\n".to_owned(), "a\n".to_owned()));
        assert_eq!(told("a\n".into(), "a\na\n"), ("a\n".to_owned(), "a\na\n".to_owned()));
        assert_eq!(changes(&json!([{ "type": "content", "content": { "text": "hi" } }])), None);
    }
}
