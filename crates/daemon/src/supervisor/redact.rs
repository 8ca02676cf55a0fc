//! Keeps the run's token out of what is written.
//!
//! The token may come in pieces: two reads of a pipe, or a terminal's line break
//! in its middle (as a byte, or as `\n` inside JSON). So pieces are matched across
//! line breaks and spaces, and a stream holds back what may be a beginning.

/// What stands in its place.
const PLACEHOLDER: &[u8] = b"[redacted]";
/// How many bytes of line breaks and the like may lie between two bytes of the token.
const MAX_GAP: usize = 8;
/// A beginning of the token this long is not shown either, when the text ends there.
const TELLING: usize = 8;

/// Knows what must not be written.
#[derive(Clone)]
pub struct Redactor {
    secret: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    /// The text ends in the middle; so many bytes of the secret were there.
    Begun(usize),
    /// Through to this position.
    Whole(usize),
}

impl Redactor {
    /// Keeps `secret` out; an empty one is nothing to keep out.
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.as_bytes().to_vec() }
    }

    /// Returns the text without the secret.
    pub fn text(&self, text: &str) -> String {
        let mut stream = Stream::new(self.clone());
        let mut clean = stream.push(text.as_bytes());
        clean.extend(stream.finish());
        // Only ASCII was cut out, so this loses nothing.
        String::from_utf8_lossy(&clean).into_owned()
    }

    fn match_at(&self, bytes: &[u8], at: usize) -> Match {
        self.walk(bytes, at, 0, 0)
    }

    fn walk(&self, bytes: &[u8], mut at: usize, mut matched: usize, mut gap: usize) -> Match {
        while matched < self.secret.len() {
            let Some(byte) = bytes.get(at).copied() else {
                return Match::Begun(matched);
            };
            let escaped = gap > 0 && bytes[at - 1] == b'\\' && matches!(byte, b'n' | b'r' | b't');
            let is_gap = matched > 0 && gap < MAX_GAP && (byte.is_ascii_whitespace() || byte == b'\\' || escaped);
            let fits = byte == self.secret[matched];
            if fits && is_gap {
                // An escaped line break whose letter is also the next one: either reading may be the right one.
                let skipped = self.walk(bytes, at + 1, matched, gap + 1);
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
        let mut bytes = std::mem::take(&mut self.held);
        let shown = std::mem::take(&mut self.shown);
        bytes.extend_from_slice(piece);
        let Some(first) = self.redactor.secret.first().copied() else {
            return bytes;
        };
        let mut clean = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(found) = bytes[at..].iter().position(|byte| *byte == first) {
            clean.extend_from_slice(unshown(&bytes, at, at + found, shown));
            at += found;
            match self.redactor.match_at(&bytes, at) {
                Match::No => {
                    clean.extend_from_slice(unshown(&bytes, at, at + 1, shown));
                    at += 1;
                }
                Match::Whole(end) => {
                    clean.extend_from_slice(PLACEHOLDER);
                    at = end;
                }
                Match::Begun(_) => {
                    self.held = bytes.split_off(at);
                    self.shown = shown.saturating_sub(at);
                    return clean;
                }
            }
        }
        clean.extend_from_slice(unshown(&bytes, at, bytes.len(), shown));
        clean
    }

    /// Returns what was held back, at the end of the text.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let shown = std::mem::take(&mut self.shown);
        match self.redactor.match_at(&held, 0) {
            Match::Begun(matched) if matched >= TELLING => PLACEHOLDER.to_vec(),
            _ => unshown(&held, 0, held.len(), shown).to_vec(),
        }
    }

    /// Returns whether something is held back that [`Stream::peek`] may show.
    pub fn is_holding(&self) -> bool {
        self.held.len() > self.shown
    }

    /// Returns what is held back and tells nothing yet, for somebody who looks on and cannot wait for what comes next.
    pub fn peek(&mut self) -> Vec<u8> {
        match self.redactor.match_at(&self.held, 0) {
            Match::Begun(matched) if matched >= TELLING => Vec::new(),
            _ => {
                let peeked = self.held[self.shown..].to_vec();
                self.shown = self.held.len();
                peeked
            }
        }
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
        let redactor = Redactor::new(TOKEN);
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
        assert_eq!(Redactor::new("").text("as it is"), "as it is");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_never_shows(
            before in "[ -~é]{0,20}",
            after in "[ -~é]{0,20}",
            cuts in prop::collection::vec(0_usize..80, 0..6),
        ) {
            let text = format!("{before}{TOKEN}{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut stream = Stream::new(Redactor::new(TOKEN));
            let mut peeking = Stream::new(Redactor::new(TOKEN));
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
