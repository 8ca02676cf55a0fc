//! What a browser is shown: the web app, and the few plain pages that must work without it.
//!
//! A newcomer would get wrong that a plain page must not say `Referrer-Policy: no-referrer`: browsers then
//! call the origin of what it sends `null`, and the guard refuses it.

mod app;
mod html;
mod sign_in;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, Method, StatusCode, header};

use crate::app::App;
use crate::error::Error;
pub(super) use html::{Page, escape};

/// What the addresses of the app begin with, as its router has them.
const ADDRESSES: [&str; 9] = ["", "account", "activity", "cli", "machines", "needs-you", "rooms", "sign-in", "sign-up"];

/// The pages that are not the app's.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/sign-in", get(sign_in::show)).route("/style.css", get(style))
}

/// The stylesheet of the plain pages.
async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("style.css"))
}

/// Answers where no route is: with a file of the app, with its page to a browser, with a problem to a program.
pub(super) async fn elsewhere(request: Request) -> Response {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || path.starts_with("/api/") {
        return Error::NotFound.into_response();
    }
    match chatroom_web::find(path.trim_start_matches('/')) {
        Some(asset) if path != "/index.html" => app::file(asset, request.headers()),
        _ if path == "/" || wants_page(request.headers()) => {
            let mut page = app::page(request.headers());
            let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            if page.status().is_success() && !ADDRESSES.contains(&first) {
                *page.status_mut() = StatusCode::NOT_FOUND;
            }
            page
        }
        _ => Error::NotFound.into_response(),
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// An error as a page.
struct PageError(Error);

impl<E: Into<Error>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let problem = self.0.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let request = problem.request_id.as_deref().unwrap_or("unknown");
        let body = format!(
            "<p>{}.</p><p class=\"quiet\">Code <code>{}</code> · request <code>{}</code></p><p><a href=\"/\">Start page</a></p>",
            escape(&problem.detail),
            problem.code.as_str(),
            escape(request),
        );
        let mut response = Page::new(&problem.title, body).status(status).into_response();
        self.0.add_headers(&mut response);
        response
    }
}
