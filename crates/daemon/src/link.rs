//! The connection to the server: dialled, served, and dialled again.
//!
//! A server that is away, or a credential that is missing, is waited for. The log
//! says so once in full, then once more in a line, then that it is over.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chatroom_protocol::{ErrorCode, PROTOCOL_VERSION, Problem};
use chatroom_tunnel::{Conn, Dial, DialError, dial};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::credentials::Credentials;
use crate::home::Home;
use crate::identity::Identity;
use crate::journal::Journal;
use crate::local_api::Platform;

/// What to do about a machine without a credential.
pub const NOT_REGISTERED: &str = "this machine is not registered with a server; sign in with `chatroom auth login`, \
     then run `chatroom machine daemon start`";
const REFUSED: &str = "the server refuses this machine's credential (it was renewed or revoked); `chatroom machine add` \
     on a signed-in computer prints a line: run that line here to join again";

/// How often a missing or refused credential is looked at again.
const CREDENTIAL: Duration = Duration::from_secs(10);
/// How often a server that wants another version is asked again.
const VERSION: Duration = Duration::from_mins(1);
/// A connection that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// How the connection is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whether it is up.
    pub connected: bool,
    /// What it waits for, or what last went wrong.
    pub trouble: Option<String>,
}

/// Keeps the connection up.
pub struct Link {
    /// The home.
    pub home: Home,
    /// The journal.
    pub journal: Journal,
    /// How often a daemon of this home started.
    pub epoch: u64,
    /// What the server asks through it.
    pub router: Router,
    /// The credential in force, for the router.
    pub platform: Platform,
    /// Where it tells how it is.
    pub status: watch::Sender<LinkStatus>,
    /// How to check the server; the public authorities when none is given.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// What came of one try.
enum Tried {
    /// Connected, and it ended.
    Ended { why: String, was_good: bool },
    /// Not connected; try again after a while of this kind.
    Failed { why: String, pause: Pause },
    /// A newer daemon of this machine is known to the server.
    Superseded,
}

enum Pause {
    Backoff,
    Fixed(Duration),
}

impl Link {
    /// Keeps the connection up until `stop`. Returns whether it gave up because a newer daemon took over.
    pub async fn run(self, stop: CancellationToken) -> bool {
        let mut backoff = Backoff::default();
        let mut trouble = Trouble::default();
        while !stop.is_cancelled() {
            let tried = tokio::select! {
                tried = self.try_once(&stop, &mut trouble) => tried,
                // The connection, once up, ends by itself: see `serve`.
                () = stop.cancelled(), if !self.status.borrow().connected => break,
            };
            let (why, pause) = match tried {
                Tried::Superseded => return true,
                Tried::Ended { why, was_good } => {
                    if was_good {
                        backoff.reset();
                    }
                    (why, backoff.next())
                }
                Tried::Failed { why, pause: Pause::Backoff } => (why, backoff.next()),
                Tried::Failed { why, pause: Pause::Fixed(pause) } => (why, pause),
            };
            if stop.is_cancelled() {
                break;
            }
            trouble.tell(&why);
            self.status.send_replace(LinkStatus { connected: false, trouble: Some(why) });
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        self.status.send_modify(|status| status.connected = false);
        false
    }

    async fn try_once(&self, stop: &CancellationToken, trouble: &mut Trouble) -> Tried {
        let target = match self.target() {
            Ok(target) => target,
            Err(why) => return Tried::Failed { why, pause: Pause::Fixed(CREDENTIAL) },
        };
        match dial(&target).await {
            Ok(conn) => self.serve(conn, stop, trouble).await,
            Err(error) => refused(&error),
        }
    }

    async fn serve(&self, conn: Conn, stop: &CancellationToken, trouble: &mut Trouble) -> Tried {
        trouble.over();
        self.status.send_replace(LinkStatus { connected: true, trouble: None });
        let since = Instant::now();
        let served = conn.serve(self.router.clone(), stop.clone().cancelled_owned()).await;
        self.status.send_modify(|status| status.connected = false);
        let why = match served {
            Ok(_) => "the server closed the connection".to_owned(),
            Err(error) => error.to_string(),
        };
        Tried::Ended { why, was_good: since.elapsed() >= GOOD }
    }

    /// Reads what is needed, each time anew: a credential may have been renewed.
    fn target(&self) -> Result<Dial, String> {
        let credentials = Credentials::load(&self.home).map_err(|error| error.to_string())?;
        self.platform.set(credentials.clone());
        let credentials = credentials.ok_or_else(|| NOT_REGISTERED.to_owned())?;
        let identity =
            Identity::load(&self.home).map_err(|error| error.to_string())?.ok_or_else(|| NOT_REGISTERED.to_owned())?;
        let base = credentials.server_url.as_str().trim_end_matches('/');
        let url = format!("{base}/api/tunnel").parse().map_err(|_| "the server's address cannot be read".to_owned())?;
        let mut headers = HeaderMap::new();
        let journal_id = self.journal.read(|state| state.journal_id.clone());
        for (name, value) in [
            ("chatroom-machine", identity.machine_id.to_string()),
            ("chatroom-epoch", self.epoch.to_string()),
            ("chatroom-protocol", PROTOCOL_VERSION.to_string()),
            ("chatroom-version", crate::VERSION.to_owned()),
            ("chatroom-journal", journal_id),
        ] {
            let value = HeaderValue::from_str(&value).map_err(|_| format!("{name} cannot be sent"))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", credentials.machine_token))
            .map_err(|_| "the machine's credential cannot be sent".to_owned())?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        Ok(Dial { headers, tls: self.tls.clone(), ..Dial::new(url) })
    }
}

fn refused(error: &DialError) -> Tried {
    let DialError::Refused { status, body, .. } = error else {
        let why = match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        return Tried::Failed { why, pause: Pause::Backoff };
    };
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let code = problem.as_ref().map(|problem| problem.code);
    let detail = problem.map_or_else(|| error.to_string(), |problem| problem.detail);
    match (*status, code) {
        (_, Some(ErrorCode::StaleEpoch)) => Tried::Superseded,
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            Tried::Failed { why: REFUSED.to_owned(), pause: Pause::Fixed(CREDENTIAL) }
        }
        (_, Some(ErrorCode::VersionGap)) => Tried::Failed { why: detail, pause: Pause::Fixed(VERSION) },
        _ => Tried::Failed { why: format!("the server refuses the connection: {detail}"), pause: Pause::Backoff },
    }
}

/// What the log has been told of one stretch without a connection.
#[derive(Debug, Default)]
struct Trouble {
    last: Option<String>,
    times: u32,
}

impl Trouble {
    fn tell(&mut self, why: &str) {
        if self.last.as_deref() != Some(why) {
            tracing::warn!("not connected: {why}; this daemon waits and tries again");
            self.last = Some(why.to_owned());
            self.times = 0;
        }
        self.times += 1;
        if self.times == 2 {
            tracing::warn!("still not connected; the next message comes when that changes");
        }
    }

    fn over(&mut self) {
        if self.last.take().is_some() {
            tracing::info!("reachable again: connected");
        } else {
            tracing::info!("connected");
        }
        self.times = 0;
    }
}
