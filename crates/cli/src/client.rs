//! The typed client of the server's API.
//!
//! It tells apart what needs different deeds of its caller: a server that cannot
//! be reached, a person who is not signed in, and a request that was refused. A
//! request is repeated only where repeating it is harmless, or where it never
//! left this computer.

mod accounts;
mod agents;
mod events;
mod machines;
pub mod rooms;
mod tasks;
mod terminal;
mod transcripts;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use chatroom_protocol::{ErrorCode, Problem};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::output;
use crate::shell::Shell;
use crate::this_home;

/// How long an answer may take where the server does not wait for something.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses before a request is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer came.
    #[error("cannot reach {url}: {why}. Check that the server runs, and the address (CHATROOM_URL sets another)")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What went wrong on the way.
        why: String,
    },
    /// The credential is missing or no longer good.
    #[error("{0} (not_signed_in)")]
    NotSignedIn(String),
    /// The server refused, and said why.
    #[error("{}", sentence(.0))]
    Refused(Box<Problem>),
    /// Something answered, but not as our server does.
    #[error("{url} answered {status}, and not as a chatroom server does")]
    NotOurs {
        /// The server's address.
        url: String,
        /// The status.
        status: StatusCode,
    },
}

impl ApiError {
    /// Returns the server's code, if the server refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            Self::NotSignedIn(_) => Some(ErrorCode::NotSignedIn),
            Self::Unreachable { .. } | Self::NotOurs { .. } => None,
        }
    }

    /// Returns whether the same request may well work in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::NotOurs { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(problem) => {
                matches!(problem.code, ErrorCode::ShuttingDown | ErrorCode::TooManyRequests | ErrorCode::Internal)
                    || matches!(problem.status, 502..=504)
            }
            Self::NotSignedIn(_) => false,
        }
    }
}

/// Makes one sentence and its code of a problem document.
fn sentence(problem: &Problem) -> String {
    let mut text = output::one_line(&problem.detail);
    if text.is_empty() {
        text.clone_from(&problem.title);
    }
    if let Some(state) = problem.state.as_ref().filter(|state| !text.contains(state.as_str())) {
        text = format!("{text}; it is {}", output::one_line(state));
    }
    if problem.allowed.iter().any(|name| !text.contains(name.as_str())) {
        text = format!("{text}; possible: {}", output::one_line(&problem.allowed.join(", ")));
    }
    let code = problem.code.as_str();
    match &problem.request_id {
        Some(id) if problem.code == ErrorCode::Internal => {
            format!("{text} ({code}, request {})", output::one_line(id))
        }
        _ => format!("{text} ({code})"),
    }
}

/// Whether a request may be sent again when no answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A second one changes nothing.
    Harmless,
    /// Only if the first one never left.
    Never,
}

/// Whose credential goes along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Person,
    Run,
}

/// A connection to one server.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    who: Who,
}

impl Client {
    /// Speaks as the run this shell belongs to, else as the signed-in person.
    pub fn caller(shell: &Shell) -> Result<Self> {
        match &shell.run {
            None => Self::person(shell),
            Some(run) => Self::new(&run.url, Some(run.token.clone()), Who::Run),
        }
    }

    /// Speaks as the signed-in person.
    pub fn person(shell: &Shell) -> Result<Self> {
        let auth = this_home::auth(shell)?;
        let Some(auth) = auth else {
            let url = this_home::server_url(shell)?.unwrap_or_default();
            let whom = if url.is_empty() { String::new() } else { format!(" to {url}") };
            return Err(ApiError::NotSignedIn(format!("not signed in{whom}: run `chatroom auth login`")).into());
        };
        if let Some(url) = shell.var("CHATROOM_URL")
            && !same_server(url, auth.server_url.as_str())
        {
            // The session of one server is never shown to another.
            return Err(ApiError::NotSignedIn(format!(
                "not signed in to {url}: {} belongs to {}; for another server set another CHATROOM_HOME, then run \
                 `chatroom auth login`",
                shell.home()?.display(),
                this_home::plain(&auth.server_url)
            ))
            .into());
        }
        let url = shell.var("CHATROOM_URL").unwrap_or(auth.server_url.as_str()).to_owned();
        Self::new(&url, Some(auth.token), Who::Person)
    }

    /// Speaks as nobody.
    pub fn anonymous(url: &str) -> Result<Self> {
        Self::new(url, None, Who::Nobody)
    }

    /// Speaks as the person a session belongs to.
    pub fn with_session(url: &str, token: String) -> Result<Self> {
        Self::new(url, Some(token), Who::Person)
    }

    fn new(url: &str, token: Option<String>, who: Who) -> Result<Self> {
        let base = parse(url)?;
        Ok(Self { http: Self::builder(&base).build()?, base, token, who })
    }

    fn builder(base: &Url) -> reqwest::ClientBuilder {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("chatroom/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        if let Some(Host::Domain(host)) = base.host()
            && host.ends_with(".localhost")
        {
            // Browsers know such names; a resolver may not.
            let port = base.port_or_known_default().unwrap_or(80);
            let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            builder = builder.resolve_to_addrs(host, &addresses.map(|ip| SocketAddr::new(ip, port)));
        }
        builder
    }

    /// Returns the server's address.
    pub fn url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let response = self.send(Method::GET, path, None::<&()>, Again::Harmless, PATIENCE).await?;
        self.read(response).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let response = self.send(Method::PUT, path, Some(body), Again::Harmless, PATIENCE).await?;
        self.read(response).await
    }

    async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let response = self.send(Method::PATCH, path, Some(body), Again::Harmless, PATIENCE).await?;
        self.read(response).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, again: Again) -> Result<T, ApiError> {
        let response = self.send(Method::POST, path, Some(body), again, PATIENCE).await?;
        self.read(response).await
    }

    /// Sends a request whose answer says nothing beyond that it was done.
    async fn done(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<(), ApiError> {
        self.send(method, path, body, Again::Harmless, PATIENCE).await.map(drop)
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ApiError> {
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|_| ApiError::NotOurs { url: self.url(), status })
    }

    /// Begins a request with the credential that goes along.
    fn begin(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url()));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request, and again where that helps; the answer's status is one of success.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        again: Again,
        patience: Duration,
    ) -> Result<Response, ApiError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let mut request = self.begin(method.clone(), path).timeout(patience);
            if let Some(body) = body {
                request = request.json(body);
            }
            let error = match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let error = self.problem(response).await;
                    let gateway =
                        matches!(&error, ApiError::NotOurs { status, .. } if matches!(status.as_u16(), 502..=504));
                    if !gateway || again == Again::Never {
                        return Err(error);
                    }
                    error
                }
                Err(error) => {
                    let unreachable = self.unreachable(&error);
                    if again == Again::Never && !error.is_connect() {
                        return Err(unreachable);
                    }
                    unreachable
                }
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn problem(&self, response: Response) -> ApiError {
        let status = response.status();
        let bytes = response.bytes().await.unwrap_or_default();
        let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) else {
            return ApiError::NotOurs { url: self.url(), status };
        };
        if problem.code != ErrorCode::NotSignedIn {
            return ApiError::Refused(Box::new(problem));
        }
        ApiError::NotSignedIn(match self.who {
            Who::Person => format!("not signed in to {}: run `chatroom auth login`", self.url()),
            Who::Run => "this run's token is no longer good: the run is over, or its machine was away for long".into(),
            Who::Nobody => output::one_line(&problem.detail),
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        // The outermost words only repeat the address; the innermost say what happened.
        let mut why: &(dyn std::error::Error + 'static) = error;
        while let Some(source) = why.source() {
            why = source;
        }
        let why = if error.is_timeout() {
            "no answer in time".to_owned()
        } else if is_untrusted(why) {
            format!(
                "{why}; if an authority of your own signed its certificate, add that authority's to this computer's \
                 store, or name a file that holds it in the variable SSL_CERT_FILE"
            )
        } else {
            why.to_string()
        };
        ApiError::Unreachable { url: self.url(), why }
    }
}

/// Returns whether this is about a certificate nobody here vouches for.
fn is_untrusted(why: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::CertificateError::{Other, UnknownIssuer};
    let inner = why.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let told = why.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
    matches!(told, Some(rustls::Error::InvalidCertificate(UnknownIssuer | Other(_))))
}

/// Reads a server's address.
pub fn parse(url: &str) -> Result<Url> {
    let parsed = Url::parse(url).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
    });
    match parsed {
        Some(url) => Ok(url),
        None => bail!("{url:?} is no server address: it looks like https://HOST or http://HOST:PORT"),
    }
}

/// Returns whether two addresses lead to the same server; this computer itself has several names.
pub fn same_server(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (parse(one), parse(other)) else { return false };
    let here = is_loopback(&one) && is_loopback(&other);
    one.scheme() == other.scheme()
        && one.port_or_known_default() == other.port_or_known_default()
        && (one.host() == other.host() || here)
}

/// Returns whether an address leads to this computer itself.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_shown_to_its_own_server_only() {
        for (one, other, same) in [
            ("http://localhost:8787", "http://chatroom.localhost:8787/", true),
            ("http://127.0.0.1:8787", "http://localhost:8787", true),
            ("http://localhost:8787", "http://localhost:8788", false),
            ("https://a.example", "https://a.example:443", true),
            ("https://a.example", "http://a.example:443", false),
            ("https://a.example", "https://b.example", false),
            ("https://a.example", "https://a.example.evil.example", false),
            ("https://a.example", "nonsense", false),
        ] {
            assert_eq!(same_server(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn an_address_is_a_plain_origin() {
        for bad in ["example.org", "ftp://a", "http://u:p@a", "http://a/b", "http://a?b", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_problem_is_one_sentence_with_its_code() {
        let problem = Problem {
            kind: "about:blank".into(),
            title: "Conflict".into(),
            status: 422,
            code: ErrorCode::UnknownRole,
            detail: "the room has no role `x`".into(),
            request_id: None,
            allowed: vec!["builder".into(), "reviewer".into()],
            state: None,
        };
        assert_eq!(sentence(&problem), "the room has no role `x`; possible: builder, reviewer (unknown_role)");
    }
}
