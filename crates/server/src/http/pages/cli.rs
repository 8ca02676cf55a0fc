//! Letting a CLI in.

use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use chatroom_domain::accounts::{AccountError, normalise_user_code};
use chatroom_protocol::api::auth::Decision;
use http::HeaderMap;
use serde::Deserialize;

use super::html::{Page, ago, alert, escape};
use super::{PageError, see_other};
use crate::accounts::devices;
use crate::app::App;
use crate::error::Error;
use crate::http::caller::Person;

/// How one comes here.
#[derive(Deserialize)]
pub(super) struct Arrival {
    /// The code the CLI shows.
    code: Option<String>,
}

/// Returns the address of this page for a code, whatever was typed.
pub(super) fn path(code: &str) -> String {
    format!("/cli?code={}", normalise_user_code(code))
}

/// Shows what asks to be let in.
pub(super) async fn show(
    person: Option<Person>,
    State(app): State<App>,
    Query(arrival): Query<Arrival>,
) -> Result<Response, PageError> {
    let code = arrival.code.map(|code| normalise_user_code(&code)).filter(|code| !code.is_empty());
    let Some(person) = person else {
        let path = code.map_or_else(|| "/sign-in".to_owned(), |code| format!("/sign-in?device={code}"));
        return Ok(see_other(&path, HeaderMap::new()));
    };
    let Some(code) = code else {
        return Ok(ask(None).into_response());
    };
    match devices::show(&app, person.user, &code).await {
        Ok(device) => {
            let body = format!(
                "<p>A command line asks to act as you. Allow it only if you started it and it shows this code:</p>\
                 <p class=\"code\">{code}</p>\
                 <dl><dt>Device</dt><dd>{}</dd><dt>Version</dt><dd>{}</dd><dt>Asked</dt><dd>{}</dd></dl>\
                 <form method=\"post\" action=\"/cli\"><input type=\"hidden\" name=\"code\" value=\"{code}\">\
                 <button name=\"decision\" value=\"allow\">Allow</button> \
                 <button class=\"second\" name=\"decision\" value=\"deny\">Deny</button></form>",
                escape(&device.device),
                escape(&device.version),
                ago(device.requested_at, app.clock.now()),
            );
            Ok(Page::new("Let a command line in", body).into_response())
        }
        Err(error @ Error::Account(AccountError::CodeExpired)) => {
            let status = error.parts().0;
            Ok(ask(Some("this code is unknown, answered or older than 5 minutes; start again in the terminal"))
                .status(status)
                .into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Answer {
    code: String,
    decision: Decision,
}

/// Lets it in, or refuses it.
pub(super) async fn decide(
    person: Person,
    State(app): State<App>,
    Form(answer): Form<Answer>,
) -> Result<Page, PageError> {
    devices::decide(&app, person.user, &answer.code, answer.decision).await?;
    Ok(match answer.decision {
        Decision::Allow => {
            Page::new("Allowed", "<p>The command line is signed in. Go back to the terminal.</p>".into())
        }
        Decision::Deny => Page::new("Denied", "<p>The command line was not let in.</p>".into()),
    })
}

fn ask(wrong: Option<&str>) -> Page {
    let body = format!(
        "{}<form method=\"get\" action=\"/cli\">\
         <label>The code in your terminal<input name=\"code\" autocomplete=\"off\" spellcheck=\"false\" required></label>\
         <button>Go on</button></form>",
        alert(wrong)
    );
    Page::new("Let a command line in", body)
}
