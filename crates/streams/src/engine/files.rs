//! The files of the streams: exactly the bytes that go over the wire, cut into files of fixed size by position.

use std::io;

use crate::disk::Disk;

/// Where they lie.
pub(crate) const FOLDER: &str = "data";

/// Returns the name of the file with the bytes from `index` times the size of a file on.
pub(crate) fn name(id: u64, index: u64) -> String {
    format!("{FOLDER}/{id:016}-{index:08}")
}

/// Returns whose file it is, and which.
pub(crate) fn parse(file: &str) -> Option<(u64, u64)> {
    let (id, index) = file.split_once('-')?;
    Some((id.parse().ok()?, index.parse().ok()?))
}

/// Returns every file with bytes of `from..to`.
pub(crate) fn all(id: u64, from: u64, to: u64, size: u64) -> impl Iterator<Item = String> {
    let last = if from < to { to.div_ceil(size) } else { 0 };
    (from / size..last).map(move |index| name(id, index))
}

/// Returns every file with bytes of `from..before` and none after.
pub(crate) fn whole_before(id: u64, from: u64, before: u64, size: u64) -> impl Iterator<Item = String> {
    (from / size..before / size).map(move |index| name(id, index))
}

/// Writes bytes of a stream, and tells the names of the files.
pub(crate) fn write(
    disk: &dyn Disk,
    id: u64,
    mut at: u64,
    mut bytes: &[u8],
    size: u64,
    mut wrote: impl FnMut(String),
) -> io::Result<()> {
    while !bytes.is_empty() {
        let index = at / size;
        let room = usize::try_from((index + 1) * size - at).unwrap_or(usize::MAX).min(bytes.len());
        let (now, later) = bytes.split_at(room);
        let name = name(id, index);
        let written = disk.open_or_create(&name).and_then(|file| file.write_all_at(now, at % size));
        // It may be there even if it could not be written.
        wrote(name);
        written?;
        at += room as u64;
        bytes = later;
    }
    Ok(())
}

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It may.
    Some,
    /// It fails with [`io::ErrorKind::WouldBlock`] instead.
    None,
}

/// Fills `into` with the bytes of a stream from `at` on.
pub(crate) fn read(
    disk: &dyn Disk,
    id: u64,
    mut at: u64,
    mut into: &mut [u8],
    size: u64,
    patience: Patience,
) -> io::Result<()> {
    while !into.is_empty() {
        let index = at / size;
        let room = usize::try_from((index + 1) * size - at).unwrap_or(usize::MAX).min(into.len());
        let (now, later) = std::mem::take(&mut into).split_at_mut(room);
        match patience {
            Patience::Some => disk.open(&name(id, index))?.read_exact_at(now, at % size)?,
            Patience::None if disk.read_now(&name(id, index), now, at % size) => {}
            Patience::None => return Err(io::ErrorKind::WouldBlock.into()),
        }
        at += room as u64;
        into = later;
    }
    Ok(())
}
