//! The checkpoint: every stream as of the beginning of one segment of the log.
//!
//! It is the proof of how long each stream's bytes in its files are. What lies behind that in a file is not
//! believed, whatever the file's size.

use std::io;
use std::sync::Arc;

use super::change::{Made, put_maybe, put_numbers};
use super::codec::{Garbled, Put, Take};
use super::error::OpenError;
use super::ledger::Ledger;
use super::stream::Life;
use super::wal;
use crate::disk::{Disk, DiskFile};
use crate::protocol::producer::Session;

/// The file.
pub(crate) const NAME: &str = "manifest";
const FRESH: &str = "manifest.new";
const MAGIC: &[u8; 8] = b"dstrchk1";

/// A checkpoint that is to be written.
pub(crate) struct Snapshot {
    /// The first segment it does not cover.
    pub log_from: u64,
    pub bytes: Vec<u8>,
    /// Files that no stream needs once it is durable.
    pub doomed: Vec<String>,
}

/// What a checkpoint said beside the streams.
pub(crate) struct Restored {
    pub log_from: u64,
    pub doomed: Vec<String>,
}

/// Takes everything down as of the beginning of a segment.
pub(crate) fn take(ledger: &mut Ledger, log_from: u64) -> Snapshot {
    let mut body = Vec::with_capacity(64 + ledger.entries.len() * 128);
    body.put_number(log_from);
    body.put_number(ledger.next_id);
    let mut ids: Vec<u64> = ledger.entries.keys().copied().collect();
    // A fork comes after its source.
    ids.sort_unstable();
    body.put_number(ids.len() as u64);
    for entry in ids.iter().filter_map(|id| ledger.entries.get(id)) {
        entry.stream.made.put(&mut body);
        body.put_byte(entry.life.number());
        body.put_number(entry.oldest);
        body.put_number(entry.tail);
        body.put_byte(u8::from(entry.closed));
        body.put_number(entry.producers.len() as u64);
        for (id, session) in &entry.producers {
            body.put_text(id);
            body.put_number(session.epoch);
            body.put_number(session.seq);
        }
        put_maybe(&mut body, entry.seq.as_deref(), Put::put_text);
        body.put_number(entry.last_used());
        put_numbers(&mut body, &entry.stream.visible().cuts);
    }
    let doomed = std::mem::take(&mut ledger.doomed);
    body.put_number(doomed.len() as u64);
    for name in &doomed {
        body.put_text(name);
    }

    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&body);
    Snapshot { log_from, bytes, doomed }
}

/// Writes a checkpoint beside the valid one. After an error it can be tried again.
pub(crate) fn write(disk: &dyn Disk, snapshot: &Snapshot) -> io::Result<Box<dyn DiskFile>> {
    let file = disk.open_or_create(FRESH)?;
    file.write_all_at(&snapshot.bytes, 0)?;
    Ok(file)
}

/// Makes it the valid one, at once and durably. After an error nobody knows which is.
pub(crate) fn swap(disk: &dyn Disk, file: Box<dyn DiskFile>) -> io::Result<()> {
    file.sync()?;
    drop(file);
    disk.rename(FRESH, NAME)?;
    disk.sync_folder("")
}

/// Reads the valid checkpoint into an empty ledger.
pub(crate) fn read(disk: &dyn Disk, ledger: &mut Ledger) -> Result<Restored, OpenError> {
    let bytes = wal::read(disk, NAME).map_err(|source| OpenError::io(NAME, source))?;
    let bytes = &bytes[..];
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| OpenError::Foreign(NAME.into()))?;
    let damaged = || OpenError::damaged(NAME, MAGIC.len() as u64);
    let (sum, rest) = body.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    // What is behind it is left over from an attempt that was never finished.
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let body = rest.get(..length).ok_or_else(damaged)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err(damaged());
    }
    restore(&mut Take(body), ledger).map_err(|_| damaged())?
}

fn restore(from: &mut Take<'_>, ledger: &mut Ledger) -> Result<Result<Restored, OpenError>, Garbled> {
    let log_from = from.number()?;
    let next_id = from.number()?;
    for _ in 0..from.number()? {
        let made = Made::take(from)?;
        let (path, id): (Arc<str>, u64) = (made.path.as_ref().into(), made.id);
        let life = Life::from_number(from.byte()?).ok_or(Garbled)?;
        let (oldest, tail, closed) = (from.number()?, from.number()?, from.flag()?);
        let producers = from.many(|from| {
            let id = from.text()?.into();
            Ok((id, Session { epoch: from.number()?, seq: from.number()? }))
        })?;
        let seq = from.maybe(|from| Ok(from.text()?.into()))?;
        let used = from.number()?;
        let cuts = from.many(Take::number)?;
        let entry = match ledger.insert(made, used) {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(error)),
        };
        (entry.life, entry.oldest, entry.tail, entry.closed) = (life, oldest, tail, closed);
        (entry.producers, entry.seq) = (producers.into_iter().collect(), seq);
        entry.stream.visible().restore(life, oldest, tail, closed, cuts);
        if life != Life::Expired {
            ledger.paths.insert(path, id);
        }
        if life != Life::Living {
            ledger.mortal.remove(&id);
        }
    }
    ledger.next_id = next_id;
    let doomed = from.many(|from| Ok(from.text()?.to_owned()))?;
    if from.0.is_empty() { Ok(Ok(Restored { log_from, doomed })) } else { Err(Garbled) }
}
