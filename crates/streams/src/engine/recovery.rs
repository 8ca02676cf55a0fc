//! Opening a store: the checkpoint, the log behind it, and a checkpoint of both before anything is taken.
//!
//! Nothing that exists is resized or written over until the new checkpoint is durable, so being killed here changes
//! nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint;
use super::committer::{Committer, slack};
use super::error::OpenError;
use super::files;
use super::flusher::Flusher;
use super::ledger::Ledger;
use super::options::Options;
use super::shared::Shared;
use super::wal::{self, RollError, Wal};
use crate::disk::Disk;
use crate::protocol::Lifetime;

/// Where files lie that belong to no stream.
const LOST: &str = "lost";

pub(crate) fn open(disk: &Arc<dyn Disk>, options: Options) -> Result<(Arc<Shared>, Committer, Flusher), OpenError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| OpenError::Io { what, source }
    };
    disk.make_folder("").map_err(io("the folder"))?;
    disk.lock().map_err(io("the folder"))?;
    let top = disk.list("").map_err(io("the folder"))?;
    let is_old = top.iter().any(|(name, _)| name == checkpoint::NAME);
    if !is_old {
        prepare(&**disk)?;
    }

    let mut ledger = Ledger::new(options.file_bytes);
    let shared = Arc::new(Shared::new(disk.clone(), options));
    let options = &shared.options;
    let mut flusher = Flusher::new(shared.clone());
    let (mut next, mut before, mut read) = (1, 0, Vec::new());
    if is_old {
        let restored = checkpoint::read(&**disk, &mut ledger)?;
        let sizes = disk.list(files::FOLDER).map_err(|_| OpenError::Missing("its folder data"))?;
        check_files(&ledger, &sizes, options.file_bytes)?;
        let mut news = Vec::new();
        let replayed = wal::replay(&**disk, restored.log_from, options.segment_bytes, |change| {
            ledger.apply(change, &mut news)?;
            shared.publish(&mut news);
            Ok(())
        })?;
        (next, before) = (replayed.last + 1, replayed.end);
        read = replayed.read;
        for name in replayed.unused {
            shared.spares.add(&**disk, name).map_err(io("the log"))?;
        }
        ledger.doomed.extend(restored.doomed);
        set_aside(&**disk, &ledger, &sizes)?;
    }
    for entry in ledger.entries.values() {
        // The log may not know of the last reads.
        let unknown = if let Lifetime::Ttl(seconds) = entry.stream.made.lifetime { slack(seconds) } else { 0 };
        entry.stream.used.store(entry.used.saturating_add(unknown), Ordering::Relaxed);
    }

    let wal = Wal::begin(disk.clone(), shared.spares.clone(), options.segment_bytes, next, before);
    let wal =
        wal.map_err(|(RollError::NoRoom(source) | RollError::Broken(source))| OpenError::io("the log", source))?;
    let snapshot = checkpoint::take(&mut ledger, next);
    shared.checkpointed.store(next, Ordering::Release);
    flusher.checkpoint_now(&snapshot).map_err(io(checkpoint::NAME))?;
    for name in read {
        shared.spares.add(&**disk, name).map_err(io("the log"))?;
    }
    let seen = ledger.paths.values().filter_map(|id| ledger.entries.get(id));
    shared.show(seen.map(|entry| entry.stream.clone()));
    let committer = Committer::new(shared.clone(), ledger, wal);
    Ok((shared, committer, flusher))
}

/// Makes an empty store, unless there are remains of one that was not empty.
fn prepare(disk: &dyn Disk) -> Result<(), OpenError> {
    for folder in [files::FOLDER, wal::FOLDER, LOST] {
        disk.make_folder(folder).map_err(|source| OpenError::io(folder, source))?;
    }
    let list = |folder: &str| disk.list(folder).map_err(|source| OpenError::io(folder, source));
    let missing = || OpenError::Missing("its file manifest");
    if !list(files::FOLDER)?.is_empty() {
        return Err(missing());
    }
    // Being killed while making a store leaves an empty first segment at most.
    let (mut begun, mut left) = (false, Vec::new());
    for (file, _) in list(wal::FOLDER)? {
        let path = format!("{}/{file}", wal::FOLDER);
        match file.strip_suffix(".log") {
            Some(_) if path == wal::name(1) => begun = wal::has_records(disk, 1),
            Some(_) => return Err(missing()),
            None => {}
        }
        left.push(path);
    }
    if begun {
        return Err(missing());
    }
    for name in left {
        disk.remove(&name).map_err(|source| OpenError::io(&name, source))?;
    }
    disk.sync_folder("").map_err(|source| OpenError::io("the folder", source))
}

/// Refuses a store without bytes that the checkpoint vouches for.
fn check_files(ledger: &Ledger, sizes: &[(String, u64)], size: u64) -> Result<(), OpenError> {
    let sizes: std::collections::HashMap<&str, u64> = sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    for entry in ledger.entries.values() {
        let from = entry.oldest.max(entry.stream.own_start());
        for name in files::all(entry.stream.id(), from, entry.tail, size) {
            let file = name.rsplit('/').next().unwrap_or_default();
            let index = files::parse(file).map_or(0, |(_, index)| index);
            let expected = (entry.tail - index * size).min(size);
            let found = sizes.get(file).copied().unwrap_or(0);
            if found < expected {
                return Err(OpenError::Short { name, expected, found });
            }
        }
    }
    Ok(())
}

/// Moves files away that belong to no stream: what cannot be explained is never deleted.
fn set_aside(disk: &dyn Disk, ledger: &Ledger, sizes: &[(String, u64)]) -> Result<(), OpenError> {
    let doomed: HashSet<&str> = ledger.doomed.iter().map(String::as_str).collect();
    let mut moved = false;
    for (file, _) in sizes {
        let path = format!("{}/{file}", files::FOLDER);
        let is_known = files::parse(file).is_some_and(|(id, _)| ledger.entries.contains_key(&id));
        if is_known || doomed.contains(path.as_str()) {
            continue;
        }
        tracing::warn!(file, "a file belongs to no stream and is moved to the folder lost");
        disk.make_folder(LOST).map_err(|source| OpenError::io(LOST, source))?;
        disk.rename(&path, &format!("{LOST}/{file}")).map_err(|source| OpenError::io(&path, source))?;
        moved = true;
    }
    if moved {
        disk.sync_folder(LOST).map_err(|source| OpenError::io(LOST, source))?;
        disk.sync_folder(files::FOLDER).map_err(|source| OpenError::io(files::FOLDER, source))?;
    }
    Ok(())
}
