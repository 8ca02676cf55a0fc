//! Where each setting comes from.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::ConfigError;

/// What the command line said. Every field is absent unless the person wrote it.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--listen IP[:PORT]`
    pub listen: Option<String>,
    /// `--port PORT`
    pub port: Option<u16>,
    /// `--data-dir DIR`
    pub data_dir: Option<PathBuf>,
    /// `--database URL`
    pub database: Option<String>,
    /// `--public-url URL`
    pub public_url: Option<String>,
    /// `--tls-cert FILE`
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key FILE`
    pub tls_key: Option<PathBuf>,
    /// `--trusted-proxy LIST`
    pub trusted_proxy: Option<String>,
    /// `--log-format pretty|json`
    pub log_format: Option<String>,
    /// `--open-sign-up`
    pub open_sign_up: Option<bool>,
    /// `--event-retention-days N`
    pub event_retention_days: Option<u32>,
    /// `--run-retention-days N`
    pub run_retention_days: Option<u32>,
    /// The program handed to computers that join; no flag, the caller knows it.
    pub binary: Option<PathBuf>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag(&'static str),
    /// The environment.
    Env(&'static str),
    /// The settings file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "the flag {name}"),
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

macro_rules! keys {
    ($($name:ident $key:literal $flag:literal $env:literal)*) => {
        /// A setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Setting { $($name),* }

        impl Setting {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in the settings file.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$name => $key),* }
            }

            fn flag(self) -> &'static str {
                match self { $(Self::$name => $flag),* }
            }

            fn env(self) -> &'static str {
                match self { $(Self::$name => $env),* }
            }
        }
    };
}

keys! {
    Listen "listen" "--listen" "CHATROOM_LISTEN"
    Port "port" "--port" "CHATROOM_PORT"
    DataDir "data_dir" "--data-dir" "CHATROOM_DATA_DIR"
    Database "database" "--database" "DATABASE_URL"
    PublicUrl "public_url" "--public-url" "CHATROOM_PUBLIC_URL"
    TlsCert "tls_cert" "--tls-cert" "CHATROOM_TLS_CERT"
    TlsKey "tls_key" "--tls-key" "CHATROOM_TLS_KEY"
    TrustedProxy "trusted_proxy" "--trusted-proxy" "CHATROOM_TRUSTED_PROXY"
    LogFormat "log_format" "--log-format" "CHATROOM_LOG_FORMAT"
    OpenSignUp "open_sign_up" "--open-sign-up" "CHATROOM_OPEN_SIGN_UP"
    EventRetentionDays "event_retention_days" "--event-retention-days" "CHATROOM_EVENT_RETENTION_DAYS"
    RunRetentionDays "run_retention_days" "--run-retention-days" "CHATROOM_RUN_RETENTION_DAYS"
    SecretKeys "secret_keys" "" "CHATROOM_SECRET_KEYS"
    MetricsToken "metrics_token" "" "CHATROOM_METRICS_TOKEN"
    Binary "binary" "(this program)" "CHATROOM_BINARY"
}

impl Setting {
    /// Whether its value is never shown.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::SecretKeys | Self::MetricsToken)
    }
}

/// Every value as it was written, with where.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    values: BTreeMap<Setting, (Redactable, Source)>,
    home: Option<PathBuf>,
}

/// A value that may be secret, so it is never printed as it is.
#[derive(Clone)]
struct Redactable(String);

impl fmt::Debug for Redactable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Sources {
    pub(super) fn gather(flags: Flags, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let env: HashMap<String, String> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let home = env
            .get("CHATROOM_HOME")
            .map(PathBuf::from)
            .or_else(|| env.get("HOME").map(|home| Path::new(home).join(".chatroom")));
        let mut sources = Self { values: BTreeMap::new(), home };
        let file = flags.config.clone();
        for (key, value) in from_flags(flags) {
            sources.values.insert(key, (Redactable(value), Source::Flag(key.flag())));
        }
        for key in Setting::ALL {
            let own = (*key == Setting::Database).then(|| env.get_key_value("CHATROOM_DATABASE_URL")).flatten();
            if let Some((_, value)) = own.or_else(|| env.get_key_value(key.env())) {
                let name = if own.is_some() { "CHATROOM_DATABASE_URL" } else { key.env() };
                sources.values.entry(*key).or_insert_with(|| (Redactable(value.clone()), Source::Env(name)));
            }
        }
        sources.read_file(file.as_deref())?;
        Ok(sources)
    }

    fn read_file(&mut self, named: Option<&Path>) -> Result<(), ConfigError> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => match self.data_dir() {
                Some(folder) => folder.join("server.toml"),
                None => return Ok(()),
            },
        };
        let bad = |why: String| ConfigError::File { path: path.display().to_string(), why };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(bad(error.to_string())),
        };
        // Only the message: the parser's own rendering quotes the line, which may hold a key.
        let table: toml::Table = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
        for (name, value) in table {
            let key = Setting::ALL.iter().copied().find(|key| key.name() == name);
            let key = key.ok_or_else(|| ConfigError::UnknownKey {
                path: path.display().to_string(),
                key: name.clone(),
                known: Setting::ALL.iter().map(|key| key.name()).collect::<Vec<_>>().join(", "),
            })?;
            let value = plain(&value)
                .ok_or_else(|| bad(format!("`{name}` must be text, a number, true or false, or a list of texts")))?;
            self.values.entry(key).or_insert_with(|| (Redactable(value), Source::File(path.clone())));
        }
        Ok(())
    }

    /// Returns a value as it was written.
    pub(super) fn text(&self, key: Setting) -> Option<&str> {
        self.values.get(&key).map(|(value, _)| value.0.as_str())
    }

    /// Returns where a value comes from.
    pub(super) fn source(&self, key: Setting) -> Source {
        self.values.get(&key).map_or(Source::Default, |(_, source)| source.clone())
    }

    pub(super) fn data_dir(&self) -> Option<PathBuf> {
        self.text(Setting::DataDir).map(PathBuf::from).or_else(|| Some(self.home.as_ref()?.join("server")))
    }

    pub(super) fn listen_ip(&self) -> Result<Option<IpAddr>, ConfigError> {
        Ok(self.listen()?.map(|(ip, _)| ip))
    }

    /// The port: said by itself, else with the address, whichever of the two is said closer to the person.
    pub(super) fn port(&self) -> Result<Option<u16>, ConfigError> {
        let with_address = self.listen()?.and_then(|(_, port)| port);
        let by_itself = self
            .text(Setting::Port)
            .map(|text| text.parse().map_err(|_| self.refuse(Setting::Port, "a number from 0 to 65535")))
            .transpose()?;
        let address_is_closer = rank(&self.source(Setting::Listen)) < rank(&self.source(Setting::Port));
        Ok(if address_is_closer { with_address.or(by_itself) } else { by_itself.or(with_address) })
    }

    fn listen(&self) -> Result<Option<(IpAddr, Option<u16>)>, ConfigError> {
        let Some(text) = self.text(Setting::Listen) else { return Ok(None) };
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Some((ip, None)));
        }
        let address: SocketAddr =
            text.parse().map_err(|_| self.refuse(Setting::Listen, "an IP address, with or without a port"))?;
        Ok(Some((address.ip(), Some(address.port()))))
    }

    pub(super) fn refuse(&self, key: Setting, rule: &'static str) -> ConfigError {
        let value = self.text(key).unwrap_or_default();
        // A database URL may hold a password.
        let hidden = key.is_secret() || key == Setting::Database;
        ConfigError::Value {
            key: key.name(),
            source_name: self.source(key).to_string(),
            value: if hidden { "…".to_owned() } else { value.to_owned() },
            rule,
        }
    }
}

fn rank(source: &Source) -> u8 {
    match source {
        Source::Flag(_) => 0,
        Source::Env(_) => 1,
        Source::File(_) => 2,
        Source::Default => 3,
    }
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(parts) => {
            let parts: Option<Vec<String>> = parts.iter().map(|part| part.as_str().map(str::to_owned)).collect();
            parts.map(|parts| parts.join(","))
        }
        _ => None,
    }
}

fn from_flags(flags: Flags) -> impl Iterator<Item = (Setting, String)> {
    let path = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
    [
        (Setting::Listen, flags.listen),
        (Setting::Port, flags.port.map(|port| port.to_string())),
        (Setting::DataDir, path(flags.data_dir)),
        (Setting::Database, flags.database),
        (Setting::PublicUrl, flags.public_url),
        (Setting::TlsCert, path(flags.tls_cert)),
        (Setting::TlsKey, path(flags.tls_key)),
        (Setting::TrustedProxy, flags.trusted_proxy),
        (Setting::LogFormat, flags.log_format),
        (Setting::OpenSignUp, flags.open_sign_up.map(|open| open.to_string())),
        (Setting::EventRetentionDays, flags.event_retention_days.map(|days| days.to_string())),
        (Setting::RunRetentionDays, flags.run_retention_days.map(|days| days.to_string())),
        (Setting::Binary, path(flags.binary)),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.map(|value| (key, value)))
}
