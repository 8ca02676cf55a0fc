//! A file of lines that another program appends to, read as a stream: each line is a message of JSON.
//!
//! In a stream that is stored, a comma follows each message where here a line ends: so whoever sends the lines on to a
//! server of streams, in order, has the same positions there and here. What a newcomer would get wrong: bytes behind the
//! last line end are not there yet.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

/// How often a file that somebody waits for is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How much of it is looked through at once for the end of a line.
const PIECE: u64 = 64 * 1024;

/// Such a file, open.
pub struct Lines {
    file: File,
    id: u64,
    /// Says whether nothing more will be written.
    is_over: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Lines {
    /// Opens one. `is_over` says whether nothing more will be written to it.
    pub fn open(path: &Path, is_over: impl Fn() -> bool + Send + Sync + 'static) -> io::Result<Self> {
        let file = File::open(path)?;
        let id = file.metadata()?.ino();
        Ok(Self { file, id, is_over: Box::new(is_over) })
    }

    /// Tells this file from others.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns where the last whole line ends, and whether nothing more comes.
    pub(crate) fn tail(&self) -> io::Result<(u64, bool)> {
        // In this order: what was written before it was over is seen.
        let is_over = (self.is_over)();
        let mut end = self.file.metadata()?.len();
        let mut piece = Vec::new();
        while end > 0 {
            let from = end.saturating_sub(PIECE);
            self.read(from, end, &mut piece)?;
            if let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') {
                return Ok((from + last as u64 + 1, is_over));
            }
            end = from;
        }
        Ok((0, is_over))
    }

    /// Returns the first line end at or after `from`, if there is one before `limit`.
    pub(crate) fn next_end(&self, mut from: u64, limit: u64) -> io::Result<Option<u64>> {
        let mut piece = Vec::new();
        while from < limit {
            let to = limit.min(from + PIECE);
            self.read(from, to, &mut piece)?;
            if let Some(first) = piece.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(from + first as u64 + 1));
            }
            from = to;
        }
        Ok(None)
    }

    /// Reads the bytes of a range as a stream has them.
    pub(crate) fn messages(&self, from: u64, to: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let begin = into.len();
        into.resize(begin + usize::try_from(to - from).map_err(io::Error::other)?, 0);
        self.file.read_exact_at(&mut into[begin..], from)?;
        for byte in &mut into[begin..] {
            if *byte == b'\n' {
                *byte = b',';
            }
        }
        Ok(())
    }

    /// Waits until there is something behind `position`, or nothing more comes.
    pub(crate) async fn more(&self, position: u64) {
        // A file that cannot be read any more is found out by whoever reads it.
        while self.tail().is_ok_and(|(tail, is_over)| tail <= position && !is_over) {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn read(&self, from: u64, to: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.resize(usize::try_from(to - from).map_err(io::Error::other)?, 0);
        self.file.read_exact_at(into, from)
    }
}
