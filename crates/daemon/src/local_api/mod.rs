//! The daemon's HTTP API, for the server through the tunnel and for this machine's own verbs on a local port.
//!
//! Every route but liveness demands the platform's credential: one layer over
//! the whole router, so a route added later has it too. On the local port a
//! browser could knock: there the name it used for us and the page it comes from
//! are checked as well.

mod agents;
mod body;
mod guard;
mod platform;
mod problem;
mod streams;
mod terminal;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use chatroom_protocol::api::machines::ToolFacts;
use jiff::Timestamp;
pub use streams::Streams;

use crate::commands::Commands;
use crate::home::Home;
use crate::journal::Journal;
use crate::link::LinkStatus;
use crate::orders::Orders;
use crate::runs::Runs;
use crate::trust::Trust;

/// A prompt of 100,000 characters fits, however they are escaped.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What the routes work with; cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// The home.
    pub home: Home,
    /// The journal.
    pub journal: Journal,
    /// The runs.
    pub runs: Runs,
    /// What they wrote, and what the journal has.
    pub streams: Streams,
    /// The commands.
    pub commands: Commands,
    /// How the connection to the server is.
    pub link: tokio::sync::watch::Receiver<LinkStatus>,
    /// What the server asks of the connection.
    pub orders: Orders,
    /// The tools found last.
    pub tools: tokio::sync::watch::Receiver<Vec<ToolFacts>>,
    /// The credential in force.
    pub trust: Trust,
    /// How often a daemon of this home started.
    pub epoch: u64,
    /// When this one started.
    pub started_at: Timestamp,
}

/// Every route: its path and the methods it takes.
pub const ROUTES: [(&str, &str); 17] = [
    ("GET", "/platform/live"),
    ("POST", "/platform/ping"),
    ("POST", "/platform/reconnect"),
    ("POST", "/platform/links"),
    ("GET", "/platform/status"),
    ("POST", "/platform/credential"),
    ("POST", "/platform/renewal"),
    ("GET", "/policy"),
    ("POST", "/commands"),
    ("GET", "/agents"),
    ("GET", "/agents/journal"),
    ("POST", "/agents/{run}/prompts"),
    ("POST", "/agents/{run}/prompts/{prompt}"),
    ("POST", "/agents/{run}/interrupt"),
    ("POST", "/agents/{run}/permissions/{permission}"),
    ("GET", "/agents/{run}/transcript"),
    ("POST", "/agents/{run}/terminal"),
];

/// Returns the API as the tunnel serves it.
pub fn router(api: Api) -> Router {
    let trust = api.trust.clone();
    Router::new()
        .route(guard::LIVE, get(platform::live))
        .route("/platform/ping", post(platform::ping))
        .route("/platform/reconnect", post(platform::reconnect))
        .route("/platform/links", post(platform::open_link))
        .route("/platform/status", get(platform::status))
        .route("/platform/credential", post(platform::credential))
        .route("/platform/renewal", post(platform::renewal))
        .route("/policy", get(platform::policy))
        .route("/commands", post(platform::command))
        .route("/agents", get(agents::list))
        .route("/agents/journal", get(streams::journal))
        .route("/agents/{run}/prompts", post(agents::prompt))
        .route("/agents/{run}/prompts/{prompt}", post(agents::change_prompt))
        .route("/agents/{run}/interrupt", post(agents::interrupt))
        .route("/agents/{run}/permissions/{permission}", post(agents::decide))
        .route("/agents/{run}/transcript", get(streams::transcript))
        .route("/agents/{run}/terminal", post(terminal::join))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(api)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(trust, guard::demand_platform))
}

/// Returns the API as the local port serves it.
pub fn local_router(api: Api) -> Router {
    router(api).layer(from_fn(guard::demand_local))
}
