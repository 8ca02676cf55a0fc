//! One file of records.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::{frame, lock};

/// What every log begins with: its kind and version.
const MAGIC: &[u8; 8] = b"chatlog1";
/// How many zeros are written behind the end when there is no more room. What is written over them changes no size of
/// the file, so the disk has only them to sync, and not what it knows of the file.
const AHEAD: u64 = 64 * 1024;

/// Why a log could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system said no.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It is another kind of file.
    #[error("{} is not a log of this program, or of a newer version of it", .0.display())]
    NotALog(PathBuf),
    /// Records are damaged and good ones follow.
    #[error("{} is damaged at byte {at}, and what follows is not; restore it from a backup or move it away", .path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where the damage begins.
        at: u64,
    },
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The records are larger than one append takes.
    #[error("more than 256 MiB in one append")]
    TooLarge,
    /// An earlier append failed in a way that leaves the end of the file unknown.
    #[error("{} could not be written before; it must be opened again", .0.display())]
    Broken(PathBuf),
}

/// The number of a record: how many come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub position: Position,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// An append-only log in a file of its own. One process has it open at a time.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    /// Where the next frame goes.
    end: u64,
    /// How large the file is: zeros are behind the end.
    size: u64,
    next: Position,
    cut: u64,
    broken: bool,
}

impl Log {
    /// Opens the log at `path`, or makes an empty one, mode 0600.
    ///
    /// An append that never finished is cut off. Damage before good records is refused, and so is, after a second,
    /// a log that another process has open.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        let mut file = private(&path).map_err(|source| io_error(&path, source))?;
        if !lock::take(&file).map_err(|source| io_error(&path, source))? {
            return Err(LogError::InUse(path));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| io_error(&path, source))?;
        let scan = scan(&bytes, &path)?;
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let mut log = Self {
            cut: written.saturating_sub(scan.end),
            path,
            file,
            end: scan.end,
            size: bytes.len() as u64,
            next: Position(scan.records),
            broken: false,
        };
        log.settle(scan.end == 0).map_err(|source| io_error(&log.path, source))?;
        Ok(log)
    }

    /// Writes the beginning of a new log, or takes away what is behind the end.
    fn settle(&mut self, is_new: bool) -> io::Result<()> {
        if is_new {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(MAGIC)?;
            self.end = MAGIC.len() as u64;
            self.size = self.end;
            self.file.sync_all()?;
            return sync_folder(&self.path);
        }
        if self.cut > 0 {
            self.file.set_len(self.end)?;
            self.size = self.end;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Appends one record; it is on disk when this returns. Returns its position.
    pub fn append(&mut self, record: &[u8]) -> Result<Position, LogError> {
        self.append_all(&[record])
    }

    /// Appends records together: after a crash all of them are there, or none. Returns the position of the first.
    pub fn append_all(&mut self, records: &[impl AsRef<[u8]>]) -> Result<Position, LogError> {
        let first = self.next;
        if records.is_empty() {
            return Ok(first);
        }
        if self.broken {
            return Err(LogError::Broken(self.path.clone()));
        }
        let frame = frame::encode(records).ok_or(LogError::TooLarge)?;
        if let Err(source) = self.write(&frame) {
            // Nobody knows what of it is on disk. Cutting it off is safe while nothing relies on it.
            self.broken = self.file.set_len(self.end).and_then(|()| self.file.sync_all()).is_err();
            self.size = self.end;
            return Err(io_error(&self.path, source));
        }
        self.end += frame.len() as u64;
        self.next = Position(first.0 + records.len() as u64);
        Ok(first)
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(frame)?;
        let end = self.end + frame.len() as u64;
        if end > self.size {
            self.size = end + AHEAD;
            // On a full disk there may be room for the records alone.
            if io::copy(&mut io::repeat(0).take(AHEAD), &mut self.file).is_err() {
                self.file.set_len(end)?;
                self.size = end;
            }
        }
        self.file.sync_data()
    }

    /// Returns every record from `from` on.
    pub fn read_from(&self, from: Position) -> Result<Vec<Record>, LogError> {
        let bytes = std::fs::read(&self.path).map_err(|source| io_error(&self.path, source))?;
        let whole = usize::try_from(self.end)
            .ok()
            .and_then(|end| bytes.get(..end))
            .ok_or_else(|| LogError::Damaged { path: self.path.clone(), at: bytes.len() as u64 })?;
        let mut at = MAGIC.len();
        let mut position = 0;
        let mut found = Vec::new();
        while at < whole.len() {
            let body = frame::decode(&whole[at..])
                .ok_or_else(|| LogError::Damaged { path: self.path.clone(), at: at as u64 })?;
            for record in frame::records(body) {
                if position >= from.0 {
                    found.push(Record { position: Position(position), payload: record.to_vec() });
                }
                position += 1;
            }
            at += frame::HEAD + body.len();
        }
        Ok(found)
    }

    /// Returns the position the next record will have.
    pub fn end(&self) -> Position {
        self.next
    }

    /// Returns how many bytes of the file are in use.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Returns how many bytes of an unfinished append were cut off when it was opened.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Gives the log the name `to`, over whatever has it, at once and durably.
    pub fn rename(&mut self, to: impl Into<PathBuf>) -> Result<(), LogError> {
        let to = to.into();
        std::fs::rename(&self.path, &to).and_then(|()| sync_folder(&to)).map_err(|source| io_error(&to, source))?;
        self.path = to;
        Ok(())
    }
}

struct Scan {
    end: u64,
    records: u64,
}

/// Finds the end of what is whole.
fn scan(bytes: &[u8], path: &Path) -> Result<Scan, LogError> {
    if bytes.iter().all(|byte| *byte == 0) || MAGIC.starts_with(bytes) && bytes != MAGIC {
        // Power was lost while it was made.
        return Ok(Scan { end: 0, records: 0 });
    }
    if !bytes.starts_with(MAGIC) {
        return Err(LogError::NotALog(path.to_owned()));
    }
    let mut at = MAGIC.len();
    let mut records = 0;
    while let Some(body) = frame::decode(&bytes[at..]) {
        records += frame::records(body).len() as u64;
        at += frame::HEAD + body.len();
    }
    // Only the last append can be torn, so nothing whole lies behind it.
    let is_damaged = (at + 1..bytes.len()).any(|later| frame::decode(&bytes[later..]).is_some());
    if is_damaged {
        return Err(LogError::Damaged { path: path.to_owned(), at: at as u64 });
    }
    Ok(Scan { end: at as u64, records })
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a new name in a folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn io_error(path: &Path, source: io::Error) -> LogError {
    LogError::Io { path: path.to_owned(), source }
}
