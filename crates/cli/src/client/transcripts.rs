//! Transcripts of runs and journals of machines: streams of the Durable Streams protocol.

use std::time::Duration;

use chatroom_protocol::RunId;
use chatroom_protocol::api::transcripts::{SearchHits, TranscriptIndex};
use reqwest::{Method, Response, StatusCode};
use serde_json::value::RawValue;
use url::form_urlencoded::byte_serialize;

use super::{Again, ApiError, Client};

/// How long an answer may take that waits for something: the server waits half a minute.
const LONG_POLL: Duration = Duration::from_mins(1);

/// What a read of a stream returned.
pub struct Page {
    /// The events, exactly as they were written.
    pub events: Vec<Box<RawValue>>,
    /// Where to read on.
    pub next: String,
    /// Whether there is no more by now.
    pub is_up_to_date: bool,
    /// Whether nothing more comes.
    pub is_closed: bool,
}

impl Client {
    /// Reads a stream from an offset on; if asked to, waits until there is something.
    pub async fn page(&self, stream: &str, offset: &str, wait: bool) -> Result<Page, ApiError> {
        let live = if wait { "&live=long-poll" } else { "" };
        let path = format!("{stream}?offset={offset}{live}");
        let patience = if wait { LONG_POLL } else { super::PATIENCE };
        let response = self.send(Method::GET, &path, None::<&()>, Again::Harmless, patience).await?;
        let status = response.status();
        let said = |name: &str| said(&response, name);
        let next = said("stream-next-offset").ok_or_else(|| ApiError::NotOurs { url: self.url(), status })?;
        let (is_up_to_date, is_closed) = (said("stream-up-to-date").is_some(), said("stream-closed").is_some());
        let events = if status == StatusCode::NO_CONTENT { Vec::new() } else { self.read(response).await? };
        Ok(Page { events, next, is_up_to_date, is_closed })
    }

    /// Tells where the events of a transcript are, and one of them by its number.
    pub async fn transcript_index(&self, run: RunId, event: Option<u64>) -> Result<TranscriptIndex, ApiError> {
        let event = event.map(|event| format!("?event={event}")).unwrap_or_default();
        self.get(&format!("/api/runs/{run}/transcript/index{event}")).await
    }

    /// Finds text in a transcript, from an offset on.
    pub async fn search_transcript(&self, run: RunId, text: &str, from: &str) -> Result<SearchHits, ApiError> {
        let text: String = byte_serialize(text.as_bytes()).collect();
        self.get(&format!("/api/runs/{run}/transcript/search?text={text}&from={from}&limit=100")).await
    }
}

fn said(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}
