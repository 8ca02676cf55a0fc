//! The connection to the server: dialled, served, and dialled again.
//!
//! A server that is away, or a credential that is missing, is waited for. The log
//! says so once in full, then once more in a line, then that it is over. A server
//! that said before that it leaves is expected back at once, without such words.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chatroom_protocol::{ErrorCode, PROTOCOL_VERSION, Problem};
use chatroom_tunnel::{Conn, Dial, DialError, Ended, Form, Proxies, dial};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::home::Home;
use crate::identity::Identity;
use crate::journal::Journal;
use crate::orders::Order;
use crate::trust::Trust;

/// What to do about a machine without a credential.
pub const NOT_REGISTERED: &str = "this machine is not registered with a server; sign in with `chatroom auth login`, \
     then run `chatroom machine daemon start`";
/// What to do about a machine whose home was used from two places.
pub const LOCKED: &str = "locked: this machine's home was used from two places, or an old copy of it was put back; if this \
     is the right computer, run `chatroom machine unlock` here, signed in; every other copy stays refused";
const REFUSED: &str = "the server refuses this machine's credential (it was renewed or revoked); signed in here, \
     `chatroom machine unlock` gives it a new one, or `chatroom machine add` on a signed-in computer prints a line: run that \
     line here to join again";

/// How often a missing or refused credential is looked at again.
const CREDENTIAL: Duration = Duration::from_secs(10);
/// How soon a refusal is looked at again the first time, before it counts as final.
const DOUBT: Duration = Duration::from_secs(2);
/// How often a server that wants another version is asked again.
const VERSION: Duration = Duration::from_mins(1);
/// A connection that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// How many connections for what is big may be open or closing.
const BULK: usize = 4;
const TICKET: HeaderName = HeaderName::from_static("chatroom-ticket");

/// How the connection is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whether it is up.
    pub connected: bool,
    /// What it waits for, or what last went wrong.
    pub trouble: Option<String>,
    /// What the server has said for good. A server that is away, or faulty, says nothing.
    pub verdict: Option<Verdict>,
}

/// What a server says of a machine it does not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its credential was renewed or revoked: twice in a row it was not known.
    Refused,
    /// Its home was used from two places.
    Locked,
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
    /// The credential in force.
    pub trust: Trust,
    /// Where it tells how it is.
    pub status: watch::Sender<LinkStatus>,
    /// How to check the server; by what this computer trusts when none is given.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Which proxies lead to it.
    pub proxies: Arc<Proxies>,
}

/// What came of one try.
enum Tried {
    /// Connected in some form, and it ended.
    Ended { why: String, was_good: bool, form: Form },
    /// Connected, and ended as the server had said it would.
    Left,
    /// Not connected; try again after a while of this kind.
    Failed { why: String, pause: Pause },
    /// The server does not let this machine in.
    Judged { why: &'static str, verdict: Verdict },
    /// A newer daemon of this machine is known to the server.
    Superseded,
}

enum Pause {
    Backoff,
    Fixed(Duration),
}

impl Link {
    /// Keeps the connection up until `stop`. Returns whether it gave up because a newer daemon took over.
    pub async fn run(self, mut orders: mpsc::Receiver<Order>, stop: CancellationToken) -> bool {
        let mut backoff = Backoff::default();
        let mut trouble = Trouble::default();
        let mut refusals = 0_u32;
        let mut form = Form::default();
        while !stop.is_cancelled() {
            let tried = tokio::select! {
                tried = self.try_once(form, &mut orders, &stop, &mut trouble) => tried,
                // The connection, once up, ends by itself: see `serve`.
                () = stop.cancelled(), if !self.status.borrow().connected => break,
            };
            refusals = if matches!(tried, Tried::Judged { verdict: Verdict::Refused, .. }) { refusals + 1 } else { 0 };
            let mut judged = None;
            let (why, pause) = match tried {
                Tried::Superseded => return true,
                Tried::Judged { why, verdict: Verdict::Refused } if refusals < 2 => (why.to_owned(), DOUBT),
                Tried::Judged { why, verdict } => {
                    judged = Some(verdict);
                    (why.to_owned(), CREDENTIAL)
                }
                Tried::Left => {
                    backoff.expect();
                    ("the server is restarting".to_owned(), backoff.next())
                }
                Tried::Ended { why, was_good, form: carried } => {
                    backoff.stop_expecting();
                    // What came up and was of no use may have been the form.
                    form = if was_good { carried } else { carried.other() };
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
            if !backoff.is_expecting() {
                trouble.tell(&why);
            }
            self.status.send_replace(LinkStatus { connected: false, trouble: Some(why), verdict: judged });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.trust.changed() => {}
                () = stop.cancelled() => {}
            }
        }
        self.status.send_modify(|status| status.connected = false);
        false
    }

    async fn try_once(
        &self,
        form: Form,
        orders: &mut mpsc::Receiver<Order>,
        stop: &CancellationToken,
        trouble: &mut Trouble,
    ) -> Tried {
        // What is shown must not change before the server has looked at it.
        let turn = self.trust.turn().await;
        if let Err(why) = self.begin_journal().await {
            return Tried::Failed { why, pause: Pause::Backoff };
        }
        let target = match self.target(form) {
            Ok(target) => target,
            Err(why) => return Tried::Failed { why, pause: Pause::Fixed(CREDENTIAL) },
        };
        let dialled = dial(&target).await;
        drop(turn);
        match dialled {
            Ok(conn) => self.serve(conn, orders, stop, trouble).await,
            Err(error) => refused(&error),
        }
    }

    async fn serve(
        &self,
        conn: Conn,
        orders: &mut mpsc::Receiver<Order>,
        stop: &CancellationToken,
        trouble: &mut Trouble,
    ) -> Tried {
        let form = conn.form();
        trouble.over(form);
        self.status.send_replace(LinkStatus { connected: true, trouble: None, verdict: None });
        let since = Instant::now();
        let mut leaves = false;
        // They end with this connection.
        let mut bulk = JoinSet::new();
        let mut serving = Box::pin(conn.serve(self.router.clone(), stop.clone().cancelled_owned()));
        let served = loop {
            tokio::select! {
                biased;
                Some(order) = orders.recv() => match order {
                    Order::Reconnect => leaves = true,
                    Order::Open { ticket } => self.open_bulk(&mut bulk, form, ticket),
                },
                Some(_) = bulk.join_next(), if !bulk.is_empty() => {}
                served = serving.as_mut() => break served,
            }
        };
        self.status.send_modify(|status| status.connected = false);
        while let Ok(order) = orders.try_recv() {
            leaves |= matches!(order, Order::Reconnect);
        }
        let why = match served {
            Ok(Ended::ShutDown) => "this daemon stops".to_owned(),
            _ if leaves => {
                tracing::info!("the server is restarting; this daemon reconnects");
                return Tried::Left;
            }
            Ok(Ended::ByPeer) => "the server closed the connection".to_owned(),
            Err(error) => error.to_string(),
        };
        Tried::Ended { why, was_good: since.elapsed() >= GOOD, form }
    }

    /// Opens a connection for what is big or slow. Nothing is lost if that fails: the server asks again.
    fn open_bulk(&self, bulk: &mut JoinSet<()>, form: Form, ticket: HeaderValue) {
        let Ok(mut target) = self.target(form) else { return };
        if bulk.len() >= BULK {
            tracing::info!("the server asks for more connections than this daemon opens");
            return;
        }
        target.headers.insert(TICKET, ticket);
        let router = self.router.clone();
        bulk.spawn(async move {
            match dial(&target).await {
                Ok(conn) => {
                    let ended = conn.serve(router, std::future::pending()).await;
                    tracing::debug!(?ended, "a connection for what is big ended");
                }
                Err(error) => tracing::info!(%error, "a connection for what is big could not be opened"),
            }
        });
    }

    /// Begins another journal for a credential the server has not given a count for yet, which is new.
    async fn begin_journal(&self) -> Result<(), String> {
        // One that cannot be read is told of by whoever needs it.
        let credentials = self.trust.read().ok().flatten();
        match credentials.filter(|credentials| credentials.renewal == 0) {
            Some(new) => self.journal.begin_for(&new.machine_token).await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Reads what is needed, each time anew: a credential may have been renewed.
    fn target(&self, form: Form) -> Result<Dial, String> {
        let credentials = self.trust.read().map_err(|error| error.to_string())?;
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
            ("chatroom-renewal", credentials.renewal.to_string()),
        ] {
            let value = HeaderValue::from_str(&value).map_err(|_| format!("{name} cannot be sent"))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", credentials.machine_token))
            .map_err(|_| "the machine's credential cannot be sent".to_owned())?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let proxies = Arc::clone(&self.proxies);
        Ok(Dial { headers, tls: self.tls.clone(), form, proxies, ..Dial::new(url) })
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
        (_, Some(ErrorCode::MachineLocked)) => Tried::Judged { why: LOCKED, verdict: Verdict::Locked },
        // Only our server's own word: something between us may refuse as well, and knows nothing of machines.
        (StatusCode::UNAUTHORIZED, Some(ErrorCode::NotSignedIn)) => {
            Tried::Judged { why: REFUSED, verdict: Verdict::Refused }
        }
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

    fn over(&mut self, form: Form) {
        let how = match form {
            Form::Upgrade => "connected",
            Form::WebSocket => "connected over a WebSocket, as nothing else gets through",
        };
        if self.last.take().is_some() {
            tracing::info!("reachable again: {how}");
        } else {
            tracing::info!("{how}");
        }
        self.times = 0;
    }
}
