//! The daemon as a service of its user: what systemd and launchd are told.
//!
//! A supervised daemon that finds another one of its home ends well, so it is not
//! started again and again. Only the daemon itself is signalled at a stop: it ends
//! its agents, and the supervisors of one that crashed are found again by the next.

mod launchd;
mod systemd;

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Exit code of a daemon that could not work at the next start either.
pub const UNUSABLE: u8 = 78;

/// How the program is started by a supervisor of services.
const ARGS: [&str; 5] = ["machine", "daemon", "start", "--foreground", "--service"];

/// Who supervises services here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// A systemd of the user.
    Systemd,
    /// The launchd of the user's session.
    Launchd,
}

impl Manager {
    /// Returns the one of this operating system, if it is known.
    pub fn here() -> Option<Self> {
        match std::env::consts::OS {
            "linux" => Some(Self::Systemd),
            "macos" => Some(Self::Launchd),
            _ => None,
        }
    }
}

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A text would change the meaning of the file.
    #[error("{what} holds a line break or another control character, so it cannot be written into a service file")]
    Control {
        /// Which text.
        what: String,
    },
    /// A path that is not absolute.
    #[error("{what} is {path:?}, but a service needs an absolute path")]
    Relative {
        /// Which path.
        what: &'static str,
        /// What it is.
        path: PathBuf,
    },
    /// A program systemd would not start.
    #[error("systemd starts no program whose path holds a quote or a backslash, as {} does; move it elsewhere", .0.display())]
    Quotes(PathBuf),
    /// The file cannot be written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The service of a home.
#[derive(Debug, Clone)]
pub struct Service {
    /// Who supervises it.
    pub manager: Manager,
    /// The program.
    pub exe: PathBuf,
    /// The home of the daemon.
    pub home: PathBuf,
    /// Where the daemon writes its log.
    pub log: PathBuf,
    /// The variables it is started with: `PATH` as it is now, the home, the server.
    pub variables: Vec<(String, String)>,
    /// Whether the home is the one of an ordinary install; others get a name of their own.
    pub is_usual_home: bool,
}

impl Service {
    /// Returns its name, as its supervisor knows it.
    pub fn name(&self) -> String {
        let base = match self.manager {
            Manager::Systemd => "chatroom",
            Manager::Launchd => "chatroom.daemon",
        };
        let own = if self.is_usual_home { String::new() } else { mark(&self.home) };
        match self.manager {
            Manager::Systemd => format!("{base}{own}.service"),
            Manager::Launchd => format!("{base}{own}"),
        }
    }

    /// Returns where its file belongs, below the user's home and their folder of settings.
    pub fn file(&self, person: &Path, settings: Option<&Path>) -> PathBuf {
        match self.manager {
            Manager::Systemd => {
                let settings = settings.map_or_else(|| person.join(".config"), Path::to_owned);
                settings.join("systemd/user").join(self.name())
            }
            Manager::Launchd => person.join("Library/LaunchAgents").join(format!("{}.plist", self.name())),
        }
    }

    /// Writes what the supervisor reads.
    pub fn text(&self) -> Result<String, ServiceError> {
        for (what, path) in [("the program", &self.exe), ("the home", &self.home)] {
            if !path.is_absolute() {
                return Err(ServiceError::Relative { what, path: path.clone() });
            }
        }
        let mut texts = vec![("the program's path", self.exe.display().to_string())];
        texts.push(("the home's path", self.home.display().to_string()));
        texts.extend(self.variables.iter().map(|(name, value)| (name.as_str(), value.clone())));
        for (what, text) in texts {
            if text.chars().any(char::is_control) {
                return Err(ServiceError::Control { what: what.to_owned() });
            }
        }
        if self.manager == Manager::Systemd && self.exe.to_string_lossy().contains(['"', '\'', '\\']) {
            return Err(ServiceError::Quotes(self.exe.clone()));
        }
        Ok(match self.manager {
            Manager::Systemd => systemd::unit(self),
            Manager::Launchd => launchd::plist(self),
        })
    }

    /// Writes its file; returns whether it changed.
    pub fn write(&self, file: &Path) -> Result<bool, ServiceError> {
        let text = self.text()?;
        if std::fs::read_to_string(file).is_ok_and(|present| present == text) {
            return Ok(false);
        }
        let failed = |source| ServiceError::Io { path: file.to_owned(), source };
        let folder = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        io::Write::write_all(&mut draft, text.as_bytes()).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft.persist(file).map_err(|error| failed(error.error))?;
        Ok(true)
    }
}

/// A short mark that tells homes apart.
fn mark(home: &Path) -> String {
    let sum = Sha256::digest(home.as_os_str().as_encoded_bytes());
    sum.iter().take(4).fold("-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests;
