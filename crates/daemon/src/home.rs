//! The folder of this machine's files: `CHATROOM_HOME`, normally `~/.chatroom`.
//!
//! Everything in it is its user's alone. A file is replaced whole (unique
//! temporary file, fsync, rename), so a reader sees the old one or the new one;
//! what is read, changed and written back is so under [`Home::lock`].

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The file system said no.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There is neither `CHATROOM_HOME` nor a home folder of this user.
    #[error("no home folder is known for this user; set CHATROOM_HOME")]
    Nowhere,
    /// Files of the older product of this name are there.
    #[error(
        "{} holds {found} of an older chatroom, which is left alone; choose another folder, \
         for example CHATROOM_HOME={}",
        .home.display(), .instead.display()
    )]
    OlderProduct {
        /// The folder.
        home: PathBuf,
        /// What was found there.
        found: String,
        /// A folder that would do.
        instead: PathBuf,
    },
}

/// The folder, made and private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Keeps other processes from changing the files of the home for as long as it lives.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
pub struct HomeLock(File);

impl Home {
    /// Opens the folder, making it where it is missing, and sees that it is this user's alone.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let path = std::path::absolute(path.into()).map_err(|source| HomeError::Io { path: PathBuf::new(), source })?;
        make_private(&path).map_err(|source| HomeError::Io { path: path.clone(), source })?;
        if let Some(found) = older_product(&path) {
            let mut instead = path.clone().into_os_string();
            instead.push("-2");
            return Err(HomeError::OlderProduct { home: path, found, instead: instead.into() });
        }
        Ok(Self(path))
    }

    /// Returns where the folder is for this process: `CHATROOM_HOME`, else `~/.chatroom`.
    pub fn locate() -> Result<PathBuf, HomeError> {
        match std::env::var_os("CHATROOM_HOME").filter(|set| !set.is_empty()) {
            Some(set) => Ok(set.into()),
            None => person_home().map(|home| home.join(".chatroom")).ok_or(HomeError::Nowhere),
        }
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the path of something in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the folder of a run.
    pub fn run_dir(&self, run: chatroom_protocol::RunId) -> PathBuf {
        self.0.join("runs").join(run.to_string())
    }

    /// Makes a private folder in it, with those above it.
    pub fn folder(&self, name: impl AsRef<Path>) -> Result<PathBuf, HomeError> {
        let path = self.0.join(name);
        make_private(&path).map_err(|source| HomeError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// Waits for the right to change its files.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.join("home.lock");
        let lock = open_private(&path).and_then(|file| file.lock().map(|()| file));
        lock.map(HomeLock).map_err(|source| HomeError::Io { path, source })
    }

    /// Replaces a file whole and durably, mode 0600.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), HomeError> {
        let path = self.join(name);
        write_private(&path, content).map_err(|source| HomeError::Io { path, source })
    }

    /// Reads a file; `None` if it is not there.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, HomeError> {
        let path = self.join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HomeError::Io { path, source }),
        }
    }

    /// Removes a file; one that is not there is fine.
    pub fn remove(&self, name: &str) -> Result<(), HomeError> {
        let path = self.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(HomeError::Io { path, source }),
            _ => Ok(()),
        }
    }

    /// Reads a JSON file; the error of a file that is something else names what is wrong.
    pub(crate) fn read_json<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<Result<T, serde_json::Error>>, HomeError> {
        let content = self.read(name)?;
        Ok(content.map(|content| serde_json::from_slice(&content)))
    }
}

/// Returns this user's home folder: `HOME`, else what the system has on record.
///
/// A service may be started without any environment.
pub fn person_home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(|| nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir))
}

/// Opens a file for reading and writing, made with mode 0600.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file =
        tempfile::Builder::new().prefix(".new-").permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Looks for the files only the older product writes.
fn older_product(home: &Path) -> Option<String> {
    for name in ["auth.jsonc", "machines/state"] {
        if home.join(name).exists() {
            return Some(name.to_owned());
        }
    }
    let identity = fs::read(home.join("machine.json")).ok();
    let is_old = identity
        .and_then(|content| serde_json::from_slice::<serde_json::Value>(&content).ok())
        .is_some_and(|identity| identity["version"] == "1");
    if is_old {
        return Some("a machine.json".to_owned());
    }
    fs::read_dir(home).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let hash = name.strip_prefix("daemon-")?.strip_suffix(".pid")?;
        (hash.len() == 8 && hash.chars().all(|c| c.is_ascii_hexdigit())).then_some(name)
    })
}
