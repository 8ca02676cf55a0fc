//! What happens in a run, in the words its supervisor writes down: the messages of a transcript.

use serde::{Deserialize, Serialize};

use crate::api::agents::{PermissionScope, RunActivity};
use crate::api::daemon::{PromptFrom, Steerer};
use crate::api::reports::{PermissionOutcome, TurnOutcome};
use crate::asciicast::Frame;
use crate::{PermissionId, PromptId, Timestamp};

/// Something with its place in the log of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sequenced<T> {
    /// Counts up from 1.
    pub seq: u64,
    /// When it was written, by the machine's clock.
    pub at: Timestamp,
    /// What.
    pub event: T,
}

/// One thing that happened in a run. Texts are capped, and never hold the run's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEvent {
    /// The tool's process exists.
    #[serde(rename_all = "camelCase")]
    ToolStarted {
        /// Its process id.
        pid: u32,
        /// When it started, with which a process id is never taken for a later process's.
        start_time: u64,
    },
    /// The run does something else than before.
    Activity {
        /// What.
        activity: RunActivity,
    },
    /// A prompt is about to be given to the tool; written before its first byte is.
    #[serde(rename_all = "camelCase")]
    PromptSent {
        /// Which.
        prompt_id: PromptId,
        /// Who it is from, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PromptFrom>,
        /// What the tool is told, capped. Logs of older versions do not have it, nor has one that is full.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Somebody ends the turn; written before the tool is told.
    InterruptAsked {
        /// Who, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
    },
    /// The run is to end; written before the tool is told.
    StopAsked {
        /// Who wants it; nobody where its daemon, or nobody that is known, ends it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
    },
    /// The tool gave its first output for a prompt.
    #[serde(rename_all = "camelCase")]
    PromptStarted {
        /// Which.
        prompt_id: PromptId,
    },
    /// The turn of a prompt is over.
    #[serde(rename_all = "camelCase")]
    TurnEnded {
        /// Which.
        prompt_id: PromptId,
        /// How.
        outcome: TurnOutcome,
        /// The tool's words, for an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The tool asks before it acts, and stands still until it is answered.
    #[serde(rename_all = "camelCase")]
    PermissionAsked {
        /// Which question.
        permission_id: PermissionId,
        /// One line.
        title: String,
        /// Exactly what would be done, capped at 16 KiB.
        input: String,
        /// What else would be permitted until the run is over, where the answer says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        always: Option<String>,
        /// The hash of all that as it stands here.
        digest: String,
    },
    /// The tool asked what a person has permitted for the whole run, and was allowed it.
    #[serde(rename_all = "camelCase")]
    PermissionRepeated {
        /// The question that was answered for the whole run.
        permission_id: PermissionId,
        /// One line.
        title: String,
        /// Exactly what is done.
        input: String,
    },
    /// A question is no longer open.
    #[serde(rename_all = "camelCase")]
    PermissionClosed {
        /// Which.
        permission_id: PermissionId,
        /// Why.
        outcome: PermissionOutcome,
        /// Who answered, where a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Steerer>,
        /// For how long an allowance holds.
        #[serde(default)]
        scope: PermissionScope,
    },
    /// The agent says something: a whole text, or the next part of one that is being written.
    Message {
        /// What.
        text: String,
        /// The number of the text this is a part of; see [`Fold`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block: Option<u64>,
    },
    /// The agent thinks something: a whole text, or the next part of one that is being written.
    Thought {
        /// What.
        text: String,
        /// The number of the text this is a part of; see [`Fold`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block: Option<u64>,
    },
    /// The agent uses one of its tools.
    ToolCall {
        /// The tool's own id of the call.
        id: String,
        /// The name of the agent's tool, such as `Bash`.
        name: String,
        /// Its input, as JSON or text.
        input: String,
    },
    /// A call came back.
    #[serde(rename_all = "camelCase")]
    ToolResult {
        /// The tool's own id of the call.
        id: String,
        /// What came back, capped.
        output: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// What the last model calls used, as far as the tool says.
    #[serde(rename_all = "camelCase")]
    Usage {
        /// Tokens read, from cache or not.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
    },
    /// The tool's own id of its conversation, with which it could be resumed.
    Session {
        /// The id.
        id: String,
    },
    /// A terminal was opened for the tool: the header of its recording.
    TerminalOpened {
        /// Characters in a row.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// What that terminal showed, as asciicast writes it.
    TerminalFrame {
        /// When, and what: `[seconds, code, data]`.
        #[schema(value_type = Vec<serde_json::Value>, min_items = 3, max_items = 3)]
        frame: Frame,
    },
    /// Something a person might want to know.
    Notice {
        /// What.
        text: String,
    },
    /// The tool is over and no process of the run is left.
    Exited {
        /// Its exit code, if it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// In words.
        reason: String,
        /// Whether it was asked to end.
        requested: bool,
    },
    /// An event of a newer version.
    #[serde(other)]
    Unknown,
}

/// What kind of text an agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// What it says.
    Message,
    /// What it thinks.
    Thought,
}

impl Words {
    /// Returns the event that tells a text of this kind, or a part of the text with the number `block`.
    pub fn event(self, text: String, block: Option<u64>) -> RunEvent {
        match self {
            Self::Message => RunEvent::Message { text, block },
            Self::Thought => RunEvent::Thought { text, block },
        }
    }
}

impl RunEvent {
    /// Returns the number of the text this is a part of.
    pub fn block(&self) -> Option<u64> {
        match self {
            Self::Message { block, .. } | Self::Thought { block, .. } => *block,
            _ => None,
        }
    }

    /// Returns whether losing it would make the daemon act wrongly: such an event is on disk before anything else happens.
    pub fn is_durable(&self) -> bool {
        matches!(
            self,
            Self::ToolStarted { .. }
                | Self::PromptSent { .. }
                | Self::InterruptAsked { .. }
                | Self::StopAsked { .. }
                | Self::PromptStarted { .. }
                | Self::TurnEnded { .. }
                | Self::PermissionAsked { .. }
                | Self::PermissionClosed { .. }
                | Self::PermissionRepeated { .. }
                | Self::Exited { .. }
        )
    }

    /// Returns whether it only tells the story; these are left out once the log of a run is full.
    pub fn is_story(&self) -> bool {
        matches!(
            self,
            Self::Message { .. }
                | Self::Thought { .. }
                | Self::ToolCall { .. }
                | Self::ToolResult { .. }
                | Self::Usage { .. }
                | Self::TerminalFrame { .. }
                | Self::Notice { .. }
        )
    }
}

/// Puts the parts of a text together again.
///
/// Parts that follow one another become one event, with number and time of the first.
#[derive(Debug, Default)]
pub struct Fold(Option<Sequenced<RunEvent>>);

impl Fold {
    /// Takes the next event; returns what is whole by now, in order.
    pub fn push(&mut self, next: Sequenced<RunEvent>) -> impl Iterator<Item = Sequenced<RunEvent>> + use<> {
        let (before, now) = match (self.0.take(), next) {
            (Some(mut open), next) if next.event.block().is_some() && next.event.block() == open.event.block() => {
                if let (
                    RunEvent::Message { text, .. } | RunEvent::Thought { text, .. },
                    RunEvent::Message { text: more, .. } | RunEvent::Thought { text: more, .. },
                ) = (&mut open.event, &next.event)
                {
                    text.push_str(more);
                }
                self.0 = Some(open);
                (None, None)
            }
            (before, next) if next.event.block().is_some() => {
                self.0 = Some(next);
                (before, None)
            }
            (before, next) => (before, Some(next)),
        };
        before.into_iter().chain(now)
    }

    /// Returns the text that was open at the end.
    pub fn finish(self) -> Option<Sequenced<RunEvent>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_text_and_the_order_stays() {
        let events = [
            RunEvent::Message { text: "whole".into(), block: None },
            RunEvent::Thought { text: "hm".into(), block: Some(1) },
            RunEvent::Message { text: "a".into(), block: Some(2) },
            RunEvent::Message { text: "b".into(), block: Some(2) },
            RunEvent::Notice { text: "n".into() },
            RunEvent::Message { text: "c".into(), block: Some(3) },
        ];
        let mut fold = Fold::default();
        let mut seen = Vec::new();
        for (seq, event) in (1..).zip(events) {
            seen.extend(fold.push(Sequenced { seq, at: Timestamp(0), event }));
        }
        seen.extend(fold.finish());
        let told: Vec<_> = seen
            .into_iter()
            .map(|Sequenced { seq, event, .. }| match event {
                RunEvent::Message { text, .. } | RunEvent::Thought { text, .. } | RunEvent::Notice { text } => {
                    (seq, text)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [(1, "whole"), (2, "hm"), (3, "ab"), (5, "n"), (6, "c")];
        assert_eq!(told, expected.map(|(seq, text)| (seq, text.to_owned())));
    }
}
