//! What a terminal showed and when, as asciicast (version 2) writes it down.
//!
//! Bytes that come close together are one frame, and a character is never cut in
//! two. What comes in is free of secrets: one is known only in the whole stream.

use std::time::Duration;

use chatroom_protocol::api::terminal::TerminalSize;
use chatroom_protocol::asciicast::{Frame, Shown};
use tokio::time::Instant;

use super::event::RunEvent;

/// How long bytes may wait for the next ones, to be one frame.
const TOGETHER: Duration = Duration::from_millis(100);
/// What has come together to this is a frame at once.
const MUCH: usize = 16 * 1024;

/// Makes frames of what a terminal shows.
pub struct Film {
    opened: Instant,
    /// What is shown and in no frame yet, and since when.
    ready: Vec<u8>,
    since: Option<Instant>,
}

impl Film {
    /// Begins with a terminal that was just opened.
    pub fn open() -> Self {
        Self { opened: Instant::now(), ready: Vec::new(), since: None }
    }

    /// Takes what is shown; returns what is to be written at once.
    pub fn show(&mut self, bytes: &[u8]) -> Option<RunEvent> {
        if !bytes.is_empty() {
            self.since.get_or_insert_with(Instant::now);
            self.ready.extend_from_slice(bytes);
        }
        if self.ready.len() >= MUCH { self.flush() } else { None }
    }

    /// Returns when [`Film::flush`] has something that waited long enough.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + TOGETHER)
    }

    /// Returns what has come together, up to its last whole character.
    pub fn flush(&mut self) -> Option<RunEvent> {
        let rest = self.ready.split_off(self.ready.len() - begun_character(&self.ready));
        let ready = std::mem::replace(&mut self.ready, rest);
        let since = self.since.take()?;
        // The beginning of a character waits for the rest of it, and is due with that.
        let text = String::from_utf8_lossy(&ready).into_owned();
        (!text.is_empty()).then(|| self.frame(since, Shown::Output(text)))
    }

    /// Returns what has come together when nothing more comes.
    pub fn end(&mut self) -> Option<RunEvent> {
        let since = self.since.take().unwrap_or_else(Instant::now);
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.ready)).into_owned();
        (!text.is_empty()).then(|| self.frame(since, Shown::Output(text)))
    }

    /// Returns what is to be written when the terminal takes another size.
    pub fn resize(&mut self, size: TerminalSize) -> impl Iterator<Item = RunEvent> + use<> {
        let before = self.flush();
        let resized = self.frame(Instant::now(), Shown::Size(size));
        before.into_iter().chain([resized])
    }

    fn frame(&self, at: Instant, shown: Shown) -> RunEvent {
        let millis = at.duration_since(self.opened).as_millis();
        let frame = Frame { millis: u64::try_from(millis).unwrap_or(u64::MAX), shown };
        RunEvent::TerminalFrame { frame }
    }
}

/// Returns how many bytes at the end are the beginning of a character whose rest has not come.
fn begun_character(bytes: &[u8]) -> usize {
    let tail = bytes.len().min(3);
    for (behind, byte) in bytes[bytes.len() - tail..].iter().rev().enumerate() {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if behind + 1 < length { behind + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(event: Option<RunEvent>) -> String {
        match event {
            None => String::new(),
            Some(RunEvent::TerminalFrame { frame: Frame { shown: Shown::Output(text), .. } }) => text,
            Some(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_comes_close_together_is_one_frame_and_a_flood_does_not_wait() {
        let mut film = Film::open();
        assert_eq!(film.due(), None);
        assert_eq!(film.show(b"a"), None);
        let due = film.due().expect("it is to be written");
        assert!(due <= Instant::now() + TOGETHER);
        assert_eq!(film.show("é".as_bytes().split_at(1).0), None);
        assert_eq!(text(film.flush()), "a");
        assert_eq!((film.due(), film.flush()), (None, None), "half a character waits for the rest");
        assert_eq!(film.show("é".as_bytes().split_at(1).1), None);
        let events: Vec<_> = film.resize(TerminalSize { columns: 90, rows: 20 }).collect();
        assert_eq!(text(Some(events[0].clone())), "é");
        assert_eq!(events.len(), 2);
        assert_eq!(text(film.show(&vec![b'x'; MUCH])).len(), MUCH);
        assert_eq!(film.end(), None);
    }

    proptest! {
        #[test]
        fn however_bytes_come_the_frames_say_what_they_are(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                ".{0,20}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec((0_usize..60, any::<bool>()), 0..8),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|(cut, flush)| (cut.min(bytes.len()), flush)).collect();
            cuts.sort_unstable();
            let mut film = Film::open();
            let mut told = String::new();
            let mut from = 0;
            for (cut, flush) in cuts.into_iter().chain([(bytes.len(), true)]) {
                film.show(&bytes[from..cut]);
                if flush {
                    told.push_str(&text(film.flush()));
                }
                from = cut;
            }
            told.push_str(&text(film.end()));
            let whole = String::from_utf8_lossy(&bytes);
            if std::str::from_utf8(&bytes).is_ok() {
                prop_assert_eq!(told, whole);
            } else {
                // How many marks stand for bytes that are no text may differ.
                let plain = |text: &str| text.replace('\u{fffd}', "");
                prop_assert_eq!(plain(&told), plain(&whole));
            }
        }
    }
}
