//! `/metrics`: counts for Prometheus.
//!
//! Each server has a recorder of its own, so that several can live in one process.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, http::HeaderMap};
use chatroom_domain::secrets::TokenHash;
use http::header;
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::app::App;
use crate::error::Error;

static META: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
const SECONDS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 25.0, 60.0];

/// The counts of one server.
#[derive(Clone)]
pub(super) struct Meter(Arc<Inner>);

/// After so many requests their times are put into buckets, whether or not anybody reads the counts.
const UPKEEP: u64 = 4096;

struct Inner {
    recorder: PrometheusRecorder,
    counted: AtomicU64,
    began: Instant,
}

impl Meter {
    pub(super) fn new() -> Result<Self, Error> {
        let builder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .map_err(|error| Error::Internal(format!("metrics cannot be kept: {error}")))?;
        Ok(Self(Arc::new(Inner {
            recorder: builder.build_recorder(),
            counted: AtomicU64::new(0),
            began: Instant::now(),
        })))
    }

    pub(super) fn count(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = vec![
            Label::new("method", method.to_owned()),
            Label::new("route", route.to_owned()),
            Label::new("status", status.to_string()),
        ];
        let recorder = &self.0.recorder;
        let total = Key::from_parts("chatroom_http_requests_total", labels.clone());
        recorder.register_counter(&total, &META).increment(1);
        let seconds = Key::from_parts("chatroom_http_request_seconds", labels);
        recorder.register_histogram(&seconds, &META).record(took.as_secs_f64());
        // Until then every single time is kept.
        if self.0.counted.fetch_add(1, Ordering::Relaxed) % UPKEEP == UPKEEP - 1 {
            recorder.handle().run_upkeep();
        }
    }

    /// Counts a request that met a limit.
    pub(super) fn refused(&self, limit: &'static str) {
        let key = Key::from_parts("chatroom_refused_total", vec![Label::new("limit", limit)]);
        self.0.recorder.register_counter(&key, &META).increment(1);
    }

    fn render(&self, app: &App) -> String {
        let handle = self.0.recorder.handle();
        handle.run_upkeep();
        let mut text = handle.render();
        for (name, value) in [
            ("chatroom_descriptors_open", crate::descriptors::open().unwrap_or_default().to_string()),
            ("chatroom_descriptors_limit", crate::descriptors::limit().to_string()),
            ("chatroom_tunnels_open", app.links.len().to_string()),
            ("chatroom_tasks_running", app.tasks.len().to_string()),
            ("chatroom_uptime_seconds", self.0.began.elapsed().as_secs().to_string()),
        ] {
            let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
        }
        let _ = writeln!(text, "# TYPE chatroom_database_trouble gauge");
        let _ = writeln!(text, "chatroom_database_trouble {}", u8::from(app.health.trouble().is_some()));
        let _ = writeln!(text, "# TYPE chatroom_rows_forgotten_total counter");
        for (what, rows) in app.health.forgotten() {
            let _ = writeln!(text, "chatroom_rows_forgotten_total{{table=\"{what}\"}} {rows}");
        }
        text
    }
}

/// Shows the counts to this computer, or to who presents the token.
pub(super) async fn show(
    State(app): State<App>,
    Extension(meter): Extension<Meter>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let allowed = match (&app.config.metrics_token, bearer) {
        (Some(token), Some(given)) => TokenHash::of(token.expose()).matches(&TokenHash::of(given)),
        // A proxy on this computer speaks for others.
        _ => peer.ip().to_canonical().is_loopback() && !headers.contains_key("x-forwarded-for"),
    };
    if !allowed {
        return Err(Error::NotFound);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], meter.render(&app)).into_response())
}
