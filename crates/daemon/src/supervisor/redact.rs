//! Keeps secrets out of what is written.
//!
//! A secret may come in pieces: two reads of a pipe, or a terminal's line break
//! in its middle (as a byte, or as `\n` inside JSON). So pieces are matched across
//! line breaks and spaces, and a stream holds back what may be a beginning.

use std::sync::Arc;

/// What stands in its place.
const PLACEHOLDER: &[u8] = b"[redacted]";
/// How many bytes of line breaks and the like may lie between two bytes of a secret.
const MAX_GAP: usize = 8;
/// A beginning of a secret this long is not shown either, when the text ends there; half of a short secret is enough.
const TELLING: usize = 8;

/// Knows what must not be written; cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first, so that of two that begin alike the whole of the longer one goes.
    secrets: Arc<[Vec<u8>]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    /// The text ends in the middle; so many bytes of the secret were there.
    Begun(usize),
    /// Through to this position.
    Whole(usize),
}

/// What begins at a position of a text.
#[derive(Default)]
struct Found {
    /// A whole secret, through to this position.
    whole: Option<usize>,
    /// The text ends in the middle of one; whether what is there tells something of it.
    open: Option<Tells>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tells {
    Nothing,
    Much,
}

impl Redactor {
    /// Keeps these out; an empty one is nothing to keep out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets: Vec<Vec<u8>> =
            secrets.into_iter().filter(|secret| !secret.is_empty()).map(|secret| secret.as_bytes().to_vec()).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets: secrets.into() }
    }

    /// Returns the text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut stream = Stream::new(self.clone());
        let mut clean = stream.push(text.as_bytes());
        clean.extend(stream.finish());
        // Only whole characters were cut out, so this loses nothing.
        String::from_utf8_lossy(&clean).into_owned()
    }

    /// Returns the first position from `at` on where a secret may begin.
    fn next(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let begins = |byte: u8| self.secrets.iter().any(|secret| secret[0] == byte);
        bytes[at..].iter().position(|byte| begins(*byte)).map(|found| at + found)
    }

    fn found(&self, bytes: &[u8], at: usize) -> Found {
        let mut found = Found::default();
        for secret in self.secrets.iter() {
            match walk(secret, bytes, at, 0, 0) {
                Match::No => {}
                Match::Begun(matched) => {
                    let tells = if matched >= TELLING.min(secret.len() / 2) { Tells::Much } else { Tells::Nothing };
                    found.open = found.open.max(Some(tells));
                }
                Match::Whole(end) => found.whole = found.whole.max(Some(end)),
            }
        }
        found
    }
}

fn walk(secret: &[u8], bytes: &[u8], mut at: usize, mut matched: usize, mut gap: usize) -> Match {
    while matched < secret.len() {
        let Some(byte) = bytes.get(at).copied() else {
            return Match::Begun(matched);
        };
        let escaped = gap > 0 && bytes[at - 1] == b'\\' && matches!(byte, b'n' | b'r' | b't');
        let is_gap = matched > 0 && gap < MAX_GAP && (byte.is_ascii_whitespace() || byte == b'\\' || escaped);
        let fits = byte == secret[matched];
        if fits && is_gap {
            // An escaped line break whose letter is also the next one: either reading may be the right one.
            let skipped = walk(secret, bytes, at + 1, matched, gap + 1);
            if skipped != Match::No {
                return skipped;
            }
        }
        if fits {
            matched += 1;
            gap = 0;
        } else if is_gap {
            gap += 1;
        } else {
            return Match::No;
        }
        at += 1;
    }
    Match::Whole(at)
}

/// Redacts bytes that come in pieces.
pub struct Stream {
    redactor: Redactor,
    held: Vec<u8>,
    /// How much of what is held was shown.
    shown: usize,
}

impl Stream {
    /// Begins an empty stream.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, held: Vec::new(), shown: 0 }
    }

    /// Takes the next piece; returns what is certain by now.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.settle(false)
    }

    /// Returns what was held back, at the end of the text.
    pub fn finish(&mut self) -> Vec<u8> {
        self.settle(true)
    }

    fn settle(&mut self, is_end: bool) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.held);
        let shown = std::mem::take(&mut self.shown);
        let mut clean = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(next) = self.redactor.next(&bytes, at) {
            clean.extend_from_slice(unshown(&bytes, at, next, shown));
            at = next;
            let found = self.redactor.found(&bytes, at);
            match (found.open, found.whole) {
                (Some(_), _) if !is_end => {
                    self.held = bytes[at..].to_vec();
                    self.shown = shown.saturating_sub(at);
                    return clean;
                }
                (Some(Tells::Much), _) => {
                    clean.extend_from_slice(PLACEHOLDER);
                    return clean;
                }
                (_, Some(end)) => {
                    clean.extend_from_slice(PLACEHOLDER);
                    at = end;
                }
                (_, None) => {
                    clean.extend_from_slice(unshown(&bytes, at, at + 1, shown));
                    at += 1;
                }
            }
        }
        clean.extend_from_slice(unshown(&bytes, at, bytes.len(), shown));
        clean
    }

    /// Returns whether something is held back that [`Stream::peek`] may show.
    pub fn is_holding(&self) -> bool {
        self.held.len() > self.shown
    }

    /// Returns what is held back and tells nothing yet, for somebody who looks on and cannot wait for what comes next.
    pub fn peek(&mut self) -> Vec<u8> {
        let tells = |at: &usize| {
            let found = self.redactor.found(&self.held, *at);
            found.whole.is_some() || found.open == Some(Tells::Much)
        };
        let end = (0..self.held.len()).find(tells).unwrap_or(self.held.len());
        let peeked = unshown(&self.held, 0, end, self.shown).to_vec();
        self.shown = self.shown.max(end);
        peeked
    }
}

/// The part of `bytes` between two positions that lies after the first `shown`.
fn unshown(bytes: &[u8], from: usize, to: usize, shown: usize) -> &[u8] {
    &bytes[from.max(shown).min(to)..to]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "crr_n0tR3allyAs3cret-butLongEnough_nn";

    #[test]
    fn the_token_is_found_across_breaks() {
        let redactor = Redactor::new([TOKEN]);
        let (head, tail) = TOKEN.split_at(12);
        for (text, expected) in [
            (format!("a {TOKEN} b"), "a [redacted] b".to_owned()),
            (format!("{head}\n{tail}"), "[redacted]".to_owned()),
            (format!("{head}\r\n  {tail}."), "[redacted].".to_owned()),
            (format!(r#"{{"x":"{head}\n{tail}"}}"#), r#"{"x":"[redacted]"}"#.to_owned()),
            (TOKEN.replace("nn", r"n\nn"), "[redacted]".to_owned()),
            (format!("crr_{TOKEN}"), "crr_[redacted]".to_owned()),
            (format!("cut {head}"), "cut [redacted]".to_owned()),
            ("crr_ is no secret".to_owned(), "crr_ is no secret".to_owned()),
            ("ends in c".to_owned(), "ends in c".to_owned()),
        ] {
            assert_eq!(redactor.text(&text), expected, "{text}");
        }
        assert_eq!(Redactor::default().text("as it is"), "as it is");
    }

    /// One begins with another, one lies inside another, one is short, one has a space.
    const MANY: [&str; 6] = ["hunter2-hunter2", "hunter2-", "er2-hunter2-x9", "p4ss w0rd", "añoñoño1", TOKEN];

    #[test]
    fn of_many_secrets_none_is_found() {
        let redactor = Redactor::new(MANY);
        for (text, expected) in [
            ("a hunter2-hunter2 b", "a [redacted] b"),
            ("a hunter2-hunt!", "a [redacted]hunt!"),
            ("hunter2-hunter2-x9", "[redacted]-x9"),
            ("xer2-hunter2-x9.", "x[redacted]."),
            ("p4ss\n w0rd, p4ssw0rd", "[redacted], p4ssw0rd"),
            ("añoñoño1añoñoño2", "[redacted]añoñoño2"),
            ("in the end hunt", "in the end [redacted]"),
            ("in the end hun", "in the end hun"),
            ("in the end hunter2-hu", "in the end [redacted]"),
        ] {
            assert_eq!(redactor.text(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn of_many_secrets_none_shows_however_the_text_is_cut(
            words in prop::collection::vec((0..MANY.len(), "[ -~é]{0,6}", 0_usize..20), 1..5),
            cuts in prop::collection::vec(0_usize..150, 0..8),
        ) {
            let parts = words.iter().map(|(which, between, length)| {
                let part: String = MANY[*which].chars().take(if *length < 4 { usize::MAX } else { *length }).collect();
                format!("{part}{between}")
            });
            let text: String = parts.collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut stream = Stream::new(Redactor::new(MANY));
            let mut peeking = Stream::new(Redactor::new(MANY));
            let (mut clean, mut peeked) = (Vec::new(), Vec::new());
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                clean.extend(stream.push(&text.as_bytes()[from..cut]));
                peeked.extend(peeking.push(&text.as_bytes()[from..cut]));
                peeked.extend(peeking.peek());
                from = cut;
            }
            clean.extend(stream.finish());
            peeked.extend(peeking.finish());
            let whole = Redactor::new(MANY).text(&text);
            prop_assert_eq!(&String::from_utf8(clean).expect("text stays text"), &whole);
            let peeked = String::from_utf8_lossy(&peeked).into_owned();
            for secret in MANY {
                prop_assert!(!whole.contains(secret), "{}", whole);
                prop_assert!(!peeked.contains(secret), "{}", peeked);
            }
        }

        #[test]
        fn however_it_is_cut_it_never_shows(
            before in "[ -~é]{0,20}",
            after in "[ -~é]{0,20}",
            cuts in prop::collection::vec(0_usize..80, 0..6),
        ) {
            let text = format!("{before}{TOKEN}{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut stream = Stream::new(Redactor::new([TOKEN]));
            let mut peeking = Stream::new(Redactor::new([TOKEN]));
            let mut clean = Vec::new();
            let mut peeked = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                clean.extend(stream.push(&text.as_bytes()[from..cut]));
                peeked.extend(peeking.push(&text.as_bytes()[from..cut]));
                peeked.extend(peeking.peek());
                prop_assert!(peeking.peek().is_empty());
                from = cut;
            }
            clean.extend(stream.finish());
            peeked.extend(peeking.finish());
            let clean = String::from_utf8(clean).expect("text stays text");
            prop_assert!(!clean.contains(TOKEN));
            prop_assert!(clean.contains("[redacted]"));
            // Whoever could not wait saw the beginning of the token at most.
            let peeked = String::from_utf8(peeked).expect("text stays text");
            prop_assert!(!peeked.contains(&TOKEN[TELLING..]), "{}", peeked);
            prop_assert!(peeked.contains("[redacted]"));
            prop_assert!(peeked.starts_with(&before) && peeked.ends_with(&after), "{}", peeked);
        }
    }
}
