//! The log: segments of fixed size, filled with zeros before their first use and used again when a checkpoint no
//! longer needs them.
//!
//! A record is bound by its checksum to its segment and its place, so that what an earlier use left behind is never
//! taken for a record. The header of a segment says where the one before ended: whatever lies beyond that was never
//! acknowledged, and a segment that ends sooner is damaged.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::change::Change;
use super::error::OpenError;
use crate::disk::{Disk, DiskFile};

/// Where segments lie.
pub(crate) const FOLDER: &str = "log";
const MAGIC: &[u8; 8] = b"dstrlog1";
/// Kind, number, end of the segment before, checksum; the rest is empty.
const HEADER: usize = 64;
/// Length, checksum of the body, checksum of both and of the place.
const RECORD: usize = 12;
/// How many zeros are written at once.
const ZEROS: usize = 16 << 10;
/// How many segments wait for use at most.
const SPARES: usize = 2;

/// Segments that may be written over.
#[derive(Default)]
pub(crate) struct Spares(Mutex<SpareNames>);

#[derive(Default)]
struct SpareNames {
    names: Vec<String>,
    made: u64,
}

impl Spares {
    fn names(&self) -> std::sync::MutexGuard<'_, SpareNames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_empty(&self) -> bool {
        self.names().names.is_empty()
    }

    /// Takes in a segment that nothing needs; one too many is removed.
    pub fn add(&self, disk: &dyn Disk, name: String) -> io::Result<()> {
        let mut spares = self.names();
        if spares.names.len() < SPARES {
            spares.names.push(name);
            return Ok(());
        }
        disk.remove(&name)
    }

    /// Makes a segment of zeros.
    pub fn make(&self, disk: &dyn Disk, size: u64) -> io::Result<()> {
        let name = {
            let mut spares = self.names();
            spares.made += 1;
            format!("{FOLDER}/spare-{}", spares.made)
        };
        let fill = || {
            let file = disk.open_or_create(&name)?;
            let zeros = vec![0; ZEROS];
            let mut at = 0;
            while at < size {
                let step = usize::try_from(size - at).unwrap_or(usize::MAX).min(zeros.len());
                file.write_all_at(&zeros[..step], at)?;
                at += step as u64;
            }
            file.sync()?;
            disk.sync_folder(FOLDER)
        };
        if let Err(error) = fill() {
            // Whatever there is of it is of no use; what cannot be removed now is at the next start.
            let _ = disk.remove(&name);
            return Err(error);
        }
        self.names().names.push(name);
        Ok(())
    }
}

/// Why there is no further segment.
#[derive(Debug)]
pub(crate) enum RollError {
    /// There is no room; nothing has happened.
    NoRoom(io::Error),
    /// Nobody knows what is on the disk.
    Broken(io::Error),
}

/// The segment that is being written.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    pub spares: Arc<Spares>,
    size: u64,
    number: u64,
    file: Box<dyn DiskFile>,
    end: u64,
}

impl Wal {
    /// Begins segment `number`.
    pub fn begin(
        disk: Arc<dyn Disk>,
        spares: Arc<Spares>,
        size: u64,
        number: u64,
        before: u64,
    ) -> Result<Self, RollError> {
        let file = open_next(&*disk, &spares, size, number, before)?;
        Ok(Self { disk, spares, size, number, file, end: HEADER as u64 })
    }

    /// Goes on in the next segment.
    pub fn roll(&mut self) -> Result<(), RollError> {
        self.file = open_next(&*self.disk, &self.spares, self.size, self.number + 1, self.end)?;
        self.number += 1;
        self.end = HEADER as u64;
        Ok(())
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether so many bytes more fit.
    pub fn fits(&self, bytes: usize) -> bool {
        self.end + bytes as u64 <= self.size
    }

    /// Whether a record of so many bytes fits into a segment of its own.
    pub fn could_fit(&self, bytes: usize) -> bool {
        (HEADER + bytes) as u64 <= self.size
    }

    /// Adds a record to what will be written next; `put` writes its body.
    pub fn frame(&self, to: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        let begin = to.len();
        to.extend_from_slice(&[0; RECORD]);
        put(to);
        let place = self.end + begin as u64;
        let (head, body) = to[begin..].split_at_mut(RECORD);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let sum = crc32fast::hash(body);
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..8].copy_from_slice(&sum.to_le_bytes());
        head[8..].copy_from_slice(&record_sum(self.number, place, length, sum).to_le_bytes());
    }

    /// Writes framed records; they are durable when this returns. After an error nobody knows what is.
    pub fn write(&mut self, framed: &[u8]) -> io::Result<()> {
        self.file.write_all_at(framed, self.end)?;
        self.file.sync()?;
        self.end += framed.len() as u64;
        Ok(())
    }
}

fn open_next(
    disk: &dyn Disk,
    spares: &Spares,
    size: u64,
    number: u64,
    before: u64,
) -> Result<Box<dyn DiskFile>, RollError> {
    if spares.is_empty() {
        spares.make(disk, size).map_err(RollError::NoRoom)?;
    }
    let spare = spares.names().names.pop();
    let spare = spare.ok_or_else(|| RollError::NoRoom(io::Error::other("no segment is free")))?;
    let name = name(number);
    let opened = disk.open(&spare).and_then(|file| disk.rename(&spare, &name).map(|()| file));
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            spares.names().names.push(spare);
            return Err(RollError::NoRoom(error));
        }
    };
    disk.sync_folder(FOLDER).map_err(RollError::Broken)?;
    file.write_all_at(&header(number, before), 0).map_err(RollError::Broken)?;
    file.sync().map_err(RollError::Broken)?;
    Ok(file)
}

/// What the log held when the engine was opened.
pub(crate) struct Replayed {
    /// The last segment with records.
    pub last: u64,
    /// Where its records end.
    pub end: u64,
    /// The segments that were read.
    pub read: Vec<String>,
    /// Segments with nothing in them.
    pub unused: Vec<String>,
}

/// Reads the log from segment `first` on, and hands out every change in order.
pub(crate) fn replay(
    disk: &dyn Disk,
    first: u64,
    size: u64,
    mut visit: impl FnMut(Change) -> Result<(), OpenError>,
) -> Result<Replayed, OpenError> {
    let mut found = Replayed { last: first, end: 0, read: Vec::new(), unused: Vec::new() };
    let mut segments = std::collections::BTreeMap::new();
    let listed = disk.list(FOLDER).map_err(|source| OpenError::io("the log", source))?;
    for (file, bytes) in listed {
        let path = format!("{FOLDER}/{file}");
        let number = file.strip_suffix(".log").and_then(|number| number.parse::<u64>().ok());
        match number {
            Some(number) if number >= first => {
                segments.insert(number, path);
            }
            Some(_) if bytes == size => found.unused.push(path),
            // A spare that was perhaps never finished, or has another size.
            _ => disk.remove(&path).map_err(|source| OpenError::io(&path, source))?,
        }
    }
    for expected in first.. {
        let Some(name) = segments.get(&expected).cloned() else {
            break;
        };
        let bytes = read(disk, &name).map_err(|source| OpenError::io(&name, source))?;
        let Some(before) = check_header(&bytes, expected) else {
            // Power was lost between its new name and its header, unless it has records.
            if record(&bytes, HEADER, expected).is_some() {
                return Err(OpenError::damaged(&name, 0));
            }
            break;
        };
        // A segment counts only if the one before is whole: its end is known from this header.
        if expected > first && before != found.end {
            return Err(OpenError::damaged(&self::name(expected - 1), found.end));
        }
        segments.remove(&expected);
        let next = segments.get(&(expected + 1));
        let limit = next.and_then(|next| read_header(disk, next, expected + 1));
        found.end = visit_records(&bytes, expected, limit, &name, &mut visit)?;
        found.last = expected;
        found.read.push(name);
    }
    if found.read.is_empty() {
        return Err(OpenError::Missing("the first segment of its log"));
    }
    if segments.values().any(|name| read_header_any(disk, name)) {
        return Err(OpenError::damaged(&self::name(found.last), found.end));
    }
    // Never begun: nothing was acknowledged in them, and their names are needed.
    for name in segments.into_values() {
        disk.remove(&name).map_err(|source| OpenError::io(&name, source))?;
    }
    Ok(found)
}

fn visit_records(
    bytes: &[u8],
    number: u64,
    limit: Option<u64>,
    name: &str,
    visit: &mut impl FnMut(Change) -> Result<(), OpenError>,
) -> Result<u64, OpenError> {
    let mut at = HEADER;
    while limit.is_none_or(|limit| (at as u64) < limit) {
        let Some(body) = record(bytes, at, number) else {
            break;
        };
        let change = Change::take(body).map_err(|_| OpenError::damaged(name, at as u64))?;
        visit(change)?;
        at += RECORD + body.len();
    }
    Ok(at as u64)
}

fn record(bytes: &[u8], at: usize, number: u64) -> Option<&[u8]> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (own, rest) = rest.split_first_chunk::<4>()?;
    let (length, sum) = (u32::from_le_bytes(*length), u32::from_le_bytes(*sum));
    if u32::from_le_bytes(*own) != record_sum(number, at as u64, length, sum) {
        return None;
    }
    let body = rest.get(..usize::try_from(length).ok()?)?;
    (crc32fast::hash(body) == sum).then_some(body)
}

fn record_sum(number: u64, place: u64, length: u32, sum: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&place.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(&sum.to_le_bytes());
    hasher.finalize()
}

pub(crate) fn name(number: u64) -> String {
    format!("{FOLDER}/{number:016}.log")
}

fn header(number: u64, before: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    header[16..24].copy_from_slice(&before.to_le_bytes());
    let sum = crc32fast::hash(&header[..24]);
    header[24..28].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Returns where the segment before ended, if this is the header of segment `number`.
fn check_header(bytes: &[u8], number: u64) -> Option<u64> {
    let before = bytes.get(16..24)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))?;
    (bytes.get(..HEADER)? == header(number, before)).then_some(before)
}

fn read_header(disk: &dyn Disk, name: &str, number: u64) -> Option<u64> {
    let mut bytes = [0; HEADER];
    disk.open(name).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    check_header(&bytes, number)
}

/// Whether anything was ever written to a segment.
pub(crate) fn has_records(disk: &dyn Disk, number: u64) -> bool {
    read(disk, &name(number)).is_ok_and(|bytes| record(&bytes, HEADER, number).is_some())
}

/// Whether a file is a segment that was begun under its own name.
fn read_header_any(disk: &dyn Disk, path: &str) -> bool {
    let number = path.rsplit('/').next().and_then(|file| file.strip_suffix(".log")).and_then(|text| text.parse().ok());
    number.is_some_and(|number| read_header(disk, path, number).is_some())
}

pub(crate) fn read(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
