//! How far the journal of a machine has come.
//!
//! The entries themselves say it, so it is true whatever the machine and this server have lost or forgotten.

use chatroom_protocol::journal::Place;
use chatroom_streams::{Reader, Refusal, Start};

use super::index::messages;
use super::{Of, Transcripts};
use crate::error::Error;

/// Returns the place of the last entry, if there is one.
pub async fn last(transcripts: &Transcripts, of: Of) -> Result<Option<Place>, Error> {
    let reader = transcripts.ensure(of).await?;
    transcripts.look(move || last_in(&reader)).await
}

fn last_in(reader: &Reader) -> Result<Option<Place>, Refusal> {
    let Some(mut start) = reader.pages()?.pop().map(Start::At) else { return Ok(None) };
    let mut last = None;
    loop {
        // The tail may have moved on meanwhile.
        let page = reader.view(start)?;
        let bytes = page.load()?;
        let messages = messages(&page, &bytes)?;
        last = messages.iter().rev().find_map(|message| serde_json::from_str(message.event.get()).ok()).or(last);
        if page.is_up_to_date {
            return Ok(last);
        }
        start = Start::At(page.next());
    }
}
