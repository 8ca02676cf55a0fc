//! Finding one's way in a transcript. The transcript itself is a Durable Streams read.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::journal::JournalEntry;
use crate::transcript::{RunEvent, Sequenced};

/// Events of a transcript, in order: what a read returns, and what a machine appends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TranscriptPage(pub Vec<Sequenced<RunEvent>>);

/// Entries of a machine's journal, in order: what a read returns, and what a machine appends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JournalPage(pub Vec<JournalEntry>);

/// Where events of a transcript are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptIndex {
    /// The number of the last event there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<u64>,
    /// The end of the stream: follow from here for what comes.
    pub next_offset: String,
    /// Whether nothing more comes.
    pub closed: bool,
    /// Where pages begin, in order: a read from one of these offsets is the same for ever, except from the last.
    pub pages: Vec<EventPlace>,
    /// Where the event that was asked for is, if there is such an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<EventPlace>,
}

/// Where an event is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventPlace {
    /// Its number: `seq`.
    pub event: u64,
    /// The offset a read begins at to have it first.
    pub offset: String,
}

/// What was found in a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchHits {
    /// The events that have the text, in order.
    pub hits: Vec<SearchHit>,
    /// Where to search on; absent when all of it was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An event that has the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// Its number: of a text that was written in parts, that of the first.
    pub event: u64,
    /// The offset a read begins at to have it first.
    pub offset: String,
    /// When it was written, by its machine's clock.
    pub at: Timestamp,
    /// What kind of event it is, such as `message` or `tool_result`.
    pub kind: String,
    /// The text around the first place it is at.
    pub excerpt: String,
}
