//! A disk that loses power.
//!
//! What was written and not synced is, after the loss, there in any mixture: whole, missing, torn between sectors,
//! zeroed or scribbled over; names that were not synced are there up to some moment. A sync that failed has given up
//! its writes for good, even if the next one succeeds.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use chatroom_streams::disk::{Disk, DiskFile};

use crate::random::Random;

/// What a disk writes at once.
const SECTOR: usize = 64;

#[derive(Clone, Default)]
struct Content {
    /// What survives.
    durable: Vec<u8>,
    /// What is read.
    current: Vec<u8>,
    /// What was written since the last sync, in order.
    writes: Vec<(usize, Vec<u8>)>,
    /// What a failed sync gave up.
    lost: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Put(String, usize),
    Take(String),
    Rename(String, String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Take(name) => drop(names.remove(name)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }

    fn is_in(&self, folder: &str) -> bool {
        match self {
            Self::Put(name, _) | Self::Take(name) => parent(name) == folder,
            Self::Rename(from, to) => parent(from) == folder || parent(to) == folder,
        }
    }
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Power is lost at this step, counted from now.
    pub power: Option<u64>,
    /// This sync fails, counted from now.
    pub sync: Option<u64>,
    /// From this write on, for so many writes, there is no room.
    pub full: Option<(u64, u64)>,
}

#[derive(Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    folders: Vec<String>,
    faults: Faults,
    steps: u64,
    syncs: u64,
    writes: u64,
    is_dead: bool,
    sync_failed: bool,
}

/// The disk. Copies are the same one.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

fn dead() -> io::Error {
    io::Error::other("the power is gone")
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    fn name(&self, file: usize) -> &str {
        self.names.iter().find(|(_, known)| **known == file).map_or("a file without a name", |(name, _)| name)
    }

    /// Counts a step that changes something; power may go before it.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.faults.power.is_some_and(|at| self.steps >= at) {
            self.is_dead = true;
        }
        if self.is_dead { Err(dead()) } else { Ok(()) }
    }

    fn write(&mut self, file: usize, bytes: &[u8], at: usize) -> io::Result<()> {
        self.step()?;
        trace(|| format!("write {} {at}+{}", self.name(file), bytes.len()));
        self.writes += 1;
        let content = &mut self.files[file];
        if self.faults.full.is_some_and(|(from, count)| (from..from + count).contains(&self.writes)) {
            // As a real one does, it takes what still fits.
            let half = bytes.len() / 2;
            put(&mut content.current, at, &bytes[..half]);
            content.writes.push((at, bytes[..half].to_vec()));
            return Err(io::ErrorKind::StorageFull.into());
        }
        put(&mut content.current, at, bytes);
        content.writes.push((at, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.step()?;
        trace(|| format!("sync {}", self.name(file)));
        self.syncs += 1;
        let content = &mut self.files[file];
        let writes = std::mem::take(&mut content.writes);
        if self.faults.sync == Some(self.syncs) {
            content.lost.extend(writes);
            self.sync_failed = true;
            return Err(io::Error::other("the sync failed"));
        }
        for (at, bytes) in writes {
            put(&mut content.durable, at, &bytes);
        }
        Ok(())
    }
}

/// Prints what happens, if `SIMULATOR_TRACE` is set.
#[expect(clippy::print_stdout, reason = "asked for by whoever replays a seed")]
fn trace(what: impl FnOnce() -> String) {
    if std::env::var_os("SIMULATOR_TRACE").is_some() {
        println!("{}", what());
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

impl SimulatedDisk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("the state")
    }

    /// Says what goes wrong from now on.
    pub fn arm(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = faults;
        (state.steps, state.syncs, state.writes) = (0, 0, 0);
    }

    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    pub fn sync_failed(&self) -> bool {
        self.state().sync_failed
    }

    /// Takes the power away and returns the disk as it is found afterwards.
    pub fn after_power_loss(&self, random: &mut Random) -> Self {
        let mut state = self.state();
        trace(|| "the power goes".to_owned());
        state.is_dead = true;
        let mut names = state.durable_names.clone();
        let kept = random.index(state.name_changes.len() + 1);
        for change in &state.name_changes[..kept] {
            change.apply(&mut names);
        }
        let files = state.files.iter().map(|content| survivor(content, random)).collect();
        let fresh =
            State { files, durable_names: names.clone(), names, folders: state.folders.clone(), ..State::default() };
        Self(Arc::new(Mutex::new(fresh)))
    }
}

fn survivor(content: &Content, random: &mut Random) -> Content {
    let mut durable = content.durable.clone();
    for (at, bytes) in content.lost.iter().chain(&content.writes) {
        let luck = random.below(4);
        let mut from = 0;
        while from < bytes.len() {
            // Sectors lie at multiples in the file.
            let to = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
            let sector = &bytes[from..to];
            match (luck, random.below(8)) {
                (1, _) | (2, 0..=2) => {}
                (2, 3) => put(&mut durable, at + from, &vec![0; sector.len()]),
                (2, 4) => {
                    let noise: Vec<u8> = sector.iter().map(|_| random.number().to_le_bytes()[0]).collect();
                    put(&mut durable, at + from, &noise);
                }
                _ => put(&mut durable, at + from, sector),
            }
            from = to;
        }
    }
    Content { current: durable.clone(), durable, ..Content::default() }
}

impl Disk for SimulatedDisk {
    fn lock(&self) -> io::Result<()> {
        Ok(())
    }

    fn unlock(&self) {}

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.folders.iter().any(|there| there == folder) {
            state.folders.push(folder.to_owned());
        }
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        if state.is_dead {
            return Err(dead());
        }
        if !state.folders.iter().any(|there| there == folder) {
            return Err(absent());
        }
        let inside = state.names.iter().filter(|(name, _)| parent(name) == folder);
        let about = |(name, file): (&String, &usize)| {
            let file_name = name.rsplit('/').next().unwrap_or_default();
            (file_name.to_owned(), state.files[*file].current.len() as u64)
        };
        Ok(inside.map(about).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        if state.is_dead {
            return Err(dead());
        }
        let file = *state.names.get(name).ok_or_else(absent)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        if let Ok(file) = self.open(name) {
            return Ok(file);
        }
        let mut state = self.state();
        state.step()?;
        let file = state.files.len();
        state.files.push(Content::default());
        state.names.insert(name.to_owned(), file);
        state.name_changes.push(NameChange::Put(name.to_owned(), file));
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        trace(|| format!("rename {from} {to}"));
        let file = state.names.remove(from).ok_or_else(absent)?;
        state.names.insert(to.to_owned(), file);
        state.name_changes.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        trace(|| format!("remove {name}"));
        state.names.remove(name).ok_or_else(absent)?;
        state.name_changes.push(NameChange::Take(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.syncs += 1;
        if state.faults.sync == Some(state.syncs) {
            state.sync_failed = true;
            return Err(io::Error::other("the sync failed"));
        }
        let changes = std::mem::take(&mut state.name_changes);
        let (durable, open): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.is_in(folder));
        for change in durable {
            change.apply(&mut state.durable_names);
        }
        state.name_changes = open;
        Ok(())
    }

    fn sync_files(&self, names: &mut dyn Iterator<Item = &str>) -> io::Result<()> {
        let mut state = self.state();
        for name in names {
            let file = *state.names.get(name).ok_or_else(absent)?;
            state.sync(file)?;
        }
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let state = self.disk.state();
        if state.is_dead {
            return Err(dead());
        }
        let at = usize::try_from(at).expect("a small file");
        let there = state.files[self.file].current.get(at..at + bytes.len());
        bytes.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.state().write(self.file, bytes, usize::try_from(at).expect("a small file"))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().sync(self.file)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].current.len() as u64)
    }
}
