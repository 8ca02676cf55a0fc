//! The Durable Streams protocol over HTTP, as an axum router.
//!
//! Who may do what is not its business: whoever mounts it decides that before a request gets here.

mod answer;
mod cors;
mod read;
mod request;
mod sse;
mod write;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
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
            ending: None,
        }
    }
}

/// What every request sees.
#[derive(Clone)]
struct Service {
    streams: Streams,
    clock: Clock,
    options: Arc<RouterOptions>,
    live: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

/// Where the streams are.
#[derive(Clone)]
enum Streams {
    /// In an engine, where they are written as well.
    Engine(Engine),
    /// Wherever this finds them, to be read.
    Found(Arc<Find>),
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
pub fn router(engine: Engine, options: RouterOptions) -> Router {
    let clock = engine.options().clock.clone();
    serving(Streams::Engine(engine), clock, options)
}

/// Serves streams that others write, such as [`Lines`](crate::Lines), to be read; `find` looks one up by its path.
pub fn read_only(
    find: impl Fn(&str) -> Result<Reader, Refusal> + Send + Sync + 'static,
    options: RouterOptions,
) -> Router {
    serving(Streams::Found(Arc::new(find)), Clock::system(), options)
}

fn serving(streams: Streams, clock: Clock, options: RouterOptions) -> Router {
    let route = format!("{}/{{*path}}", options.prefix);
    let service = Service {
        streams,
        clock,
        live: Arc::new(Semaphore::new(options.max_live)),
        files: Arc::new(Semaphore::new(OPEN_FILES)),
        options: Arc::new(options),
    };
    let router = Router::new().route(&route, axum::routing::any(serve)).fallback(nothing);
    let headers = axum::middleware::map_response_with_state(service.clone(), answer::finish);
    router.with_state(service).layer(headers)
}

async fn nothing() -> Response {
    answer::plain(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn serve(State(service): State<Service>, Path(path): Path<String>, request: Request) -> Response {
    if path.split('/').next() == Some(RESERVED) {
        return answer::plain(StatusCode::NOT_FOUND, "subscriptions are not offered");
    }
    let done = match (request.method().clone(), &service.streams) {
        (Method::PUT, Streams::Engine(engine)) => write::create(&service, engine, &path, request).await,
        (Method::POST, Streams::Engine(engine)) => write::append(engine, &path, request).await,
        (Method::DELETE, Streams::Engine(engine)) => write::delete(engine, &path).await,
        (Method::HEAD, _) => read::about(&service, &path),
        (Method::GET, _) => read::read(&service, &path, &request.into_parts().0).await,
        (Method::OPTIONS, _) if service.options.cors => Ok(cors::preflight()),
        _ => Ok(answer::wrong_method()),
    };
    done.unwrap_or_else(answer::Error::into_response)
}
