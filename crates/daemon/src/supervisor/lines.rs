//! Lines of bounded length from a byte stream.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What a stream gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A whole line without its end.
    Line(Vec<u8>),
    /// A line longer than allowed: its beginning. The rest was skipped.
    Cut(Vec<u8>),
}

/// Reads lines, and never holds more than `max` bytes of one. Safe to drop between two calls, and during one.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    max: usize,
    held: Vec<u8>,
    skipping: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Reads from `source`.
    pub fn new(source: R, max: usize) -> Self {
        Self { source, max, held: Vec::new(), skipping: false }
    }

    /// Returns the next line; `None` at the end of the stream. A last line without an end counts.
    pub async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let chunk = self.source.fill_buf().await?;
            if chunk.is_empty() {
                return Ok((!self.held.is_empty() || self.skipping).then(|| self.take()));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = self.max - self.held.len();
            self.skipping |= part.len() > room;
            self.held.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.source.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Piece {
        let mut line = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.skipping) {
            return Piece::Cut(line);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Piece::Line(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_is_whole() {
        let text: &[u8] = b"one\r\n\n0123456789ab\nabcdefgh\nlast";
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(3, text), 8);
        let mut seen = Vec::new();
        while let Some(piece) = lines.next().await.expect("reads") {
            seen.push(piece);
        }
        let line = |text: &str| Piece::Line(text.as_bytes().to_vec());
        assert_eq!(seen, [line("one"), line(""), Piece::Cut(b"01234567".to_vec()), line("abcdefgh"), line("last")]);
    }
}
