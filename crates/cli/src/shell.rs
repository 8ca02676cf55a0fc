//! What this process was started with: read once, then passed on.
//!
//! A newcomer would get wrong: inside a run (`CHATROOM_RUN` is set) the verbs
//! speak as the agent, with the run's own token; whoever is signed in on this
//! computer does not matter there.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use chatroom_protocol::Tool;

/// The environment and the folder this process was started in.
pub struct Shell {
    env: HashMap<String, String>,
    /// The folder.
    pub cwd: PathBuf,
    /// The run around it, if there is one.
    pub run: Option<InRun>,
}

/// The run this process belongs to.
pub struct InRun {
    /// Its id.
    pub id: String,
    /// The server's address.
    pub url: String,
    /// What it proves itself with.
    pub token: String,
    /// Its room.
    pub room: String,
    /// Its role.
    pub role: String,
    /// Whether it is in a terminal, where it waits for its tasks itself.
    pub in_terminal: bool,
}

impl fmt::Debug for InRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InRun").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Variables by which an agent program marks the commands it runs.
const MARKS: [(&str, Tool); 5] = [
    ("CLAUDECODE", Tool::Claude),
    ("OPENCODE", Tool::Opencode),
    ("CURSOR_AGENT", Tool::Cursor),
    ("PI_CODING_AGENT", Tool::Pi),
    ("PI_SESSION_ID", Tool::Pi),
];

impl Shell {
    /// Reads the environment and the folder of this process.
    pub fn of_process() -> Result<Self> {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let cwd = std::env::current_dir().context("this folder cannot be read: it may have been removed")?;
        Self::new(env, cwd)
    }

    /// Takes an environment and a folder.
    pub fn new(env: HashMap<String, String>, cwd: PathBuf) -> Result<Self> {
        let mut shell = Self { env, cwd, run: None };
        if let Some(id) = shell.var("CHATROOM_RUN") {
            let needed = |name: &str| {
                shell.var(name).map(str::to_owned).ok_or_else(|| {
                    anyhow!("CHATROOM_RUN is set but {name} is not: this shell lost a part of its run's environment")
                })
            };
            shell.run = Some(InRun {
                id: id.to_owned(),
                url: needed("CHATROOM_URL")?,
                token: needed("CHATROOM_RUN_TOKEN")?,
                room: needed("CHATROOM_ROOM")?,
                role: needed("CHATROOM_ROLE")?,
                in_terminal: shell.var("CHATROOM_RUN_FORM") == Some("terminal"),
            });
        }
        Ok(shell)
    }

    /// Returns a variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the whole environment.
    pub fn env(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.env.iter().map(|(name, value)| (name.clone(), value.clone()))
    }

    /// Returns where this computer keeps what it knows: `CHATROOM_HOME`, else `~/.chatroom`.
    pub fn home(&self) -> Result<PathBuf> {
        if let Some(home) = self.var("CHATROOM_HOME") {
            let home = Path::new(home);
            if !home.is_absolute() {
                bail!("CHATROOM_HOME is {}, but must be an absolute path", home.display());
            }
            return Ok(home.to_owned());
        }
        let home = self.var("HOME").context("neither CHATROOM_HOME nor HOME is set; set CHATROOM_HOME")?;
        Ok(Path::new(home).join(".chatroom"))
    }

    /// Returns the agent program this shell belongs to, as far as its environment tells.
    pub fn tool(&self) -> Option<Tool> {
        MARKS.into_iter().find(|(name, _)| self.var(name).is_some_and(|value| value != "0")).map(|(_, tool)| tool)
    }

    /// Refuses inside a run what only the agent's user may do.
    pub fn owner_only(&self, verb: &str) -> Result<()> {
        match &self.run {
            None => Ok(()),
            Some(run) => bail!(
                "`chatroom {verb}` is for people: inside a run (you are `{}` in {}) an agent may speak, report \
                 progress and hand on, but not steer agents, machines or accounts",
                run.role,
                run.room
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(env: &[(&str, &str)]) -> Result<Shell> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Shell::new(env, PathBuf::from("/"))
    }

    #[test]
    fn the_tool_around_a_shell_is_seen_in_its_environment() {
        for (env, expected) in [
            (&[][..], None),
            (&[("CLAUDECODE", "1")], Some(Tool::Claude)),
            (&[("CLAUDECODE", "0")], None),
            (&[("CLAUDECODE", "")], None),
            (&[("OPENCODE", "1")], Some(Tool::Opencode)),
            (&[("CURSOR_AGENT", "1")], Some(Tool::Cursor)),
            (&[("PI_CODING_AGENT", "true")], Some(Tool::Pi)),
        ] {
            assert_eq!(shell(env).unwrap().tool(), expected, "{env:?}");
        }
    }

    #[test]
    fn half_a_run_is_an_error_that_names_what_is_missing() {
        let error = shell(&[("CHATROOM_RUN", "run_1"), ("CHATROOM_URL", "http://x")]).err().unwrap();
        assert!(error.to_string().contains("CHATROOM_RUN_TOKEN"), "{error}");
    }

    #[test]
    fn a_home_is_absolute() {
        assert!(shell(&[("CHATROOM_HOME", "here")]).unwrap().home().is_err());
        let home = shell(&[("HOME", "/home/ada")]).unwrap().home().unwrap();
        assert_eq!(home, Path::new("/home/ada/.chatroom"));
        assert!(shell(&[]).unwrap().home().is_err());
    }
}
