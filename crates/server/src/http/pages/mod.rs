//! Plain pages: signing in and up, letting a CLI in, and what is there.
//!
//! No scripts: forms post to the address they came from. A newcomer would get
//! wrong that pages must not say `Referrer-Policy: no-referrer`: browsers then
//! call the origin of the page's own forms `null`, and the guard refuses them.

mod cli;
mod home;
mod html;
mod sign_in;
mod sign_up;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};

use crate::app::App;
use crate::error::Error;
pub(super) use html::{Page, escape};

/// The pages.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/sign-up", get(sign_up::show).post(sign_up::submit))
        .route("/cli", get(cli::show).post(cli::decide))
        .route("/style.css", get(style))
}

/// The one stylesheet.
async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("style.css"))
}

/// Answers where no route is: with a page to a browser, with a problem to a program.
pub(super) async fn nothing_here(request: Request) -> Response {
    let api = request.uri().path().starts_with("/api/");
    if !api && wants_page(request.headers()) {
        PageError(Error::NotFound).into_response()
    } else {
        Error::NotFound.into_response()
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

/// Sends a browser elsewhere, by GET.
fn see_other(path: &str, headers: HeaderMap) -> Response {
    (StatusCode::SEE_OTHER, headers, [(header::LOCATION, path.to_owned())]).into_response()
}
