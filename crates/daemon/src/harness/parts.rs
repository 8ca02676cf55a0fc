//! Text that comes in parts while it is written, and from some programs once more when it is whole.

use sha2::{Digest as _, Sha256};

use super::{Out, Signal};
use crate::supervisor::event::Words;

/// How many texts that may still come whole are remembered.
const MAX_TOLD: usize = 64;

/// The texts of one conversation: at most one is being written at a time.
#[derive(Default)]
pub(super) struct Parts {
    open: Option<(Words, Sha256)>,
    /// What was told in parts and has not come whole yet, by its hash: a text may be long.
    told: Vec<(Words, [u8; 32])>,
}

impl Parts {
    /// The next part of a text.
    pub(super) fn part(&mut self, words: Words, text: &str, out: &mut Out) {
        if text.is_empty() {
            return;
        }
        if self.open.as_ref().is_some_and(|(open, _)| *open != words) {
            self.end(out);
        }
        let (_, hash) = self.open.get_or_insert_with(|| (words, Sha256::new()));
        hash.update(text);
        out.signal(Signal::Part { words, text: text.to_owned() });
    }

    /// The text is over.
    pub(super) fn end(&mut self, out: &mut Out) {
        if let Some((words, hash)) = self.open.take() {
            out.signal(Signal::PartsEnd);
            if self.told.len() == MAX_TOLD {
                self.told.remove(0);
            }
            self.told.push((words, hash.finalize().into()));
        }
    }

    /// A whole text; it is told unless its parts were.
    pub(super) fn whole(&mut self, words: Words, text: &str, out: &mut Out) {
        let hash = Sha256::digest(text).into();
        // The program may say it whole before it says that the parts are over.
        if self.open.as_ref().is_some_and(|(open, parts)| *open == words && parts.clone().finalize()[..] == hash) {
            self.end(out);
        }
        match self.told.iter().position(|told| *told == (words, hash)) {
            Some(at) => drop(self.told.remove(at)),
            None => out.words(words, text),
        }
    }

    /// The turn is over: whatever was told in parts does not come whole any more.
    pub(super) fn clear(&mut self, out: &mut Out) {
        self.end(out);
        self.told.clear();
    }
}
