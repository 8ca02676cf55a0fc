//! Who this machine is: `machine.json`, with exactly the fields people know.
//!
//! The id is made once. A file that cannot be read is an error that says what to
//! do and never a reason for a new identity: the server knows this machine by
//! it. Process state is never written here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chatroom_protocol::api::machines::{ToolFacts, ToolPresence};
use chatroom_protocol::{MachineId, Role, RoomId, Tool};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::home::{Home, HomeError};

const FILE: &str = "machine.json";

/// Why there is no identity to work with.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The file is not an identity of this program.
    #[error(
        "{} is not a machine identity this version can read ({why}); restore it from a backup, \
         or move it away to register this computer as a new machine, or set CHATROOM_HOME to another folder",
        .path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file was made on another system.
    #[error(
        "{} was made on {made_on}, and this is {this}: it belongs to another computer; move it away to \
         register this one as a new machine, or set CHATROOM_HOME to another folder",
        .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The system it names.
        made_on: String,
        /// The system this is.
        this: &'static str,
    },
}

/// The content of `machine.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// Made once.
    pub machine_id: MachineId,
    /// As it was when the identity was made.
    pub hostname: String,
    /// `linux`, `darwin` or `win32`.
    pub os: String,
    /// When the identity was made.
    pub registered_at: Timestamp,
    /// When the server last heard of it.
    pub last_synced_at: Timestamp,
    /// The tools found on this machine.
    pub available_tools: Vec<Tool>,
    /// The last start of each agent, by room and role.
    pub chatroom_agents: BTreeMap<RoomId, BTreeMap<Role, AgentContext>>,
}

/// How an agent was last started here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentContext {
    /// With which tool.
    pub agent_type: Tool,
    /// Where.
    pub working_dir: PathBuf,
    /// When.
    pub last_started_at: Timestamp,
}

impl Identity {
    /// Reads the identity; `None` if this home never had one.
    pub fn load(home: &Home) -> Result<Option<Self>, IdentityError> {
        let path = home.join(FILE);
        let Some(read) = home.read_json::<Self>(FILE)? else {
            return Ok(None);
        };
        let identity =
            read.map_err(|error| IdentityError::Unreadable { path: path.clone(), why: error.to_string() })?;
        if identity.os != os() {
            return Err(IdentityError::Foreign { path, made_on: identity.os, this: os() });
        }
        Ok(Some(identity))
    }

    /// Reads the identity or makes it, and writes down the tools found.
    ///
    /// However many processes do this at once, one id comes of it.
    pub fn ensure(home: &Home, tools: &[ToolFacts]) -> Result<Self, IdentityError> {
        let _lock = home.lock()?;
        let available_tools: Vec<Tool> =
            tools.iter().filter(|facts| facts.presence == ToolPresence::Installed).map(|facts| facts.tool).collect();
        let identity = match Self::load(home)? {
            Some(known) if known.available_tools == available_tools => return Ok(known),
            Some(known) => Self { available_tools, ..known },
            None => Self {
                machine_id: MachineId(Uuid::new_v4()),
                hostname: hostname(),
                os: os().to_owned(),
                registered_at: now(),
                last_synced_at: now(),
                available_tools,
                chatroom_agents: BTreeMap::new(),
            },
        };
        identity.save(home)?;
        Ok(identity)
    }

    /// Writes down that an agent is started here now.
    pub fn record_start(
        home: &Home,
        room: RoomId,
        role: &Role,
        tool: Tool,
        working_dir: &Path,
    ) -> Result<(), IdentityError> {
        Self::change(home, |identity| {
            let context =
                AgentContext { agent_type: tool, working_dir: working_dir.to_owned(), last_started_at: now() };
            let roles = identity.chatroom_agents.entry(room).or_default();
            roles.insert(role.clone(), context);
        })
    }

    /// Writes down that the server has just heard of this machine.
    pub fn synced(home: &Home) -> Result<(), IdentityError> {
        Self::change(home, |identity| identity.last_synced_at = now())
    }

    fn change(home: &Home, change: impl FnOnce(&mut Self)) -> Result<(), IdentityError> {
        let _lock = home.lock()?;
        // Without an identity there is nothing to write down about it.
        if let Some(mut identity) = Self::load(home)? {
            change(&mut identity);
            identity.save(home)?;
        }
        Ok(())
    }

    fn save(&self, home: &Home) -> Result<(), IdentityError> {
        let mut content = serde_json::to_vec_pretty(self)
            .map_err(|error| IdentityError::Unreadable { path: home.join(FILE), why: error.to_string() })?;
        content.push(b'\n');
        Ok(home.write(FILE, &content)?)
    }
}

/// Returns the word for this system.
pub fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The present moment, in milliseconds as everywhere.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
