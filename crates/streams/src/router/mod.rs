//! The Durable Streams protocol over HTTP, as an axum router.
//!
//! Who may do what is not its business: whoever mounts it decides that before a request gets here.

mod answer;
mod cors;
mod read;
mod request;
mod sse;
mod write;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode, Uri};
use tokio::sync::{Semaphore, watch};

use crate::{Clock, Engine, Reader, Refusal};

/// How many reads may have files open at once.
const OPEN_FILES: usize = 64;
/// The first part of a path that is reserved.
const RESERVED: &str = "__ds";

/// How the router behaves.
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// Below which path the streams are. Forks name their source by it.
    pub prefix: String,
    /// Whether pages of any origin may use it from a browser.
    pub cors: bool,
    /// How long a long poll waits.
    pub long_poll: Duration,
    /// After which time the connection of a live reader is ended, so that caches can share it.
    pub live: Duration,
    /// How many live readers and long polls there may be at once.
    pub max_live: usize,
    /// A live reader that was at the tail and falls so many bytes behind is ended; it resumes by offset.
    pub live_budget: u64,
    /// How long [`serve`](crate::serve) waits for the head of a request that has begun, and for each part of its body.
    pub patience: Duration,
    /// Becomes true when whoever waits must be let go: the server is about to end.
    pub ending: Option<watch::Receiver<bool>>,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            prefix: "/v1/stream".into(),
            cors: false,
            long_poll: Duration::from_secs(30),
            live: Duration::from_mins(1),
            max_live: 10_000,
            live_budget: 8 << 20,
            patience: Duration::from_secs(30),
            ending: None,
        }
    }
}

/// What every request sees: one thing to copy, for each request makes copies of it.
#[derive(Clone)]
pub(crate) struct Service(Arc<Shared>);

pub(crate) struct Shared {
    streams: Streams,
    clock: Clock,
    options: RouterOptions,
    live: Arc<Semaphore>,
    files: Semaphore,
}

impl Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Where the streams are.
enum Streams {
    /// In an engine, where they are written as well.
    Engine(Engine),
    /// Wherever this finds them, to be read.
    Found(Box<Find>),
}

/// Looks a stream up by its path.
type Find = dyn Fn(&str) -> Result<Reader, Refusal> + Send + Sync;

impl Streams {
    fn reader(&self, path: &str) -> Result<Reader, Refusal> {
        match self {
            Self::Engine(engine) => engine.reader(path),
            Self::Found(find) => find(path),
        }
    }
}

impl Service {
    fn new(streams: Streams, clock: Clock, options: RouterOptions) -> Self {
        let live = Arc::new(Semaphore::new(options.max_live));
        Self(Arc::new(Shared { streams, clock, live, files: Semaphore::new(OPEN_FILES), options }))
    }

    pub(crate) fn of_engine(engine: Engine, options: RouterOptions) -> Self {
        let clock = engine.options().clock.clone();
        Self::new(Streams::Engine(engine), clock, options)
    }

    /// Answers a request. It comes in a box: each function it is handed on to has room of its own for what it is given,
    /// for as long as the answer is waited for.
    pub(crate) async fn answer(&self, request: Box<Request>) -> Response {
        let mut response = match path(request.uri(), &self.options.prefix) {
            Some(Ok(path)) => at(self, &path, request).await,
            Some(Err(NotText)) => answer::plain(StatusCode::BAD_REQUEST, "the path is not text"),
            None => answer::plain(StatusCode::NOT_FOUND, "there is nothing at this path"),
        };
        answer::finish(&self.options, response.headers_mut());
        response
    }

    /// Returns how large a body may be.
    pub(crate) fn largest(&self) -> usize {
        match &self.streams {
            Streams::Engine(engine) => engine.options().max_body,
            Streams::Found(_) => 0,
        }
    }

    /// Returns how long a part of a request is waited for.
    pub(crate) fn patience(&self) -> Duration {
        self.options.patience
    }

    /// Answers a request whose body is larger.
    pub(crate) fn too_large(&self) -> Response {
        let mut response = answer::Error::from(Refusal::TooLarge(self.largest())).into_response();
        answer::finish(&self.options, response.headers_mut());
        response
    }

    /// Answers what is no request.
    pub(crate) fn refuse(&self, status: StatusCode, text: &str) -> Response {
        let mut response = answer::plain(status, text);
        answer::finish(&self.options, response.headers_mut());
        response
    }

    /// Waits until the server is about to end.
    async fn ending(&self) {
        if let Some(mut ending) = self.options.ending.clone()
            && ending.wait_for(|is_ending| *is_ending).await.is_ok()
        {
            return;
        }
        // Nobody says so: it ends by other means.
        std::future::pending::<()>().await;
    }
}

/// Serves the streams of an engine.
///
/// One handler for every path, and no layer around it: each would be one more box and copy for every append.
pub fn router(engine: Engine, options: RouterOptions) -> Router {
    routed(Service::of_engine(engine, options))
}

/// Serves streams that others write, such as [`Lines`](crate::Lines), to be read; `find` looks one up by its path.
pub fn read_only(
    find: impl Fn(&str) -> Result<Reader, Refusal> + Send + Sync + 'static,
    options: RouterOptions,
) -> Router {
    routed(Service::new(Streams::Found(Box::new(find)), Clock::system(), options))
}

fn routed(service: Service) -> Router {
    let answer = async |State(service): State<Service>, request: Request| service.answer(Box::new(request)).await;
    Router::new().fallback(answer).with_state(service)
}

/// A path whose percent signs stand for no text.
struct NotText;

/// Returns the path below `prefix`, if there is one.
fn path(uri: &Uri, prefix: &str) -> Option<Result<String, NotText>> {
    let path = uri.path().strip_prefix(prefix)?.strip_prefix('/').filter(|path| !path.is_empty())?;
    Some(request::decoded(path).ok_or(NotText))
}

async fn at(service: &Service, path: &str, request: Box<Request>) -> Response {
    if path.split('/').next() == Some(RESERVED) {
        return answer::plain(StatusCode::NOT_FOUND, "subscriptions are not offered");
    }
    // Most of those that wait are appends: what needs more room than they do is in a box.
    let done = match (request.method().clone(), &service.streams) {
        (Method::PUT, Streams::Engine(engine)) => Box::pin(write::create(service, engine, path, request)).await,
        (Method::POST, Streams::Engine(engine)) => write::append(engine, path, request).await,
        (Method::DELETE, Streams::Engine(engine)) => write::delete(engine, path).await,
        (Method::HEAD, _) => read::about(service, path),
        (Method::GET, _) => Box::pin(read::read(service, path, request)).await,
        (Method::OPTIONS, _) if service.options.cors => Ok(cors::preflight()),
        _ => Ok(answer::wrong_method()),
    };
    done.unwrap_or_else(answer::Error::into_response)
}
