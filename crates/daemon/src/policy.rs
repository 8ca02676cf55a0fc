//! What the server may ask of this machine: `policy.json`, changed by local verbs only.
//!
//! Paths are compared when a run is started, canonical and by whole components:
//! a link that leads out of an allowed folder leads out of it here too.

use std::fs;
use std::path::{Path, PathBuf};

use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use serde::{Deserialize, Serialize};

use crate::home::{Home, HomeError, person_home};

const FILE: &str = "policy.json";
const VERSION: u32 = 1;

/// What the policy refuses, and what would change that.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The file holds something else.
    #[error("{} cannot be read ({why}); correct it, or remove it and allow folders again with `chatroom machine allow DIR`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A path that depends on where one stands.
    #[error("{} is not an absolute path", .0.display())]
    NotAbsolute(PathBuf),
    /// No folder is there.
    #[error("{} is not a folder on this machine", .0.display())]
    NoFolder(PathBuf),
    /// The folder holds this user's whole home, or the whole machine.
    #[error("{} is too wide to be allowed: it holds your whole home folder; allow the folder of a project", .0.display())]
    TooWide(PathBuf),
    /// The folder is not allowed.
    #[error("agents may not work in {dir}; to permit it, run on that machine: chatroom machine allow {}", quoted(.dir))]
    NotAllowed {
        /// The folder.
        dir: String,
    },
    /// Acting without asking is not allowed.
    #[error(
        "agents of this machine may not act without asking; to permit it, run on that machine: \
         chatroom machine allow --auto"
    )]
    NoAuto,
    /// Terminals are not allowed.
    #[error(
        "agents of this machine may not be started in a terminal; to permit it, run on that machine: \
         chatroom machine allow --terminal"
    )]
    NoTerminal,
    /// The tool has no way to ask.
    #[error(
        "{0} cannot ask before it acts, so it runs in mode auto only; to permit that, run on that machine: \
         chatroom machine allow --auto"
    )]
    CannotAsk(Tool),
}

/// The content of `policy.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The version of the file.
    pub version: u32,
    /// Where agents may work: these folders and what is in them.
    pub allowed_directories: Vec<PathBuf>,
    /// Whether agents may act without asking.
    pub allow_auto: bool,
    /// Whether agents may be started in a terminal, into which the server passes on what its people type.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_terminal: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { version: VERSION, allowed_directories: Vec::new(), allow_auto: false, allow_terminal: false }
    }
}

impl Policy {
    /// Reads the policy; the one that allows nothing if there is none.
    pub fn load(home: &Home) -> Result<Self, PolicyError> {
        let unreadable = |why: String| PolicyError::Unreadable { path: home.join(FILE), why };
        let Some(read) = home.read_json::<Self>(FILE)? else {
            return Ok(Self::default());
        };
        let policy = read.map_err(|error| unreadable(error.to_string()))?;
        if policy.version != VERSION {
            return Err(unreadable(format!("version {} is unknown", policy.version)));
        }
        Ok(policy)
    }

    /// Lets agents work in `dir` and below; returns its canonical path.
    pub fn allow_dir(home: &Home, dir: &Path) -> Result<PathBuf, PolicyError> {
        let canonical = folder(dir)?;
        if is_too_wide(&canonical) {
            return Err(PolicyError::TooWide(canonical));
        }
        Self::change(home, |policy| {
            if !policy.allowed_directories.contains(&canonical) {
                policy.allowed_directories.push(canonical.clone());
            }
        })?;
        Ok(canonical)
    }

    /// Takes a permission back; returns whether it was there.
    pub fn disallow_dir(home: &Home, dir: &Path) -> Result<bool, PolicyError> {
        // What was removed meanwhile has no canonical path.
        let canonical = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let mut found = false;
        Self::change(home, |policy| {
            let before = policy.allowed_directories.len();
            policy.allowed_directories.retain(|allowed| *allowed != canonical && allowed != dir);
            found = policy.allowed_directories.len() < before;
        })?;
        Ok(found)
    }

    /// Lets agents act without asking, or takes that back.
    pub fn set_auto(home: &Home, allow_auto: bool) -> Result<(), PolicyError> {
        Self::change(home, |policy| policy.allow_auto = allow_auto)
    }

    /// Lets agents be started in a terminal, or takes that back.
    pub fn set_terminal(home: &Home, allow_terminal: bool) -> Result<(), PolicyError> {
        Self::change(home, |policy| policy.allow_terminal = allow_terminal)
    }

    /// Returns the canonical path of `dir` if agents may work there.
    pub fn allows(&self, dir: &Path) -> Result<PathBuf, PolicyError> {
        let canonical = folder(dir)?;
        let is_allowed = self
            .allowed_directories
            .iter()
            // A folder may have become a link since; the file may have been edited.
            .filter_map(|allowed| folder(allowed).ok())
            .any(|allowed| !is_too_wide(&allowed) && canonical.starts_with(&allowed));
        if is_allowed { Ok(canonical) } else { Err(PolicyError::NotAllowed { dir: canonical.display().to_string() }) }
    }

    /// Returns whether a tool may run in a mode.
    pub fn allows_mode(&self, tool: Tool, mode: PermissionMode) -> Result<(), PolicyError> {
        match mode {
            PermissionMode::Ask if !tool.can_ask() => Err(PolicyError::CannotAsk(tool)),
            PermissionMode::Auto if !self.allow_auto => Err(PolicyError::NoAuto),
            PermissionMode::Ask | PermissionMode::Auto => Ok(()),
        }
    }

    /// Returns whether a run may be of a form.
    pub fn allows_form(&self, form: RunForm) -> Result<(), PolicyError> {
        match form {
            RunForm::Terminal if !self.allow_terminal => Err(PolicyError::NoTerminal),
            RunForm::Terminal | RunForm::Managed => Ok(()),
        }
    }

    fn change(home: &Home, change: impl FnOnce(&mut Self)) -> Result<(), PolicyError> {
        let _lock = home.lock()?;
        let mut policy = Self::load(home)?;
        change(&mut policy);
        let content = serde_json::to_vec_pretty(&policy)
            .map_err(|error| PolicyError::Unreadable { path: home.join(FILE), why: error.to_string() })?;
        Ok(home.write(FILE, &content)?)
    }
}

fn folder(dir: &Path) -> Result<PathBuf, PolicyError> {
    if !dir.is_absolute() {
        return Err(PolicyError::NotAbsolute(dir.to_owned()));
    }
    match fs::canonicalize(dir) {
        Ok(canonical) if canonical.is_dir() => Ok(canonical),
        _ => Err(PolicyError::NoFolder(dir.to_owned())),
    }
}

/// Whether a folder is the root, this user's home, or holds it.
fn is_too_wide(canonical: &Path) -> bool {
    let home = person_home().map(|home| fs::canonicalize(&home).unwrap_or(home));
    canonical.parent().is_none() || home.is_some_and(|home| home.starts_with(canonical))
}

/// The path as a shell takes it for one word.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
