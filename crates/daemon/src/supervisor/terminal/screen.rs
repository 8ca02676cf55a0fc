//! What a terminal shows: written by the run, read by each viewer at its own speed.
//!
//! The last bytes are kept, so that a viewer who was away for a moment goes on
//! where it was; and a terminal is emulated, so that one who comes new sees the
//! present screen without anything being played back to it: a program's questions
//! to its terminal, played back, would be answered a second time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatroom_protocol::api::terminal::TerminalSize;
use tokio::sync::watch;
use vt100::Parser;

/// How many bytes are kept.
const KEPT: usize = 1024 * 1024;
/// The longest control sequence that is looked for at the end of what came.
const SEQUENCE: usize = 256;

/// A terminal's screen, and what came last.
pub struct Screen {
    inner: Mutex<Inner>,
    news: watch::Sender<News>,
}

struct Inner {
    emulated: Parser,
    kept: VecDeque<u8>,
    end: u64,
}

/// What a viewer must know beside the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// How many bytes came so far.
    pub end: u64,
    /// How large the terminal is.
    pub size: TerminalSize,
    /// Who types.
    pub typist: Option<u64>,
    /// Whether the program is over, and nothing more comes.
    pub is_over: bool,
}

impl Screen {
    /// Begins an empty one.
    pub fn new(size: TerminalSize) -> Arc<Self> {
        let inner = Inner { emulated: emulator(size), kept: VecDeque::new(), end: 0 };
        Arc::new(Self { inner: Mutex::new(inner), news: watch::Sender::new(News { size, ..News::default() }) })
    }

    /// Tells of each change.
    pub fn watch(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Returns how it is now.
    pub fn now(&self) -> News {
        *self.news.borrow()
    }

    /// Shows what the program printed.
    pub fn show(&self, bytes: &[u8]) {
        let end = {
            let mut inner = self.lock();
            inner.emulate(|emulated| emulated.process(bytes));
            inner.kept.extend(bytes);
            let over = inner.kept.len().saturating_sub(KEPT);
            inner.kept.drain(..over);
            inner.end += bytes.len() as u64;
            inner.end
        };
        self.news.send_modify(|news| news.end = end);
    }

    /// Takes another size.
    pub fn resize(&self, size: TerminalSize) {
        self.lock().emulate(|emulated| emulated.screen_mut().set_size(size.rows, size.columns));
        self.news.send_modify(|news| news.size = size);
    }

    /// Says who types.
    pub fn set_typist(&self, typist: Option<u64>) {
        self.news.send_modify(|news| news.typist = typist);
    }

    /// Says that nothing more comes.
    pub fn end(&self) {
        self.news.send_modify(|news| news.is_over = true);
    }

    /// Returns whether the program says, by the modes of its terminal, that it takes a text: it has the screen to
    /// itself, knows what is pasted, and shows a cursor.
    pub fn takes_text(&self) -> bool {
        let inner = self.lock();
        let screen = inner.emulated.screen();
        screen.alternate_screen() && screen.bracketed_paste() && !screen.hide_cursor()
    }

    /// Returns what draws the present screen on any terminal, and how many bytes came before it.
    pub fn drawn(&self) -> (u64, Vec<u8>) {
        let mut inner = self.lock();
        let mut drawn = Vec::new();
        inner.emulate(|emulated| {
            let screen = emulated.screen();
            drawn = if screen.alternate_screen() { b"\x1b[?1049h".to_vec() } else { b"\x1b[?1049l".to_vec() };
            drawn.extend(screen.state_formatted());
        });
        // Whoever goes on from here must not come into the middle of a sequence.
        let tail: Vec<u8> = inner.kept.iter().rev().take(SEQUENCE).rev().copied().collect();
        (inner.end - unfinished(&tail) as u64, drawn)
    }

    /// Returns what came after the first `at` bytes, as much as fits; `None` if that is no longer kept, or never was.
    pub fn after(&self, at: u64, most: usize) -> Option<Vec<u8>> {
        let inner = self.lock();
        let behind = usize::try_from(inner.end.checked_sub(at)?).ok()?;
        let start = inner.kept.len().checked_sub(behind)?;
        Some(inner.kept.range(start..).take(most).copied().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing inside can be half done that is not drawn anew.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Does something with the emulated terminal. A fault in it must not end the run: it begins empty again.
    fn emulate(&mut self, act: impl FnOnce(&mut Parser)) {
        let (rows, columns) = self.emulated.screen().size();
        if catch_unwind(AssertUnwindSafe(|| act(&mut self.emulated))).is_err() {
            self.emulated = emulator(TerminalSize { columns, rows });
        }
    }
}

fn emulator(size: TerminalSize) -> Parser {
    Parser::new(size.rows, size.columns, 0)
}

/// Returns how many bytes at the end are the beginning of a control sequence or of a character.
fn unfinished(tail: &[u8]) -> usize {
    if let Some(at) = tail.iter().rposition(|byte| *byte == 0x1b) {
        let body = &tail[at + 1..];
        let is_whole = match body.first() {
            None => false,
            Some(b'[') => body[1..].iter().any(|byte| (0x40..=0x7e).contains(byte)),
            Some(b']' | b'P' | b'X' | b'^' | b'_') => body.contains(&0x07),
            Some(b' '..=b'/') => body.len() > 1,
            Some(_) => true,
        };
        if !is_whole {
            return tail.len() - at;
        }
    }
    let continued = tail.iter().rev().take_while(|byte| **byte & 0xc0 == 0x80).count().min(3);
    match tail.iter().rev().nth(continued) {
        Some(0xc0..=0xdf) if continued < 1 => continued + 1,
        Some(0xe0..=0xef) if continued < 2 => continued + 1,
        Some(0xf0..=0xf7) if continued < 3 => continued + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8], size: TerminalSize) -> String {
        let mut other = emulator(size);
        other.process(bytes);
        other.screen().contents()
    }

    #[test]
    fn who_comes_new_sees_the_present_screen() {
        let screen = Screen::new(TerminalSize::default());
        screen.show(b"gone\x1b[2J\x1b[H\x1b[31mred\x1b[m\r\nnext \xc3");
        let (at, drawn) = screen.drawn();
        screen.show(b"\xa9t\xc3\xa9");
        let rest = screen.after(at, usize::MAX).expect("kept");
        let seen = shown(&[drawn, rest].concat(), TerminalSize::default());
        assert_eq!(seen, "red\nnext été");
        screen.show(b"\x1b[?25l\x1b[?1049h\x1b[?2004h\x1b[5;5Hover");
        assert!(!screen.takes_text());
        let (_, drawn) = screen.drawn();
        assert!(drawn.starts_with(b"\x1b[?1049h"));
        assert_eq!(shown(&drawn, TerminalSize::default()).trim(), "over");
        screen.show(b"\x1b[?25h");
        assert!(screen.takes_text());
    }

    #[test]
    fn nothing_is_lost_or_doubled_while_it_is_kept() {
        let screen = Screen::new(TerminalSize::default());
        assert_eq!(screen.after(0, 10), Some(Vec::new()));
        screen.show(b"hello");
        assert_eq!(screen.after(2, 2), Some(b"ll".to_vec()));
        assert_eq!(screen.after(6, 2), None, "nobody has seen that");
        screen.show(&vec![b'x'; KEPT]);
        assert_eq!(screen.after(4, 1), None, "too far back");
        assert_eq!(screen.after(5, usize::MAX).map(|bytes| bytes.len()), Some(KEPT));
        assert_eq!(screen.now().end, KEPT as u64 + 5);
    }

    #[test]
    fn the_beginning_of_a_sequence_is_seen_as_such() {
        for (tail, expected) in [
            (&b"plain"[..], 0),
            (b"\x1b", 1),
            (b"a\x1b[", 2),
            (b"a\x1b[1;3", 5),
            (b"a\x1b[1;3m", 0),
            (b"\x1b]0;title", 9),
            (b"\x1b]0;title\x07", 0),
            (b"\x1b]0;title\x1b\\", 0),
            (b"\x1b(", 2),
            (b"\x1b(B", 0),
            (b"\x1b7", 0),
            (b"\xe2\x82", 2),
            (b"\xe2\x82\xac", 0),
            (b"\xf0\x9f\x8e", 3),
            ("é".as_bytes(), 0),
            (b"\xc3", 1),
        ] {
            assert_eq!(unfinished(tail), expected, "{tail:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_printed_nothing_breaks(
            steps in prop::collection::vec(
                (prop::collection::vec(prop_oneof![4 => any::<u8>(), 2 => Just(0x1b_u8), 2 => Just(b'['), 2 => b'0'..=b'9',
                    1 => Just(b';'), 2 => b'@'..=b'~'], 0..60), any::<u16>(), any::<u16>()),
                1..12,
            ),
        ) {
            let screen = Screen::new(TerminalSize::default());
            let mut all = Vec::new();
            for (bytes, columns, rows) in steps {
                screen.show(&bytes);
                all.extend(bytes);
                screen.resize(TerminalSize { columns, rows }.within_limits());
                let (at, _) = screen.drawn();
                prop_assert!(at <= all.len() as u64);
            }
            prop_assert_eq!(screen.after(0, usize::MAX), Some(all));
        }
    }
}
