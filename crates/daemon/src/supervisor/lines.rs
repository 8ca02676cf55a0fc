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

    /// Returns the stream, for what comes after the lines.
    pub fn source(&mut self) -> &mut R {
        &mut self.source
    }

    /// Becomes the stream again, for what comes after the lines.
    pub fn into_source(self) -> R {
        self.source
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
    use proptest::prelude::*;

    use super::*;

    async fn all(bytes: &[u8], buffer: usize, max: usize) -> Vec<Piece> {
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(buffer, bytes), max);
        let mut seen = Vec::new();
        while let Some(piece) = lines.next().await.expect("reads") {
            assert!(lines.held.capacity() <= 2 * max.max(8), "more is held than a line");
            seen.push(piece);
        }
        seen
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_is_whole() {
        let text: &[u8] = b"one\r\n\n0123456789ab\nabcdefgh\nlast";
        let seen = all(text, 3, 8).await;
        let line = |text: &str| Piece::Line(text.as_bytes().to_vec());
        assert_eq!(seen, [line("one"), line(""), Piece::Cut(b"01234567".to_vec()), line("abcdefgh"), line("last")]);
    }

    proptest! {
        #[test]
        fn whatever_comes_each_line_is_whole_or_its_beginning(
            bytes in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..200),
            buffer in 1usize..40,
            max in 1usize..30,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let seen = runtime.block_on(all(&bytes, buffer, max));
            let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            prop_assert_eq!(seen.len(), expected.len());
            for (piece, line) in seen.iter().zip(expected) {
                match piece {
                    Piece::Line(whole) => prop_assert_eq!(whole, line.strip_suffix(b"\r").unwrap_or(line)),
                    Piece::Cut(start) => {
                        prop_assert!(line.len() > max);
                        prop_assert_eq!(start, &line[..max]);
                    }
                }
            }
        }
    }
}
