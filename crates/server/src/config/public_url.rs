//! The address people use.

use std::fmt;

use super::Purpose;

/// Scheme, host and port of the address people use; it has no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    https: bool,
    host: String,
    port: u16,
}

impl PublicUrl {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !plain || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self { https, host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// Returns the address used where nobody named one.
    pub(super) fn default_for(purpose: Purpose, https: bool, port: u16) -> Self {
        // A name of its own keeps the session's cookie from pages on other ports of `localhost`.
        let host = match purpose {
            Purpose::Up => "chatroom.localhost",
            Purpose::Server => "localhost",
        };
        Self { https, host: host.to_owned(), port }
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Returns whether it is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Returns the host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether a `Host` header names this address.
    pub fn is_named_by(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        let default = if self.https { 443 } else { 80 };
        port.unwrap_or(default) == self.port && name.eq_ignore_ascii_case(&self.host)
    }

    /// Returns the address of a path that begins with `/`.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

/// Splits `host:port`; the port is absent where it is not a number.
pub(crate) fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}

/// Writes it as browsers write an origin: without a default port, without a slash.
impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.https, self.port) {
            (true, 443) => write!(f, "https://{}", self.host),
            (false, 80) => write!(f, "http://{}", self.host),
            (true, port) => write!(f, "https://{}:{port}", self.host),
            (false, port) => write!(f, "http://{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_knows_its_names() {
        let url = PublicUrl::parse("https://Chat.Example.org/").unwrap();
        assert_eq!(url.to_string(), "https://chat.example.org");
        for (host, known) in [
            ("chat.example.org", true),
            ("CHAT.example.org:443", true),
            ("chat.example.org:8443", false),
            ("chat.example.org.evil.example", false),
            ("", false),
            ("chat.example.org:x", false),
        ] {
            assert_eq!(url.is_named_by(host), known, "{host}");
        }
        assert!(PublicUrl::parse("http://[::1]:9000").unwrap().is_named_by("[::1]:9000"));
        for bad in ["chat.example.org", "ftp://x", "https://x/y", "https://u:p@x", "https://x?y", ""] {
            assert_eq!(PublicUrl::parse(bad), None, "{bad}");
        }
    }
}
