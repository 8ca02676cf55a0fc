//! Signing in by a link that works once.

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::html::Page;
use super::{PageError, app};
use crate::accounts::codes;
use crate::app::App;
use crate::http::accounts::{label, signed_in_headers};

/// How one comes here.
#[derive(Deserialize)]
pub(super) struct Arrival {
    /// A link's code.
    code: Option<String>,
}

/// Follows a link; without one, the app asks for name and password.
pub(super) async fn show(
    headers: HeaderMap,
    State(app): State<App>,
    Query(arrival): Query<Arrival>,
) -> Result<Response, PageError> {
    let Some(code) = arrival.code else {
        return Ok(app::page(&headers));
    };
    // A page elsewhere must not be able to sign its visitors in as somebody else.
    let site = headers.get("sec-fetch-site").map(|site| site.to_str().unwrap_or_default());
    if !matches!(site, None | Some("none" | "same-origin")) {
        let body = "<p>A link on another page led here. To sign in, copy the link from the terminal and paste it into the address bar.</p>";
        let page = Page::new("Paste the link instead", body.to_owned());
        return Ok(page.status(StatusCode::FORBIDDEN).into_response());
    }
    let issued = codes::follow_link(&app, &code, label(&headers)).await?;
    let headers = signed_in_headers(&app, &issued)?;
    Ok((StatusCode::SEE_OTHER, headers, [(header::LOCATION, "/")]).into_response())
}
