//! What an agent is saying: parts of a text, put together for a moment, free of secrets.

use std::time::Duration;

use tokio::time::Instant;

use super::event::{RunEvent, Words};
use super::redact::{Redactor, Stream};

/// How long a part may wait for the next one, to be written together.
const TOGETHER: Duration = Duration::from_millis(100);
/// What has come together to this is written at once.
const MUCH: usize = 16 * 1024;

/// The text that is being said, if any.
pub struct Saying {
    redactor: Redactor,
    blocks: u64,
    open: Option<Open>,
}

struct Open {
    words: Words,
    /// What parts of a secret may be cut off at its end is held back here.
    stream: Stream,
    ready: String,
    due: Option<Instant>,
}

impl Saying {
    /// Begins with nothing said.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, blocks: 0, open: None }
    }

    /// Takes a part; returns what is to be written at once.
    pub fn part(&mut self, words: Words, text: &str) -> Option<RunEvent> {
        let Self { redactor, blocks, open } = self;
        let open = open.get_or_insert_with(|| {
            *blocks += 1;
            Open { words, stream: Stream::new(redactor.clone()), ready: String::new(), due: None }
        });
        // Only whole characters are cut out, and none is held back in part, so this loses nothing.
        open.ready.push_str(&String::from_utf8_lossy(&open.stream.push(text.as_bytes())));
        if open.ready.len() >= MUCH {
            return self.flush();
        }
        if !open.ready.is_empty() {
            open.due.get_or_insert_with(|| Instant::now() + TOGETHER);
        }
        None
    }

    /// Returns when [`Saying::flush`] has something that waited long enough.
    pub fn due(&self) -> Option<Instant> {
        self.open.as_ref()?.due
    }

    /// Returns what has come together.
    pub fn flush(&mut self) -> Option<RunEvent> {
        let open = self.open.as_mut()?;
        open.due = None;
        let text = std::mem::take(&mut open.ready);
        (!text.is_empty()).then(|| open.words.event(text, Some(self.blocks)))
    }

    /// The text is over; returns what of it was not written yet.
    pub fn end(&mut self) -> Option<RunEvent> {
        let open = self.open.as_mut()?;
        open.ready.push_str(&String::from_utf8_lossy(&open.stream.finish()));
        let last = self.flush();
        self.open = None;
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "crr_n0tR3allyAs3cret-butLongEnough_nn";

    fn text(event: Option<RunEvent>) -> String {
        match event {
            Some(RunEvent::Message { text, .. } | RunEvent::Thought { text, .. }) => text,
            None => String::new(),
            Some(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn parts_come_together_and_no_secret_shows_between_them() {
        let mut saying = Saying::new(Redactor::new([TOKEN]));
        let (head, tail) = TOKEN.split_at(9);
        assert_eq!(saying.part(Words::Message, "mañana "), None);
        let due = saying.due().expect("it is to be written");
        assert!(due <= Instant::now() + TOGETHER);
        assert_eq!(saying.part(Words::Message, head), None);
        assert_eq!(text(saying.flush()), "mañana ", "what may be a secret is held back");
        assert_eq!(saying.due(), None);
        assert_eq!(saying.part(Words::Message, tail), None);
        assert_eq!(saying.part(Words::Message, " ok"), None);
        let last = saying.end();
        assert!(matches!(last, Some(RunEvent::Message { block: Some(1), .. })), "{last:?}");
        assert_eq!(text(last), "[redacted] ok");
        assert_eq!(saying.end(), None);
    }

    #[tokio::test]
    async fn a_flood_does_not_wait() {
        let mut saying = Saying::new(Redactor::new([TOKEN]));
        let much = "x".repeat(MUCH);
        assert_eq!(text(saying.part(Words::Thought, &much)), much);
        assert_eq!(saying.part(Words::Thought, "y"), None);
        assert_eq!(text(saying.end()), "y");
        assert!(saying.part(Words::Message, &much).is_some_and(|event| event.block() == Some(2)));
    }
}
