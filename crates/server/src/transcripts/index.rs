//! Where in a transcript an event is.
//!
//! Events have numbers, and count up in their stream: so a few small reads find the page an event is in, and that page
//! alone is read whole. Nothing is kept for it.

use chatroom_protocol::RunId;
use chatroom_protocol::api::transcripts::{EventPlace, TranscriptIndex};
use chatroom_streams::{Offset, Reader, Refusal, Start, View};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Transcripts;
use crate::error::Error;

/// How many bytes of a page show its first event's number.
const GLANCE: u64 = 64;

/// A message of a transcript with its place.
pub(super) struct Placed<'a> {
    /// Where it begins.
    pub at: Offset,
    /// The event, as it was written.
    pub event: &'a RawValue,
}

/// Looks up where the pages of a transcript begin, and, if asked, one of its events.
pub async fn look_up(transcripts: &Transcripts, run: RunId, event: Option<u64>) -> Result<TranscriptIndex, Error> {
    let reader = transcripts.ensure(run).await?;
    transcripts.look(move || index(&reader, event)).await
}

fn index(reader: &Reader, wanted: Option<u64>) -> Result<TranscriptIndex, Refusal> {
    let about = reader.about()?;
    let mut pages = Vec::new();
    for offset in reader.pages()? {
        if let Some(event) = first_event(&reader.view(Start::At(offset))?)? {
            pages.push(EventPlace { event, offset: offset.to_string() });
        }
    }
    let last_event = match pages.last() {
        Some(page) => last_in(reader, &page.offset)?,
        None => None,
    };
    let place = match wanted {
        Some(wanted) => find(reader, &pages, wanted)?,
        None => None,
    };
    Ok(TranscriptIndex { last_event, next_offset: about.tail.to_string(), closed: about.closed, pages, place })
}

/// Returns the number of the first event of a page.
fn first_event(page: &View) -> Result<Option<u64>, Refusal> {
    if page.is_empty() {
        return Ok(None);
    }
    let glance = page.start(GLANCE)?;
    let digits = glance.strip_prefix(br#"{"seq":"#).unwrap_or_default();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(0);
    if let Some(number) = std::str::from_utf8(&digits[..end]).ok().and_then(|digits| digits.parse().ok()) {
        return Ok(Some(number));
    }
    // Not as our own daemons write it.
    let bytes = page.load()?;
    Ok(messages(page, &bytes)?.first().and_then(|message| number(message.event)))
}

fn last_in(reader: &Reader, page: &str) -> Result<Option<u64>, Refusal> {
    let mut start: Start = page.parse().map_err(|_| Refusal::BadOffset)?;
    let mut last = None;
    loop {
        // The tail may have moved on meanwhile.
        let page = reader.view(start)?;
        let bytes = page.load()?;
        let found = messages(&page, &bytes)?;
        last = found.iter().rev().find_map(|message| number(message.event)).or(last);
        if page.is_up_to_date {
            return Ok(last);
        }
        start = Start::At(page.next());
    }
}

fn find(reader: &Reader, pages: &[EventPlace], wanted: u64) -> Result<Option<EventPlace>, Refusal> {
    let after = pages.partition_point(|page| page.event <= wanted);
    let Some(page) = after.checked_sub(1).and_then(|place| pages.get(place)) else {
        return Ok(None);
    };
    let page = reader.view(page.offset.parse().map_err(|_| Refusal::BadOffset)?)?;
    let bytes = page.load()?;
    let found = messages(&page, &bytes)?;
    let place = found.iter().find(|message| number(message.event) == Some(wanted));
    Ok(place.map(|message| EventPlace { event: wanted, offset: message.at.to_string() }))
}

/// Takes a page apart. Its messages are stored one behind the other, with one byte after each.
pub(super) fn messages<'a>(page: &View, bytes: &'a [u8]) -> Result<Vec<Placed<'a>>, Refusal> {
    let events: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(|_| Refusal::Unreadable)?;
    let mut at = page.from();
    let place = |event: &'a RawValue| {
        let next = at.plus(event.get().len() as u64 + 1);
        Placed { at: std::mem::replace(&mut at, next), event }
    };
    Ok(events.into_iter().map(place).collect())
}

fn number(event: &RawValue) -> Option<u64> {
    #[derive(Deserialize)]
    struct Number {
        seq: u64,
    }
    serde_json::from_str::<Number>(event.get()).ok().map(|number| number.seq)
}
