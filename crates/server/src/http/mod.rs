//! The HTTP edge: routes, who may call them, and what every request goes through.
//!
//! A handler reads, begins, acts, commits and answers; what it does lives in the
//! module of its noun. A newcomer would get wrong that the guard runs before any
//! route: a request with a foreign `Host` or `Origin` reaches no handler at all.

mod accounts;
mod agents;
pub mod caller;
mod commands;
mod docs;
mod edge;
mod error;
mod events;
mod guard;
mod health;
mod journals;
mod json;
mod machines;
mod meter;
mod openapi;
mod pages;
mod rooms;
mod search;
mod tasks;
mod transcripts;

pub use edge::ClientAddress;
pub use json::Json;
pub use openapi::description;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Extension, Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Error;
use edge::Edge;
use meter::Meter;

/// How large a body may be where a route does not say otherwise.
const BODY_LIMIT: usize = 1024 * 1024;

/// Every route of the API description.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(accounts::routes())
        .merge(events::routes())
        .merge(rooms::routes())
        .merge(search::routes())
        .merge(tasks::routes())
        .merge(machines::routes())
        .merge(commands::routes())
        .merge(agents::routes())
        .merge(transcripts::routes())
        .merge(journals::routes())
}

/// Returns everything the server answers.
pub fn router(app: App) -> Result<Router, Error> {
    let meter = Meter::new()?;
    let (api, mut description) = api().split_for_parts();
    openapi::name_operations(&mut description);
    let edge = Edge { app: app.clone(), meter: meter.clone() };
    Ok(api
        .merge(docs::routes(&description)?)
        .merge(pages::routes())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(meter::show))
        .fallback(pages::elsewhere)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(Extension(meter))
        .layer(middleware::from_fn_with_state(edge, edge::wrap))
        .with_state(app))
}
