//! Coming in and going out.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use chatroom_domain::accounts::SESSION_MS;
use chatroom_protocol::Problem;
use chatroom_protocol::api::Done;
use chatroom_protocol::api::auth::{ChangePassword, Me, SignIn, SignUp};

use crate::accounts::sessions::{self, Issued};
use crate::accounts::{self, passwords};
use crate::app::App;
use crate::error::Error;
use crate::http::caller::{self, Person};
use crate::http::{ClientAddress, Json};

/// Makes an account and signs it in by cookie. The first one needs the secret printed at start.
#[utoipa::path(post, path = "/api/auth/sign-up", tag = "accounts", request_body = SignUp,
    responses((status = 200, body = Me), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn sign_up(
    from: ClientAddress,
    headers: HeaderMap,
    State(app): State<App>,
    Json(body): Json<SignUp>,
) -> Result<(HeaderMap, Json<Me>), Error> {
    let issued = accounts::sign_up::sign_up(&app, from.0, label(&headers), body).await?;
    signed_in(&app, issued).await
}

/// Signs in by cookie. A CLI signs in by the device routes instead.
#[utoipa::path(post, path = "/api/auth/sign-in", tag = "accounts", request_body = SignIn,
    responses((status = 200, body = Me), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn sign_in(
    from: ClientAddress,
    headers: HeaderMap,
    State(app): State<App>,
    Json(body): Json<SignIn>,
) -> Result<(HeaderMap, Json<Me>), Error> {
    let issued = accounts::sign_in(&app, from.0, label(&headers), body).await?;
    signed_in(&app, issued).await
}

/// Ends the session the request came with.
#[utoipa::path(post, path = "/api/auth/sign-out", tag = "accounts", security(("session" = [])),
    responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn sign_out(person: Person, State(app): State<App>) -> Result<(HeaderMap, Json<Done>), Error> {
    let mut work = app.begin().await?;
    let changed = sessions::revoke(&mut work, person.user, person.session).await?;
    work.commit().await?;
    Ok((signed_out_headers(&app)?, Json(Done { changed })))
}

/// Sets or changes the caller's password and ends their other sessions.
#[utoipa::path(post, path = "/api/auth/password", tag = "accounts", security(("session" = [])),
    request_body = ChangePassword, responses((status = 200, body = Done), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn change_password(
    person: Person,
    State(app): State<App>,
    Json(body): Json<ChangePassword>,
) -> Result<Json<Done>, Error> {
    passwords::change(&app, person.user, person.session, body).await?;
    Ok(Json(Done { changed: true }))
}

async fn signed_in(app: &App, issued: Issued) -> Result<(HeaderMap, Json<Me>), Error> {
    let me = accounts::me(&app.reader(), issued.session.user, issued.session.id).await?;
    Ok((signed_in_headers(app, &issued)?, Json(me)))
}

/// Returns the headers that give a browser its session.
pub fn signed_in_headers(app: &App, issued: &Issued) -> Result<HeaderMap, Error> {
    let cookie = caller::set_cookie(app, &issued.token, SESSION_MS / 1000)?;
    Ok(HeaderMap::from_iter([(header::SET_COOKIE, cookie)]))
}

/// Returns the headers that take a browser's session away.
fn signed_out_headers(app: &App) -> Result<HeaderMap, Error> {
    Ok(HeaderMap::from_iter([(header::SET_COOKIE, caller::clear_cookie(app)?)]))
}

/// Names a browser by what it says of itself, such as `Firefox on Linux`.
pub fn label(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let first =
        |names: &[(&str, &'static str)]| names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let browser = first(&[("Firefox/", "Firefox"), ("Edg/", "Edge"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS X", "macOS"),
        ("Windows", "Windows"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "a browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_browser_has_a_name_people_know() {
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "a browser"),
        ] {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(agent))]);
            assert_eq!(label(&headers), name);
        }
    }
}
