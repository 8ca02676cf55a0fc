//! Signing in by form or by a link that works once, and signing out.

use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::api::auth::SignIn;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::html::{Page, alert, escape};
use super::{PageError, see_other};
use crate::accounts::{self, codes, sessions};
use crate::app::App;
use crate::error::Error;
use crate::http::ClientAddress;
use crate::http::accounts::{label, signed_in_headers, signed_out_headers};
use crate::http::caller::Person;

/// How one comes here.
#[derive(Deserialize)]
pub(super) struct Arrival {
    /// A link's code.
    code: Option<String>,
    /// The user code of a CLI that waits for approval.
    device: Option<String>,
}

/// Shows the form, or follows a link.
pub(super) async fn show(
    headers: HeaderMap,
    State(app): State<App>,
    Query(arrival): Query<Arrival>,
) -> Result<Response, PageError> {
    let Some(code) = arrival.code else {
        return Ok(form(arrival.device.as_deref(), "", None).into_response());
    };
    // A page elsewhere must not be able to sign its visitors in as somebody else.
    let site = headers.get("sec-fetch-site").map(|site| site.to_str().unwrap_or_default());
    if !matches!(site, None | Some("none" | "same-origin")) {
        let body = "<p>A link on another page led here. To sign in, copy the link from the terminal and paste it into the address bar.</p>";
        let page = Page::new("Paste the link instead", body.to_owned());
        return Ok(page.status(StatusCode::FORBIDDEN).into_response());
    }
    let issued = codes::follow_link(&app, &code, label(&headers)).await?;
    Ok(see_other("/", signed_in_headers(&app, &issued)?))
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Filled {
    email: String,
    password: String,
    device: Option<String>,
}

/// Signs in.
pub(super) async fn submit(
    from: ClientAddress,
    headers: HeaderMap,
    State(app): State<App>,
    Form(filled): Form<Filled>,
) -> Result<Response, PageError> {
    let device = filled.device.filter(|code| !code.is_empty());
    let body = SignIn { email: filled.email.clone(), password: filled.password };
    match accounts::sign_in(&app, from.0, label(&headers), body).await {
        Ok(issued) => {
            let path = device.map_or_else(|| "/".to_owned(), |code| super::cli::path(&code));
            Ok(see_other(&path, signed_in_headers(&app, &issued)?))
        }
        Err(Error::Account(refused)) => {
            let error = Error::Account(refused);
            let page = form(device.as_deref(), &filled.email, Some(&error.to_string())).status(error.parts().0);
            let mut response = page.into_response();
            error.add_headers(&mut response);
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// Signs out.
pub(super) async fn sign_out(person: Option<Person>, State(app): State<App>) -> Result<Response, PageError> {
    if let Some(person) = person {
        let mut work = app.begin().await?;
        sessions::revoke(&mut work, person.user, person.session).await?;
        work.commit().await?;
    }
    Ok(see_other("/", signed_out_headers(&app)?))
}

fn form(device: Option<&str>, email: &str, wrong: Option<&str>) -> Page {
    let device = device
        .map(|code| format!("<input type=\"hidden\" name=\"device\" value=\"{}\">", escape(code)))
        .unwrap_or_default();
    let body = format!(
        "{}<form method=\"post\" action=\"/sign-in\">{device}\
         <label>E-mail<input name=\"email\" type=\"text\" inputmode=\"email\" autocomplete=\"username\" required value=\"{}\"></label>\
         <label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
         <button>Sign in</button></form>\
         <p>No password, or none you know? On the server's computer, <code>chatroom admin sign-in-link</code> prints a \
         link that signs in once, and <code>chatroom admin reset-password E-MAIL</code> ends an old password.</p>",
        alert(wrong),
        escape(email),
    );
    Page::new("Sign in", body)
}
