//! A file of lines that another program appends to, read as a stream: each line is a message of JSON.
//!
//! In a stream that is stored, a comma follows each message where here a line ends: so whoever sends the lines on to a
//! server of streams, in order, has the same positions there and here. What a newcomer would get wrong: bytes behind the
//! last line end are not there yet.
//!
//! Lines that go on for ever are in parts, files of a folder, so that the oldest can go: then the stream begins later.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a file that somebody waits for is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How much of it is looked through at once for the end of a line.
const PIECE: u64 = 64 * 1024;

/// How many digits of a part's name say where it begins.
const DIGITS: usize = 20;
/// What the name of every part ends with.
const ENDING: &str = ".jsonl";

/// A part of lines that go on for ever: the next begins where its last line ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// How many bytes come before it.
    pub begins_at: u64,
    /// Its file.
    pub path: PathBuf,
}

impl Part {
    /// Returns the part of a folder that begins at a position, whether there is such a file or not.
    pub fn at(folder: &Path, begins_at: u64) -> Self {
        Self { begins_at, path: folder.join(format!("{begins_at:0DIGITS$}{ENDING}")) }
    }

    /// Returns those in a folder, the oldest first.
    pub fn all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut parts = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(ENDING)).filter(|name| name.len() == DIGITS);
            parts.extend(digits.and_then(|digits| digits.parse().ok()).map(|begins_at| Self::at(folder, begins_at)));
        }
        parts.sort();
        Ok(parts)
    }
}

/// Such a file, or such a folder of parts, to be read.
pub struct Lines {
    place: Place,
    id: u64,
    /// Says whether nothing more will be written.
    is_over: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Where they are.
enum Place {
    One(File),
    Parts(PathBuf),
}

/// A file of lines and where it begins.
type Begun<'a> = (u64, &'a File);

impl Lines {
    /// Opens a file. `is_over` says whether nothing more will be written to it.
    pub fn open(path: &Path, is_over: impl Fn() -> bool + Send + Sync + 'static) -> io::Result<Self> {
        let file = File::open(path)?;
        let id = file.metadata()?.ino();
        Ok(Self { place: Place::One(file), id, is_over: Box::new(is_over) })
    }

    /// Opens a folder of [`Part`]s, which goes on for ever.
    pub fn in_parts(folder: &Path) -> io::Result<Self> {
        let id = std::fs::metadata(folder)?.ino();
        Ok(Self { place: Place::Parts(folder.to_owned()), id, is_over: Box::new(|| false) })
    }

    /// Tells these lines from others.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns where the oldest line begins that is still there.
    pub(crate) fn oldest(&self) -> io::Result<u64> {
        match &self.place {
            Place::One(_) => Ok(0),
            Place::Parts(folder) => Ok(Part::all(folder)?.first().map_or(0, |part| part.begins_at)),
        }
    }

    /// Returns where the last whole line ends, and whether nothing more comes.
    pub(crate) fn tail(&self) -> io::Result<(u64, bool)> {
        // In this order: what was written before it was over is seen.
        let is_over = (self.is_over)();
        let tail = match &self.place {
            Place::One(file) => last_end((0, file))?,
            Place::Parts(folder) => match Part::all(folder)?.last() {
                Some(part) => last_end((part.begins_at, &File::open(&part.path)?))?,
                None => 0,
            },
        };
        Ok((tail, is_over))
    }

    /// Returns the first line end at or after `from`, if there is one before `limit`.
    pub(crate) fn next_end(&self, mut from: u64, limit: u64) -> io::Result<Option<u64>> {
        let mut piece = Vec::new();
        while from < limit {
            let to = limit.min(from + PIECE);
            piece.clear();
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
        self.read(from, to, into)?;
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

    /// Appends the bytes of a range as the files have them.
    fn read(&self, from: u64, to: u64, into: &mut Vec<u8>) -> io::Result<()> {
        match &self.place {
            Place::One(file) => read((0, file), from, to, into),
            Place::Parts(folder) => {
                let parts = Part::all(folder)?;
                let first = parts.partition_point(|part| part.begins_at <= from);
                let first = first.checked_sub(1).ok_or(io::ErrorKind::NotFound)?;
                let ends = parts[first + 1..].iter().map(|part| part.begins_at).chain([u64::MAX]);
                let mut from = from;
                for (part, end) in parts[first..].iter().zip(ends) {
                    if from >= to {
                        break;
                    }
                    read((part.begins_at, &File::open(&part.path)?), from, to.min(end), into)?;
                    from = end;
                }
                Ok(())
            }
        }
    }
}

fn read((begins_at, file): Begun, from: u64, to: u64, into: &mut Vec<u8>) -> io::Result<()> {
    let begin = into.len();
    into.resize(begin + usize::try_from(to - from).map_err(io::Error::other)?, 0);
    file.read_exact_at(&mut into[begin..], from - begins_at)
}

/// Returns where the last whole line of a file ends.
fn last_end((begins_at, file): Begun) -> io::Result<u64> {
    let mut end = begins_at + file.metadata()?.len();
    let mut piece = Vec::new();
    while end > begins_at {
        let from = end.saturating_sub(PIECE).max(begins_at);
        piece.clear();
        read((begins_at, file), from, end, &mut piece)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(begins_at)
}
