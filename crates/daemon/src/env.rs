//! The environment of a run, and where programs are found.
//!
//! A service may be started with next to no environment, without a login shell,
//! and must still find what its user installed. So PATH is: what the user wrote
//! into `env` of the home, what the daemon was started with, and the folders
//! where such programs commonly lie. A tool that is a Node script needs `node`
//! beside it, so the run gets the whole of it.
//!
//! What the user marks there as a secret is kept out of what is written about runs.
//!
//! Removed are our own credentials and the marks by which a tool would take
//! itself for one started inside another; everything else is the user's and stays.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chatroom_protocol::RunId;
use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::api::daemon::Slot;
use url::Url;

use crate::home::{Home, HomeError, person_home};

/// The file of the home with variables its user adds.
pub const FILE: &str = "env";

/// By these a tool knows that it was started inside another.
const OUTER_MARKS: [&str; 14] = [
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_SESSION_ID",
    "OPENCODE",
    "OPENCODE_PID",
    "OPENCODE_PROCESS_ROLE",
    "OPENCODE_RUN_ID",
    "OPENCODE_SERVER_PASSWORD",
    "OPENCODE_SERVER_USERNAME",
    "CURSOR_AGENT",
    "CURSOR_TRACE_ID",
    "CODEX_SANDBOX",
    "PI_SESSION_ID",
];

/// An editor or pager would wait for a person who is not there.
const NOBODY_THERE: [(&str, &str); 5] = [
    ("GIT_EDITOR", "true"),
    ("GIT_SEQUENCE_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    ("PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// Folders below the user's home where agent programs and Node are installed.
const HOME_FOLDERS: [&str; 14] = [
    ".local/bin",
    "bin",
    ".claude/local",
    ".opencode/bin",
    ".npm-global/bin",
    ".npm-packages/bin",
    ".bun/bin",
    ".deno/bin",
    ".volta/bin",
    ".cargo/bin",
    ".local/share/pnpm",
    ".local/share/mise/shims",
    ".asdf/shims",
    ".nvm/current/bin",
];

const SYSTEM_FOLDERS: [&str; 7] = [
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/snap/bin",
    "/usr/bin",
    "/bin",
    "/usr/sbin",
];

/// The variables a process was started with.
#[derive(Debug, Clone, Default)]
pub struct Ambient(BTreeMap<String, String>);

impl Ambient {
    /// Returns those of this process. What is not UTF-8 is left out.
    pub fn of_process() -> Self {
        Self::new(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Returns the given ones.
    pub fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(vars.into_iter().collect())
    }

    /// Adds what the user wrote into `env` of the home; it wins over what is there.
    pub fn with_file(mut self, home: &Home) -> Result<Self, HomeError> {
        if let Some(content) = home.read(FILE)? {
            let own_path = self.0.get("PATH").cloned();
            let variables = parse(&String::from_utf8_lossy(&content)).into_iter();
            self.0.extend(variables.map(|variable| (variable.name, variable.value)));
            // The recorded PATH comes first, the present one stays in reach.
            if let (Some(path), Some(own)) = (self.0.get_mut("PATH"), own_path) {
                *path = format!("{path}:{own}");
            }
        }
        Ok(self)
    }

    /// Returns a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn person_home(&self) -> Option<PathBuf> {
        let set = self.get("HOME").filter(|home| !home.is_empty());
        set.map(PathBuf::from).or_else(person_home)
    }
}

/// A line of the file.
struct Variable {
    name: String,
    value: String,
    /// Its user wrote `secret` before it.
    is_marked: bool,
}

/// The end of a name by which a variable holds a secret, whether it is marked or not.
const SECRET_NAMES: [&str; 4] = ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD"];

/// The shortest secret: a shorter one would be found in all sorts of texts.
const SHORTEST_SECRET: usize = 8;

/// Why the secrets of a home cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// What is marked cannot be kept out.
    #[error(
        "{name} in {file} is marked as a secret and has fewer than {SHORTEST_SECRET} bytes, too few to be kept out of \
         what agents say; give it a longer value, or take `secret` away"
    )]
    TooShort {
        /// The variable.
        name: String,
        /// Where it is.
        file: String,
    },
}

/// Returns the values of `env` of the home that are kept out of everything that is written: those whose line begins
/// with `secret `, and those whose name says what they are.
pub fn secrets(home: &Home) -> Result<Vec<String>, SecretsError> {
    let content = home.read(FILE)?.unwrap_or_default();
    let mut secrets = Vec::new();
    for Variable { name, value, is_marked } in parse(&String::from_utf8_lossy(&content)) {
        let is_long = value.len() >= SHORTEST_SECRET;
        if is_marked && !is_long {
            return Err(SecretsError::TooShort { name, file: home.join(FILE).display().to_string() });
        }
        let says_so = SECRET_NAMES.iter().any(|end| name.to_ascii_uppercase().ends_with(end));
        if is_long && (is_marked || says_so) {
            secrets.push(value);
        }
    }
    Ok(secrets)
}

/// Reads lines of `KEY=VALUE`, `export KEY=VALUE` and `secret KEY=VALUE`. Empty lines, comments and what is no
/// assignment are left out.
fn parse(text: &str) -> Vec<Variable> {
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let marked = line.strip_prefix("secret ").map(str::trim_start);
            let line = marked.unwrap_or(line);
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            Some((name.trim(), value.trim(), marked.is_some()))
        })
        .filter(|(name, value, _)| is_name(name) && !value.contains('\0'))
        .map(|(name, value, is_marked)| {
            let (name, value) = (name.to_owned(), unquoted(value).to_owned());
            Variable { name, value, is_marked }
        })
        .collect()
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner;
        }
    }
    value
}

/// The folders in which programs are looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath(Vec<PathBuf>);

impl SearchPath {
    /// Returns the path for this process and home.
    pub fn of(home: &Home) -> Result<Self, HomeError> {
        Ok(Self::from(&Ambient::of_process().with_file(home)?))
    }

    /// Returns the path that follows from variables.
    pub fn from(ambient: &Ambient) -> Self {
        let mut folders: Vec<PathBuf> =
            ambient.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        // What is relative would depend on where an agent works.
        folders.retain(|folder| folder.is_absolute());
        if let Some(home) = ambient.person_home() {
            folders.extend(HOME_FOLDERS.map(|name| home.join(name)));
            folders.extend(newest_node(&home));
        }
        folders.extend(SYSTEM_FOLDERS.map(PathBuf::from));
        let mut seen = Vec::new();
        for folder in folders {
            if !seen.contains(&folder) && folder.is_dir() {
                seen.push(folder);
            }
        }
        Self(seen)
    }

    /// Returns exactly these folders.
    pub fn exactly(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(folders.into_iter().collect())
    }

    /// Looks for a program.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.0.iter().map(|folder| folder.join(name)).find(|path| is_program(path))
    }

    /// Returns it as the value of PATH, with `first` before it.
    pub fn joined(&self, first: Option<&Path>) -> String {
        let folders = first.into_iter().chain(self.0.iter().map(PathBuf::as_path));
        folders
            .filter_map(|folder| folder.to_str())
            .filter(|folder| !folder.contains(':'))
            .collect::<Vec<_>>()
            .join(":")
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// nvm keeps each version of Node in a folder of its own.
fn newest_node(home: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(home.join(".nvm/versions/node")).ok()?;
    let number = |name: &OsStr| -> Option<Vec<u32>> {
        let name = name.to_str()?.strip_prefix('v')?;
        name.split('.').map(|part| part.parse().ok()).collect()
    };
    versions
        .flatten()
        .filter_map(|entry| Some((number(&entry.file_name())?, entry.path().join("bin"))))
        .max()
        .map(|(_, folder)| folder)
}

/// What a run says of itself to the platform's verbs.
#[derive(Clone)]
pub struct RunVars<'a> {
    /// The server.
    pub server_url: &'a Url,
    /// The run.
    pub run_id: RunId,
    /// `crr_…`
    pub run_token: &'a str,
    /// How it is driven.
    pub form: RunForm,
    /// The agent's room and role.
    pub slot: &'a Slot,
    /// The folder that holds `chatroom`.
    pub bin: &'a Path,
}

/// Composes the whole environment of a run.
pub fn compose(ambient: &Ambient, run: &RunVars<'_>) -> Vec<(String, String)> {
    let mut env: BTreeMap<String, String> = ambient
        .0
        .iter()
        .filter(|(name, _)| !name.starts_with("CHATROOM_"))
        .filter(|(name, _)| !OUTER_MARKS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !env.contains_key("HOME")
        && let Some(home) = ambient.person_home().and_then(|home| home.into_os_string().into_string().ok())
    {
        env.insert("HOME".to_owned(), home);
    }
    let ours = [
        ("CHATROOM_URL", run.server_url.as_str().trim_end_matches('/').to_owned()),
        ("CHATROOM_RUN", run.run_id.to_string()),
        ("CHATROOM_RUN_TOKEN", run.run_token.to_owned()),
        ("CHATROOM_RUN_FORM", run.form.as_str().to_owned()),
        ("CHATROOM_ROOM", run.slot.chatroom_id.to_string()),
        ("CHATROOM_ROLE", run.slot.role.to_string()),
        ("PATH", SearchPath::from(ambient).joined(Some(run.bin))),
    ];
    let quiet = NOBODY_THERE.map(|(name, value)| (name, value.to_owned()));
    env.extend(quiet.into_iter().chain(ours).map(|(name, value)| (name.to_owned(), value)));
    env.into_iter().collect()
}
