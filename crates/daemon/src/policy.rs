//! What the server may ask of this machine: `policy.json`, changed by local verbs only.
//!
//! Paths are compared when a run is started, canonical and by whole components:
//! a link that leads out of an allowed folder leads out of it here too.

use std::fs;
use std::path::{Path, PathBuf};

use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use serde::{Deserialize, Serialize};

use crate::harness;
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
    /// The project could let the tool act without asking.
    #[error(
        "{} could let {tool} act without asking; to trust what is in this folder, run on that machine: \
         chatroom machine allow --trust {}", .file.display(), quoted(&.dir.display().to_string())
    )]
    Untrusted {
        /// The tool, which cannot be told to leave it alone.
        tool: Tool,
        /// What was found.
        file: PathBuf,
        /// The working directory.
        dir: PathBuf,
    },
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
    /// What projects in these folders bring along for agent programs (settings, hooks, plugins) holds in mode `ask` too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_directories: Vec<PathBuf>,
    /// Whether agents may act without asking.
    pub allow_auto: bool,
    /// Whether agents may be started in a terminal, into which the server passes on what its people type.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_terminal: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: VERSION,
            allowed_directories: Vec::new(),
            trusted_directories: Vec::new(),
            allow_auto: false,
            allow_terminal: false,
        }
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
        Self::add(home, dir, |policy| &mut policy.allowed_directories)
    }

    /// Takes a permission back; returns whether it was there.
    pub fn disallow_dir(home: &Home, dir: &Path) -> Result<bool, PolicyError> {
        Self::remove(home, dir, |policy| &mut policy.allowed_directories)
    }

    /// Trusts what projects in `dir` and below bring along for agent programs; returns its canonical path.
    pub fn trust_dir(home: &Home, dir: &Path) -> Result<PathBuf, PolicyError> {
        Self::add(home, dir, |policy| &mut policy.trusted_directories)
    }

    /// Takes that back; returns whether it was trusted.
    pub fn distrust_dir(home: &Home, dir: &Path) -> Result<bool, PolicyError> {
        Self::remove(home, dir, |policy| &mut policy.trusted_directories)
    }

    fn add(home: &Home, dir: &Path, to: fn(&mut Self) -> &mut Vec<PathBuf>) -> Result<PathBuf, PolicyError> {
        let canonical = folder(dir)?;
        if is_too_wide(&canonical) {
            return Err(PolicyError::TooWide(canonical));
        }
        Self::change(home, |policy| {
            let folders = to(policy);
            if !folders.contains(&canonical) {
                folders.push(canonical.clone());
            }
        })?;
        Ok(canonical)
    }

    fn remove(home: &Home, dir: &Path, from: fn(&mut Self) -> &mut Vec<PathBuf>) -> Result<bool, PolicyError> {
        // What was removed meanwhile has no canonical path.
        let canonical = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let mut found = false;
        Self::change(home, |policy| {
            let folders = from(policy);
            let before = folders.len();
            folders.retain(|known| *known != canonical && known != dir);
            found = folders.len() < before;
        })?;
        Ok(found)
    }

    /// Returns whether a tool that is to ask must leave alone what the project brings along for it.
    pub fn leaves_out(&self, tool: Tool, mode: PermissionMode, working_dir: &Path) -> Result<bool, PolicyError> {
        let trusted = within(&self.trusted_directories, working_dir);
        if mode == PermissionMode::Auto || trusted {
            return Ok(false);
        }
        let home = person_home().map(|home| fs::canonicalize(&home).unwrap_or(home));
        let project = &harness::spec(tool).project;
        match (project.found(working_dir, home.as_deref()), &project.without) {
            (None, _) => Ok(false),
            (Some(_), Some(_)) => Ok(true),
            (Some(file), None) => Err(PolicyError::Untrusted { tool, file, dir: working_dir.to_owned() }),
        }
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
        if within(&self.allowed_directories, &canonical) {
            Ok(canonical)
        } else {
            Err(PolicyError::NotAllowed { dir: canonical.display().to_string() })
        }
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

/// Returns whether a canonical path is one of these folders, or in one.
fn within(folders: &[PathBuf], canonical: &Path) -> bool {
    // A folder may have become a link since; the file may have been edited.
    let folders = folders.iter().filter_map(|path| folder(path).ok());
    folders.into_iter().any(|folder| !is_too_wide(&folder) && canonical.starts_with(&folder))
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
pub(crate) fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
