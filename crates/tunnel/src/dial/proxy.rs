//! HTTP proxies on the way to a server, as the environment names them.

use std::fmt;
use std::str::FromStr as _;

use axum::body::Body;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use url::Url;

use super::connect::{connect, is_loopback};
use super::{Asked, DialError, ask, tls};
use crate::stream::BoxedStream;

/// Which proxy leads where.
///
/// The variables mean what they mean to other programs. What is on this computer
/// is never reached through a proxy.
#[derive(Default)]
pub struct Proxies {
    matcher: Option<Matcher>,
    http: String,
    https: String,
}

/// A proxy that leads to some address.
#[derive(Clone)]
pub struct Proxy {
    address: Url,
    login: Option<HeaderValue>,
}

impl fmt::Debug for Proxies {
    // Not derived: the addresses may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("any", &self.matcher.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.shown()).finish()
    }
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower case.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |name: &str| {
            let set = [name.to_owned(), name.to_lowercase()].into_iter().filter_map(|name| variable(&name));
            set.map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
        };
        let all = first("ALL_PROXY");
        let http = first("HTTP_PROXY").or_else(|| all.clone()).unwrap_or_default();
        let https = first("HTTPS_PROXY").or(all).unwrap_or_default();
        if http.is_empty() && https.is_empty() {
            return Self::default();
        }
        let no = first("NO_PROXY").unwrap_or_default();
        let matcher = Matcher::builder().http(http.clone()).https(https.clone()).no(no).build();
        Self { matcher: Some(matcher), http, https }
    }

    /// Returns the proxy that leads to `url`, if one does.
    pub fn to(&self, url: &Url) -> Option<Proxy> {
        if is_loopback(url) {
            return None;
        }
        let met = self.matcher.as_ref()?.intercept(&Uri::from_str(url.as_str()).ok()?)?;
        let named = if url.scheme() == "https" { &self.https } else { &self.http };
        let address = if named.contains("://") { Url::parse(named) } else { Url::parse(&format!("http://{named}")) };
        Some(Proxy { address: address.ok()?, login: met.basic_auth().cloned() })
    }
}

impl Proxy {
    /// Returns its address as it was given, with the password if there is one.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// Returns its address without user and password.
    fn shown(&self) -> String {
        let host = self.address.host_str().unwrap_or_default();
        let port = self.address.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", self.address.scheme())
    }

    fn failed(&self, why: impl Into<String>) -> DialError {
        DialError::Proxy { proxy: self.shown(), why: why.into() }
    }

    /// Opens a way through this proxy to the host of `url`.
    pub(super) async fn open(&self, url: &Url) -> Result<BoxedStream, DialError> {
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        let wanted = format!("{host}:{port}");
        if !matches!(self.address.scheme(), "http" | "https") {
            return Err(self.failed("only HTTP proxies can be used; name one that begins with http:// or https://"));
        }
        let tcp = connect(&self.address).await;
        let tcp: BoxedStream = Box::new(tcp.map_err(|error| self.failed(format!("it cannot be reached: {error}")))?);
        let stream = match self.address.scheme() {
            "https" => tls::secure(&self.address, None, tcp).await?,
            _ => tcp,
        };
        let mut request = Request::connect(&wanted)
            .header(HOST, &wanted)
            .body(Body::empty())
            .map_err(|_| self.failed(format!("it cannot be asked for {wanted}")))?;
        if let Some(login) = &self.login {
            request.headers_mut().insert(PROXY_AUTHORIZATION, login.clone());
        }
        let settle = async |asked: Asked| {
            let mut response = asked.map_err(|error| self.failed(format!("it gave no answer: {error}")))?;
            match response.status() {
                status if status.is_success() => {
                    let upgraded = hyper::upgrade::on(&mut response).await;
                    let stream = upgraded.map_err(|error| self.failed(format!("it broke off: {error}")))?;
                    Ok(Box::new(TokioIo::new(stream)) as BoxedStream)
                }
                StatusCode::PROXY_AUTHENTICATION_REQUIRED if self.login.is_none() => Err(self.failed(
                    "it wants a user and a password (status 407); put them into its address, as in http://user:password@host:port",
                )),
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    Err(self.failed("it refuses the user and password in its address (status 407); correct them"))
                }
                status => Err(self.failed(format!(
                    "it answered {status} when asked for {wanted}; allow that there, or name the host in NO_PROXY"
                ))),
            }
        };
        ask(stream, request, settle).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &'static [(&str, &str)]) -> Proxies {
        Proxies::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn to(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.to(&Url::parse(url).unwrap()).map(|proxy| proxy.shown())
    }

    #[test]
    fn the_variables_mean_what_they_mean_elsewhere() {
        let upper = proxies(&[
            ("HTTPS_PROXY", "http://user:secret@one.example:3128"),
            ("http_proxy", "two.example:8080"),
            ("NO_PROXY", "inside.example,10.0.0.0/8"),
        ]);
        assert_eq!(to(&upper, "https://server.example/x").as_deref(), Some("http://one.example:3128"));
        assert_eq!(to(&upper, "http://server.example:3000/").as_deref(), Some("http://two.example:8080"));
        for direct in ["https://inside.example", "https://a.inside.example", "http://10.1.2.3:80"] {
            assert_eq!(to(&upper, direct), None, "{direct}");
        }
        let proxy = upper.to(&Url::parse("https://server.example").unwrap()).unwrap();
        assert_eq!(proxy.login.as_ref().unwrap(), "Basic dXNlcjpzZWNyZXQ=");
        assert_eq!(proxy.address().password(), Some("secret"));

        let all = proxies(&[("all_proxy", "http://all.example:1")]);
        for url in ["http://a.example", "https://a.example"] {
            assert_eq!(to(&all, url).as_deref(), Some("http://all.example:1"));
        }
        assert_eq!(to(&proxies(&[("HTTPS_PROXY", ""), ("NO_PROXY", "*")]), "https://a.example"), None);
        let none = proxies(&[("ALL_PROXY", "http://all.example:1"), ("no_proxy", "*")]);
        assert_eq!(to(&none, "https://a.example"), None);
    }

    #[test]
    fn this_computer_is_reached_directly() {
        let all = proxies(&[("ALL_PROXY", "http://all.example:1")]);
        for url in ["http://localhost:3000", "https://chatroom.localhost", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert_eq!(to(&all, url), None, "{url}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let all = proxies(&[("ALL_PROXY", "http://user:secret@all.example:1")]);
        let proxy = all.to(&Url::parse("https://a.example").unwrap()).unwrap();
        for shown in [format!("{all:?}"), format!("{proxy:?}"), proxy.failed("x").to_string()] {
            assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
        }
    }
}
