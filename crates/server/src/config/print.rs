//! `--print-config`: what holds, and where each value comes from.

use std::fmt::Write as _;

use super::{Config, LogFormat, Setting};

impl Config {
    /// Writes the settings as a settings file, each with where it comes from; secrets are not shown.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for key in Setting::ALL {
            let source = self.sources.source(*key);
            let line = match self.value(*key) {
                Some(value) => format!("{} = {value}", key.name()),
                None => format!("# {} is not set", key.name()),
            };
            let _ = writeln!(text, "{line}  # {source}");
        }
        text
    }

    fn value(&self, key: Setting) -> Option<String> {
        let quoted = |text: String| toml::Value::String(text).to_string();
        let hidden = |set: bool| set.then(|| quoted("…".into()));
        Some(match key {
            Setting::Listen => quoted(self.listen.ip().to_string()),
            Setting::Port => self.listen.port().to_string(),
            Setting::DataDir => quoted(self.data_dir.display().to_string()),
            Setting::Database => quoted(match &self.database {
                chatroom_store::Place::Sqlite(path) => format!("sqlite://{}", path.display()),
                // Its own printing leaves the password out.
                postgres @ chatroom_store::Place::Postgres(_) => postgres.to_string(),
            }),
            Setting::PublicUrl => quoted(self.public_url.to_string()),
            Setting::TlsCert => quoted(self.tls.as_ref()?.cert.display().to_string()),
            Setting::TlsKey => quoted(self.tls.as_ref()?.key.display().to_string()),
            Setting::TrustedProxy => {
                let all = self.trusted_proxy.iter().map(|network| toml::Value::String(network.to_string()));
                toml::Value::Array(all.collect()).to_string()
            }
            Setting::LogFormat => quoted(match self.log_format {
                LogFormat::Pretty => "pretty".into(),
                LogFormat::Json => "json".into(),
            }),
            Setting::OpenSignUp => self.open_sign_up.to_string(),
            Setting::EventRetentionDays => self.event_retention_days.to_string(),
            Setting::RunRetentionDays => self.run_retention_days.to_string(),
            Setting::SecretKeys => return hidden(self.secret_keys.is_some()),
            Setting::MetricsToken => return hidden(self.metrics_token.is_some()),
            Setting::Binary => quoted(self.binary.as_ref()?.display().to_string()),
        })
    }
}
