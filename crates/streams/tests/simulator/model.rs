//! What must be true of every stream, whatever the disk did.

use chatroom_streams::{Claim, Offset};

/// A stream of one life; a path can have several, one after another.
#[derive(Debug, Clone)]
pub struct Node {
    pub path: String,
    pub json: bool,
    pub source: Option<usize>,
    /// What it begins with, from its source.
    pub inherited: Vec<u8>,
    /// What is known to be in it, in order.
    pub pieces: Vec<Piece>,
    /// What may be in it behind that, in the order it was sent.
    pub unsure: Vec<Piece>,
    pub exists: Belief,
    pub deleted: Belief,
    pub closed: Belief,
    /// The next number of each of its producers.
    pub next_seq: [u64; 2],
}

/// What is known of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    No,
    Unsure,
    Yes,
}

/// What one append put in.
#[derive(Debug, Clone)]
pub struct Piece {
    /// As it is stored.
    pub stored: Vec<u8>,
    /// As it was sent.
    pub sent: Vec<u8>,
    pub claim: Option<Claim>,
    /// Where it ends, once an answer said so.
    pub end: Option<Offset>,
    /// Which request it is.
    pub token: u64,
}

/// Returns those of the pieces, in order, that have so many bytes together: what is refused leaves no trace.
pub fn filling(pieces: &[Piece], bytes: u64) -> Option<Vec<Piece>> {
    if bytes == 0 {
        return Some(Vec::new());
    }
    let (first, rest) = pieces.split_first()?;
    let with_it = bytes.checked_sub(first.stored.len() as u64).and_then(|left| filling(rest, left));
    match with_it {
        Some(more) => Some([vec![first.clone()], more].concat()),
        None => filling(rest, bytes),
    }
}

impl Node {
    pub fn new(path: &str, json: bool, source: Option<usize>, inherited: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            json,
            source,
            inherited,
            pieces: Vec::new(),
            unsure: Vec::new(),
            exists: Belief::Unsure,
            deleted: Belief::No,
            closed: Belief::No,
            next_seq: [0; 2],
        }
    }

    /// Returns all that is known to be in it.
    pub fn content(&self) -> Vec<u8> {
        let mut content = self.inherited.clone();
        for piece in &self.pieces {
            content.extend_from_slice(&piece.stored);
        }
        content
    }

    /// Whether something of it is not known yet.
    pub fn is_unsure(&self) -> bool {
        [self.exists, self.deleted, self.closed].contains(&Belief::Unsure) || !self.unsure.is_empty()
    }

    /// Compares with what was read: everything known, in order, and nothing but what was sent, each once.
    pub fn check(&mut self, read: &[u8]) -> Result<(), String> {
        let known = self.content();
        let Some(mut rest) = read.strip_prefix(&known[..]) else {
            return Err(format!(
                "{} lost or changed what was acknowledged: {} bytes known, {} read\nknown {}\nread  {}",
                self.path,
                known.len(),
                read.len(),
                String::from_utf8_lossy(&known),
                String::from_utf8_lossy(read),
            ));
        };
        // What was not answered may be there, in the order it was sent.
        let mut candidates = self.unsure.iter();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let next = candidates.by_ref().find(|piece| rest.starts_with(&piece.stored));
            let Some(piece) = next else {
                return Err(format!("{} has what nobody sent: {}", self.path, String::from_utf8_lossy(rest)));
            };
            rest = &rest[piece.stored.len()..];
            found.push(piece.clone());
        }
        let tokens: Vec<u64> = found.iter().map(|piece| piece.token).collect();
        self.unsure.retain(|piece| !tokens.contains(&piece.token));
        self.pieces.extend(found);
        Ok(())
    }
}
