//! The settings of a server.
//!
//! A value comes from a flag, else from the environment, else from the file,
//! else it is the default; [`Config::print`] says which. Nothing here reads the
//! process environment: the caller passes it in.

mod network;
mod print;
mod public_url;
mod sources;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chatroom_store::Place;

pub use network::Network;
pub use public_url::PublicUrl;
pub(crate) use public_url::split_port;
pub use sources::{Flags, Source};

use sources::{Setting, Sources};

/// The port a server listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 8787;

/// The file in the data folder that says where the server was last reached.
const LAST_REACHED: &str = "public-url";

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it accepts connections.
    pub listen: SocketAddr,
    /// The folder of what it keeps: the embedded database, keys, its own settings.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Place,
    /// The address people use.
    pub public_url: PublicUrl,
    /// Certificate and key, where it speaks TLS itself.
    pub tls: Option<Tls>,
    /// The proxies whose word about the caller's address counts.
    pub trusted_proxy: Vec<Network>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whether anybody may sign up.
    pub open_sign_up: bool,
    /// How many days the event feed reaches back.
    pub event_retention_days: u32,
    /// How many days runs that are over are remembered, with their prompts and questions.
    pub run_retention_days: u32,
    /// The keys secrets are sealed with, the newest first; without them a key file is made.
    pub secret_keys: Option<Redacted>,
    /// What a reader of the metrics from another computer must present.
    pub metrics_token: Option<Redacted>,
    /// The program handed to computers that join, usually the one that runs.
    pub binary: Option<PathBuf>,
    sources: Sources,
}

/// Certificate and key of a server that speaks TLS itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// What the server is started for; it decides the default address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `chatroom up`: one person on one computer.
    Up,
    /// `chatroom server`.
    Server,
}

/// A setting that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted(String);

impl Redacted {
    /// Keeps a text from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Why the settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {why}")]
    File {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file names a setting that does not exist.
    #[error("{path} sets `{key}`, which is no setting; known are: {known}")]
    UnknownKey {
        /// Where the file is.
        path: String,
        /// What it sets.
        key: String,
        /// What it could set.
        known: String,
    },
    /// A value does not fit.
    #[error("`{key}` from {source_name} is {value:?}, but must be {rule}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Where the value comes from.
        source_name: String,
        /// The value, unless it is secret.
        value: String,
        /// What is accepted.
        rule: &'static str,
    },
    /// One of two settings that belong together is missing.
    #[error("`{present}` is set but `{missing}` is not; set both or neither")]
    Incomplete {
        /// What is set.
        present: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// There is no home to keep the data in.
    #[error("neither HOME nor CHATROOM_HOME is set; say where to keep the data with --data-dir")]
    NoHome,
}

impl Config {
    /// Reads the settings.
    pub fn load(
        purpose: Purpose,
        flags: Flags,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let sources = Sources::gather(flags, env)?;
        let ip: IpAddr = sources.listen_ip()?.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = sources.port()?.unwrap_or(DEFAULT_PORT);
        let listen = SocketAddr::new(ip, port);
        let data_dir = sources.data_dir().ok_or(ConfigError::NoHome)?;
        let database = match sources.text(Setting::Database) {
            None => Place::Sqlite(data_dir.join("chatroom.db")),
            Some(text) => match text.strip_prefix("sqlite://") {
                Some(path) if !path.is_empty() => Place::Sqlite(path.into()),
                _ if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                    Place::Postgres(text.to_owned())
                }
                _ => return Err(sources.refuse(Setting::Database, "postgres://… or sqlite://PATH")),
            },
        };
        let tls = match (sources.text(Setting::TlsCert), sources.text(Setting::TlsKey)) {
            (Some(cert), Some(key)) => Some(Tls { cert: cert.into(), key: key.into() }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::Incomplete { present: "tls_cert", missing: "tls_key" }),
            (None, Some(_)) => return Err(ConfigError::Incomplete { present: "tls_key", missing: "tls_cert" }),
        };
        let public_url = match sources.text(Setting::PublicUrl) {
            Some(text) => PublicUrl::parse(text).ok_or_else(|| {
                sources.refuse(Setting::PublicUrl, "http(s)://HOST[:PORT] without a path, a query or a user")
            })?,
            None => PublicUrl::default_for(purpose, tls.is_some(), port),
        };
        let trusted_proxy = sources
            .text(Setting::TrustedProxy)
            .map(|text| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Network::parse).collect())
            .transpose()
            .map_err(|()| sources.refuse(Setting::TrustedProxy, "IP addresses or networks such as 10.0.0.0/8"))?
            .unwrap_or_default();
        let log_format = match sources.text(Setting::LogFormat) {
            None | Some("pretty") => LogFormat::Pretty,
            Some("json") => LogFormat::Json,
            Some(_) => return Err(sources.refuse(Setting::LogFormat, "pretty or json")),
        };
        let open_sign_up = match sources.text(Setting::OpenSignUp) {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(sources.refuse(Setting::OpenSignUp, "true or false")),
        };
        let days = |setting, usual| match sources.text(setting) {
            None => Ok(usual),
            Some(text) => text
                .parse()
                .ok()
                .filter(|days| (1..=3650).contains(days))
                .ok_or_else(|| sources.refuse(setting, "a number of days from 1 to 3650")),
        };
        let event_retention_days = days(Setting::EventRetentionDays, 30)?;
        let run_retention_days = days(Setting::RunRetentionDays, 90)?;
        let metrics_token = sources.text(Setting::MetricsToken).map(Redacted::new);
        if metrics_token.as_ref().is_some_and(|token| token.expose().len() < 16) {
            return Err(sources.refuse(Setting::MetricsToken, "at least 16 characters"));
        }
        Ok(Self {
            listen,
            data_dir,
            database,
            public_url,
            tls,
            trusted_proxy,
            log_format,
            open_sign_up,
            event_retention_days,
            run_retention_days,
            secret_keys: sources.text(Setting::SecretKeys).map(Redacted::new),
            metrics_token,
            binary: sources.text(Setting::Binary).map(PathBuf::from),
            sources,
        })
    }

    /// Notes where the server really listens, which decides the address people use if nobody named one.
    pub(crate) fn bound(&mut self, address: SocketAddr) {
        if self.sources.text(Setting::PublicUrl).is_none() {
            self.public_url.set_port(address.port());
        }
        self.listen = address;
    }

    /// Takes the address a server of this folder was last reached at, if nobody named one.
    pub(crate) fn as_last_reached(&mut self) {
        let noted = std::fs::read_to_string(self.data_dir.join(LAST_REACHED)).ok();
        if self.sources.text(Setting::PublicUrl).is_none()
            && let Some(url) = noted.and_then(|text| PublicUrl::parse(text.trim()))
        {
            self.public_url = url;
        }
    }

    /// Notes the address people reach this server at, for the verbs of an operator.
    pub(crate) fn note_address(&self) {
        let path = self.data_dir.join(LAST_REACHED);
        if let Err(error) = std::fs::write(&path, format!("{}\n", self.public_url)) {
            tracing::warn!(%error, path = %path.display(), "the server's address cannot be noted; `chatroom admin` then needs --public-url");
        }
    }

    /// Returns whether people reach this server from this computer itself.
    pub fn on_loopback(&self) -> bool {
        self.listen.ip().is_loopback() || self.listen.ip().is_unspecified()
    }
}

#[cfg(test)]
mod tests;
