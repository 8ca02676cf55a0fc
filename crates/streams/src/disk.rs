//! The seam under the engine: the few things it asks of a file system.
//!
//! [`Folder`] is a folder of the real one. The simulator in the tests is the other: it forgets, tears and reorders
//! what was not synced. What a newcomer would get wrong: a write counts for nothing until the file was synced, and a
//! new, renamed or removed name for nothing until its folder was.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::lock;

/// A file that is open.
pub trait DiskFile: Send + Sync {
    /// Fills `bytes` with what lies at `at`; an error if the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes at `at`; the file grows as needed.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes what was written durable. After an error nobody knows what is.
    fn sync(&self) -> io::Result<()>;
    /// Returns how large it is.
    fn size(&self) -> io::Result<u64>;
}

/// Where an engine keeps everything. Names are relative, with one folder at most before them.
pub trait Disk: Send + Sync {
    /// Takes the place for this process alone, until it is given back or the process ends.
    fn lock(&self) -> io::Result<()>;
    /// Gives it back.
    fn unlock(&self);
    /// Makes a folder, durably, if it is not there; `""` is the place itself.
    fn make_folder(&self, folder: &str) -> io::Result<()>;
    /// Returns the files of a folder with their sizes; an error if there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Fills `bytes` with what lies at `at` of a file, if that can be had without waiting. If not, for whatever reason,
    /// the ordinary way is left.
    fn read_now(&self, name: &str, bytes: &mut [u8], at: u64) -> bool {
        let _ = (name, bytes, at);
        false
    }
    /// Opens a file, making it first if it is not there.
    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, over whatever has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Makes what was written to these files durable, all of it or an error.
    fn sync_files(&self, names: &mut dyn Iterator<Item = &str>) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Held open for its lock.
    lock: Mutex<Option<File>>,
}

/// From how many files on one barrier for the whole file system is cheaper than one for each.
#[cfg(target_os = "linux")]
const MANY: usize = 8;

impl Folder {
    /// Names a folder; nothing is touched.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), lock: Mutex::new(None) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    #[cfg(target_os = "linux")]
    fn barrier(&self) -> io::Result<()> {
        Ok(nix::unistd::syncfs(File::open(&self.root)?)?)
    }
}

impl Disk for Folder {
    fn lock(&self) -> io::Result<()> {
        let path = self.path("lock");
        let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&path)?;
        if !lock::take(&file)? {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is in use by another process"));
        }
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        let path = self.path(folder);
        let missing: Vec<_> =
            path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).collect();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        // A new folder is durable once the one it is in was synced.
        missing.into_iter().try_for_each(|made| {
            let above = made.parent().filter(|above| !above.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()
        })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path(folder))? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() {
                found.push((entry.file_name().to_string_lossy().into_owned(), about.len()));
            }
        }
        Ok(found)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.path(name))?))
    }

    #[cfg(target_os = "linux")]
    fn read_now(&self, name: &str, bytes: &mut [u8], at: u64) -> bool {
        use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
        use rustix::io::{ReadWriteFlags, preadv2};

        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let Ok(file) = openat2(CWD, self.path(name), flags, Mode::empty(), ResolveFlags::CACHED) else {
            return false;
        };
        let wanted = bytes.len();
        let read = preadv2(&file, &mut [io::IoSliceMut::new(bytes)], at, ReadWriteFlags::NOWAIT);
        read == Ok(wanted)
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        Ok(Box::new(options.open(self.path(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.path(folder))?.sync_all()
    }

    fn sync_files(&self, names: &mut dyn Iterator<Item = &str>) -> io::Result<()> {
        let names: Vec<&str> = names.collect();
        #[cfg(target_os = "linux")]
        if names.len() >= MANY {
            return self.barrier();
        }
        names.into_iter().try_for_each(|name| File::open(self.path(name))?.sync_data())
    }
}

impl DiskFile for File {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
