//! Signing up, and taking up an invitation as somebody who has an account.

use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::api::auth::SignUp;
use http::HeaderMap;
use serde::Deserialize;

use super::html::{Page, alert, escape};
use super::{PageError, see_other};
use crate::accounts::{instances, sign_up};
use crate::app::App;
use crate::error::Error;
use crate::http::ClientAddress;
use crate::http::accounts::{label, signed_in_headers};
use crate::http::caller::Person;

/// How one comes here.
#[derive(Deserialize)]
pub(super) struct Arrival {
    /// The server's secret, or an invitation.
    code: Option<String>,
}

/// Shows the form.
pub(super) async fn show(person: Option<Person>, Query(arrival): Query<Arrival>) -> Page {
    let code = arrival.code.unwrap_or_default();
    match person {
        Some(_) => invitation(&code),
        None => form(&Filled { code, ..Filled::default() }, None),
    }
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Filled {
    email: String,
    name: String,
    password: String,
    code: String,
}

/// Signs up; somebody who is signed in joins.
pub(super) async fn submit(
    from: ClientAddress,
    headers: HeaderMap,
    person: Option<Person>,
    State(app): State<App>,
    Form(filled): Form<Filled>,
) -> Result<Response, PageError> {
    if let Some(person) = person {
        let mut work = app.begin().await?;
        instances::accept(&mut work, person.user, &filled.code).await?;
        work.commit().await?;
        return Ok(see_other("/", HeaderMap::new()));
    }
    let body = SignUp {
        email: filled.email.clone(),
        name: filled.name.clone(),
        password: filled.password.clone(),
        code: Some(filled.code.clone()).filter(|code| !code.trim().is_empty()),
    };
    match sign_up::sign_up(&app, from.0, label(&headers), body).await {
        Ok(issued) => Ok(see_other("/", signed_in_headers(&app, &issued)?)),
        Err(Error::Account(refused)) => {
            let error = Error::Account(refused);
            Ok(form(&filled, Some(&error.to_string())).status(error.parts().0).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn form(filled: &Filled, wrong: Option<&str>) -> Page {
    let body = format!(
        "{}<form method=\"post\" action=\"/sign-up\">\
         <label>E-mail<input name=\"email\" type=\"email\" autocomplete=\"username\" required value=\"{}\"></label>\
         <label>Name<input name=\"name\" autocomplete=\"name\" maxlength=\"80\" required value=\"{}\"></label>\
         <label>Password, at least 10 characters<input name=\"password\" type=\"password\" minlength=\"10\" maxlength=\"200\" autocomplete=\"new-password\" required></label>\
         <label>Secret or invitation<input name=\"code\" autocomplete=\"off\" spellcheck=\"false\" value=\"{}\"></label>\
         <button>Sign up</button></form>",
        alert(wrong),
        escape(&filled.email),
        escape(&filled.name),
        escape(&filled.code),
    );
    Page::new("Sign up", body)
}

fn invitation(code: &str) -> Page {
    let body = format!(
        "<p>Joining opens the rooms of the instance to you. Your own machines stay yours.</p>\
         <form method=\"post\" action=\"/sign-up\">\
         <label>Invitation<input name=\"code\" autocomplete=\"off\" spellcheck=\"false\" required value=\"{}\"></label>\
         <button>Join</button></form>",
        escape(code),
    );
    Page::new("Join", body)
}
