//! Finding text in a transcript, on the server: a reader opens the hit and not the rest.
//!
//! What was written in parts is put together first, so that a word is found also where it was cut in two.

use std::collections::VecDeque;

use chatroom_protocol::RunId;
use chatroom_protocol::api::transcripts::{SearchHit, SearchHits};
use chatroom_protocol::asciicast::{Frame, Shown};
use chatroom_protocol::transcript::{Fold, RunEvent, Sequenced};
use chatroom_streams::{Offset, Reader, Refusal, Start};
use memchr::memmem::Finder;

use super::Transcripts;
use super::index::messages;
use crate::error::Error;

/// The longest text to look for, in bytes.
pub const MAX_TEXT: usize = 200;
/// How many hits one answer may have.
pub const MAX_HITS: usize = 100;
/// How many characters of the text around a hit are shown, on either side.
const AROUND: usize = 60;

/// Looks for text from a place on; letter case does not count. At most `most` hits are returned.
pub async fn search(
    transcripts: &Transcripts,
    run: RunId,
    text: &str,
    from: Start,
    most: usize,
) -> Result<SearchHits, Error> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_TEXT {
        return Err(Error::Beyond("search_text", format!("text must have 1 to {MAX_TEXT} bytes")));
    }
    if !(1..=MAX_HITS).contains(&most) {
        return Err(Error::Beyond("page", format!("limit must be 1 to {MAX_HITS}")));
    }
    let reader = transcripts.ensure(run).await?;
    let needle = Needle::new(text);
    transcripts.look(move || find(&reader, &needle, from, most)).await
}

fn find(reader: &Reader, needle: &Needle, mut from: Start, most: usize) -> Result<SearchHits, Refusal> {
    let mut found =
        Found { needle, most, hits: Vec::new(), next: None, fold: Fold::default(), places: VecDeque::new() };
    loop {
        let page = reader.view(from)?;
        let bytes = page.load()?;
        if needle.may_be_in(&bytes) {
            for message in messages(&page, &bytes)? {
                let raw = message.event.get();
                // Whatever is not a part, and has it nowhere, need not be read.
                if !needle.may_be_in(raw.as_bytes()) {
                    continue;
                }
                // What a newer version wrote cannot be shown, and so not be found either.
                let Ok(event) = serde_json::from_str::<Sequenced<RunEvent>>(raw) else { continue };
                if found.take(event, message.at) {
                    return Ok(found.done());
                }
            }
        }
        if page.is_up_to_date {
            found.finish();
            return Ok(found.done());
        }
        from = Start::At(page.next());
    }
}

/// The hits so far.
struct Found<'a> {
    needle: &'a Needle,
    most: usize,
    hits: Vec<SearchHit>,
    /// Where to go on, once there are enough.
    next: Option<String>,
    fold: Fold,
    /// The events the fold may not have given back yet, and where they begin.
    places: VecDeque<(u64, Offset)>,
}

impl Found<'_> {
    /// Takes the next event; returns whether there are enough hits.
    fn take(&mut self, event: Sequenced<RunEvent>, at: Offset) -> bool {
        self.places.push_back((event.seq, at));
        let whole: Vec<_> = self.fold.push(event).collect();
        whole.into_iter().any(|event| self.look_at(&event))
    }

    fn finish(&mut self) {
        if let Some(event) = std::mem::take(&mut self.fold).finish() {
            self.look_at(&event);
        }
    }

    fn look_at(&mut self, event: &Sequenced<RunEvent>) -> bool {
        while self.places.front().is_some_and(|(number, _)| *number < event.seq) {
            self.places.pop_front();
        }
        let Some((_, at)) = self.places.front().copied() else { return false };
        let found = words(&event.event).into_iter().find_map(|(kind, text)| Some((kind, self.needle.excerpt(text)?)));
        let Some((kind, excerpt)) = found else { return false };
        if self.hits.len() == self.most {
            self.next = Some(at.to_string());
            return true;
        }
        let (event, written, kind) = (event.seq, event.at, kind.to_owned());
        self.hits.push(SearchHit { event, offset: at.to_string(), at: written, kind, excerpt });
        false
    }

    fn done(self) -> SearchHits {
        SearchHits { hits: self.hits, next: self.next }
    }
}

/// Returns what people read of an event, with a word for it.
fn words(event: &RunEvent) -> Vec<(&'static str, &str)> {
    match event {
        RunEvent::Message { text, .. } => vec![("message", text)],
        RunEvent::Thought { text, .. } => vec![("thought", text)],
        RunEvent::ToolCall { name, input, .. } => vec![("tool_call", name), ("tool_call", input)],
        RunEvent::ToolResult { output, .. } => vec![("tool_result", output)],
        RunEvent::PermissionAsked { title, input, .. } | RunEvent::PermissionRepeated { title, input, .. } => {
            vec![("permission_asked", title), ("permission_asked", input)]
        }
        RunEvent::TurnEnded { detail: Some(detail), .. } => vec![("turn_ended", detail)],
        RunEvent::PromptSent { text: Some(text), .. } => vec![("prompt_sent", text)],
        RunEvent::TerminalFrame { frame: Frame { shown: Shown::Output(text), .. } } => vec![("terminal_frame", text)],
        RunEvent::Notice { text } => vec![("notice", text)],
        RunEvent::Exited { reason, .. } => vec![("exited", reason)],
        RunEvent::TurnEnded { detail: None, .. }
        | RunEvent::ToolStarted { .. }
        | RunEvent::Activity { .. }
        | RunEvent::PromptSent { text: None, .. }
        | RunEvent::TerminalOpened { .. }
        | RunEvent::TerminalFrame { frame: Frame { shown: Shown::Size(_), .. } }
        | RunEvent::InterruptAsked { .. }
        | RunEvent::StopAsked { .. }
        | RunEvent::PromptStarted { .. }
        | RunEvent::PermissionClosed { .. }
        | RunEvent::Usage { .. }
        | RunEvent::Session { .. }
        | RunEvent::Unknown => Vec::new(),
    }
}

/// What is looked for.
struct Needle {
    /// In small letters.
    text: String,
    /// The same, as JSON writes it, if it is ASCII: then bytes can be compared before anything is read.
    raw: Option<Finder<'static>>,
    /// What every part of a text has.
    part: Finder<'static>,
}

impl Needle {
    fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let quoted = serde_json::Value::String(text.clone()).to_string();
        let raw = text.is_ascii().then(|| Finder::new(&quoted[1..quoted.len() - 1]).into_owned());
        Self { text, raw, part: Finder::new(r#""block":"#).into_owned() }
    }

    /// Whether it can be worth reading these bytes.
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        let Some(raw) = &self.raw else { return true };
        raw.find(&bytes.to_ascii_lowercase()).is_some() || self.part.find(bytes).is_some()
    }

    /// Returns the text around the first place it is at.
    fn excerpt(&self, text: &str) -> Option<String> {
        let small = text.to_lowercase();
        let at = small.find(&self.text)?;
        // Small letters may be longer or shorter than large ones: characters are counted, not bytes.
        let before = small[..at].chars().count();
        let length = self.text.chars().count();
        let skipped = before.saturating_sub(AROUND);
        let shown: String = text.chars().skip(skipped).take(before - skipped + length + AROUND).collect();
        Some(shown.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
