//! How the daemon is, for people.

use std::time::Duration;

use chatroom_protocol::MachineId;
use chatroom_protocol::api::daemon::LiveRun;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::home::{Home, HomeError};
use crate::process::ProcessId;

/// The file that tells people, and [`query`], which process is the daemon. The lock decides, not this file.
const FILE: &str = "daemon.pid";
/// A daemon that does not answer in this time is told as such.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `daemon.pid` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PidFile {
    /// The process id.
    pub pid: u32,
    /// When that process started, in the machine's own count.
    pub start_time: u64,
    /// The local port.
    pub port: u16,
    /// When the daemon started.
    pub started_at: jiff::Timestamp,
    /// Whether it is on its way out.
    #[serde(default)]
    pub ending: bool,
}

impl PidFile {
    /// Reads it; `None` if no daemon runs.
    pub fn load(home: &Home) -> Option<Self> {
        let file: Self = home.read_json(FILE).ok()??.ok()?;
        file.process().is_alive().then_some(file)
    }

    /// Returns which process it names.
    pub fn process(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_time: self.start_time }
    }

    fn save(&self, home: &Home) -> Result<(), HomeError> {
        home.write(FILE, &serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The file of this process, for as long as it is the daemon.
#[derive(Debug)]
pub(crate) struct Told {
    home: Home,
    file: PidFile,
}

impl Told {
    /// Tells who the daemon is.
    pub(crate) fn write(home: &Home, port: u16, started_at: jiff::Timestamp) -> Result<Self, HomeError> {
        let own = ProcessId::own().map_err(|source| HomeError::Io { path: home.join(FILE), source })?;
        let ProcessId { pid, start_time } = own;
        let file = PidFile { pid, start_time, port, started_at, ending: false };
        file.save(home)?;
        Ok(Self { home: home.clone(), file })
    }

    /// Tells that it is on its way out.
    pub(crate) fn ending(&self) {
        // For people only: a daemon ends with a full disk as well.
        let _ = PidFile { ending: true, ..self.file.clone() }.save(&self.home);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // Whoever reads a stale one sees that its process is gone.
        let _ = self.home.remove(FILE);
    }
}

/// What a running daemon says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: jiff::Timestamp,
    /// Its version.
    pub version: String,
    /// How often a daemon of this home started.
    pub epoch: u64,
    /// The machine, once it has an identity.
    #[serde(default)]
    pub machine_id: Option<MachineId>,
    /// Its server, once it is registered there.
    #[serde(default)]
    pub server_url: Option<String>,
    /// Whether the tunnel is up.
    pub connected: bool,
    /// Whether the server has locked this machine.
    #[serde(default)]
    pub locked: bool,
    /// What it waits for, or what last went wrong.
    #[serde(default)]
    pub last_error: Option<String>,
    /// Its live agents.
    pub agents: Vec<LiveRun>,
}

/// Asks the daemon of this home how it is; `None` if none runs.
pub async fn query(home: &Home) -> Option<DaemonStatus> {
    let file = PidFile::load(home)?;
    let told = |last_error: &str| DaemonStatus {
        pid: file.pid,
        started_at: file.started_at,
        version: crate::VERSION.to_owned(),
        epoch: crate::epoch::current(home),
        machine_id: None,
        server_url: None,
        connected: false,
        locked: false,
        last_error: Some(last_error.to_owned()),
        agents: Vec::new(),
    };
    let mut shown = None;
    loop {
        let credentials = match Credentials::load(home) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Some(told(crate::link::NOT_REGISTERED)),
            Err(error) => return Some(told(&error.to_string())),
        };
        match ask(file.port, &credentials).await {
            Ok(status) => return Some(status),
            // It may have ended while it was asked.
            Err(_) if !file.process().is_alive() => return None,
            // The credential may have been replaced between reading it and asking.
            Err(error)
                if error.status() == Some(StatusCode::UNAUTHORIZED)
                    && shown.replace(credentials.platform_token.clone()) != Some(credentials.platform_token) => {}
            Err(error) => return Some(told(&format!("the daemon does not answer: {error}"))),
        }
    }
}

async fn ask(port: u16, credentials: &Credentials) -> Result<DaemonStatus, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()?
        .get(format!("http://127.0.0.1:{port}/platform/status"))
        .bearer_auth(&credentials.platform_token)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await
}
