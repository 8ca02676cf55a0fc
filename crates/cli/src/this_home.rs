//! This computer as the verbs need it: who is signed in, which machine it is, what it permits.
//!
//! A home belongs to one server. The same server has several names on its own
//! computer (`localhost`, `chatroom.localhost`); the one saved first is kept.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use chatroom_daemon::credentials::{self, Credentials};
use chatroom_daemon::detect;
use chatroom_daemon::env::SearchPath;
use chatroom_daemon::home::Home;
use chatroom_daemon::identity::Identity;
use chatroom_daemon::policy::Policy;
use chatroom_protocol::api::auth::IssuedSession;
use chatroom_protocol::api::machines::{MachineCredential, RegisterMachine, ToolFacts};
use chatroom_protocol::{MachineId, Role, RoomId, Tool};
use url::Url;

pub use chatroom_daemon::credentials::Auth;

use crate::client;
use crate::shell::Shell;

/// Opens the home of this shell.
pub fn open(shell: &Shell) -> Result<Home> {
    Ok(Home::open(shell.home()?)?)
}

/// Returns who is signed in here, if somebody is.
pub fn auth(shell: &Shell) -> Result<Option<Auth>> {
    Ok(Auth::load(&open(shell)?)?)
}

/// Saves who is signed in.
pub fn save_auth(shell: &Shell, url: &str, session: &IssuedSession) -> Result<()> {
    let home = open(shell)?;
    let auth = Auth {
        server_url: as_saved(&home, url)?,
        token: session.token.clone(),
        expires_at: session.expires_at,
        user_name: session.name.clone(),
    };
    Ok(auth.save(&home)?)
}

/// Forgets who is signed in.
pub fn remove_auth(shell: &Shell) -> Result<()> {
    Ok(Auth::remove(&open(shell)?)?)
}

/// Returns the address of the server for any verb: `CHATROOM_URL`, else the one this home belongs to.
pub fn server_url(shell: &Shell) -> Result<Option<String>> {
    if let Some(url) = shell.var("CHATROOM_URL") {
        return Ok(Some(plain(&client::parse(url)?)));
    }
    Ok(credentials::server(&open(shell)?)?.as_ref().map(plain))
}

/// Refuses another server than the one this home belongs to.
pub fn refuse_other_server(shell: &Shell, url: &str) -> Result<()> {
    let home = open(shell)?;
    match credentials::server(&home)? {
        Some(saved) if !client::same_server(saved.as_str(), url) => bail!(
            "{} belongs to {}, not to {url}; for another server set another CHATROOM_HOME",
            home.path().display(),
            plain(&saved)
        ),
        _ => Ok(()),
    }
}

/// Frees a home whose server was this computer itself, so that it may come back on another port.
pub fn leave_local_server(shell: &Shell) -> Result<()> {
    let home = open(shell)?;
    if credentials::server(&home)?.is_some_and(|saved| client::is_loopback(&saved)) {
        Credentials::remove(&home)?;
        Auth::remove(&home)?;
    }
    Ok(())
}

/// Returns an address as it is written in the home, if it leads to the same server.
fn as_saved(home: &Home, url: &str) -> Result<Url> {
    match credentials::server(home)? {
        Some(saved) if client::same_server(saved.as_str(), url) => Ok(saved),
        _ => client::parse(url),
    }
}

/// Writes an address without the slash at its end.
pub fn plain(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Returns the name of this computer.
pub fn hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "this computer".to_owned())
}

/// Returns the name of the account this process runs under.
pub fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map_or_else(|| "owner".to_owned(), |user| user.name)
}

/// Returns this computer's machine id, if it has one.
pub fn machine_id(shell: &Shell) -> Result<Option<MachineId>> {
    Ok(Identity::load(&open(shell)?)?.map(|identity| identity.machine_id))
}

/// This computer, identified.
pub struct ThisMachine {
    home: Home,
    identity: Identity,
    /// Its id.
    pub id: MachineId,
    /// The agent programs that were looked for.
    pub tools: Vec<ToolFacts>,
}

/// Looks for agent programs, and reads the identity of this computer or makes it.
pub async fn identify(shell: &Shell) -> Result<ThisMachine> {
    let home = open(shell)?;
    // First whether there is an identity to keep: a broken one is told before anything is looked for.
    Identity::load(&home)?;
    let tools = detect::detect(&SearchPath::of(&home)?).await;
    let identity = Identity::ensure(&home, &tools)?;
    Ok(ThisMachine { home, id: identity.machine_id, identity, tools })
}

impl ThisMachine {
    /// Returns what it registers as.
    pub fn registration(&self) -> RegisterMachine {
        RegisterMachine {
            hostname: self.identity.hostname.clone(),
            os: self.identity.os.clone(),
            available_tools: self.tools.clone(),
        }
    }

    /// Returns whether it can prove itself to its server.
    pub fn has_credential(&self) -> Result<bool> {
        Ok(Credentials::load(&self.home)?.is_some())
    }

    /// Saves the credential that `url` issued.
    pub fn save_credential(&self, url: &str, credential: &MachineCredential) -> Result<()> {
        let url = as_saved(&self.home, url)?;
        Ok(Credentials::issued(url, credential.clone()).save(&self.home)?)
    }

    /// Writes down that the server has just heard of it.
    pub fn synced(&self) -> Result<()> {
        Ok(Identity::synced(&self.home)?)
    }
}

/// Forgets the machine's credential.
pub fn remove_credential(shell: &Shell) -> Result<()> {
    Ok(Credentials::remove(&open(shell)?)?)
}

/// Writes down what was started here, and where.
pub fn record_start(shell: &Shell, room: RoomId, role: &Role, tool: Tool, dir: &Path) -> Result<()> {
    Ok(Identity::record_start(&open(shell)?, room, role, tool, dir)?)
}

/// Returns what this machine permits.
pub fn policy(shell: &Shell) -> Result<Policy> {
    Ok(Policy::load(&open(shell)?)?)
}

/// Lets agents work in a folder; returns its real path.
pub fn allow_directory(shell: &Shell, dir: &Path) -> Result<PathBuf> {
    Ok(Policy::allow_dir(&open(shell)?, dir)?)
}

/// Takes that back; returns whether it was permitted.
pub fn forbid_directory(shell: &Shell, dir: &Path) -> Result<bool> {
    Ok(Policy::disallow_dir(&open(shell)?, dir)?)
}

/// Lets agents be started in a terminal, or not.
pub fn allow_terminal(shell: &Shell, terminal: bool) -> Result<()> {
    Ok(Policy::set_terminal(&open(shell)?, terminal)?)
}

/// Trusts what projects in a folder bring along for agent programs; returns its real path.
pub fn trust_directory(shell: &Shell, dir: &Path) -> Result<PathBuf> {
    Ok(Policy::trust_dir(&open(shell)?, dir)?)
}

/// Takes that back; returns whether it was trusted.
pub fn distrust_directory(shell: &Shell, dir: &Path) -> Result<bool> {
    Ok(Policy::distrust_dir(&open(shell)?, dir)?)
}

/// Lets agents act without asking, or not.
pub fn allow_auto(shell: &Shell, auto: bool) -> Result<()> {
    Ok(Policy::set_auto(&open(shell)?, auto)?)
}
