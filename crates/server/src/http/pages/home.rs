//! The start page: what is there, and what to do next.

use std::fmt::Write as _;

use axum::extract::State;

use super::PageError;
use super::html::{Page, ago, escape};
use crate::accounts;
use crate::app::App;
use crate::http::caller::Person;

/// Shows it.
pub(super) async fn show(person: Option<Person>, State(app): State<App>) -> Result<Page, PageError> {
    match person {
        Some(person) => signed_in(&app, person).await,
        None => signed_out(&app).await,
    }
}

fn footer() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("<footer>chatroom {version} · <a href=\"/api/docs\">API</a></footer>")
}

async fn signed_out(app: &App) -> Result<Page, PageError> {
    let how = if chatroom_store::users::first(&app.reader()).await?.is_none() {
        "<p>Nobody has an account here yet. The first one needs the secret that the server printed when it started.</p>\
         <p><a class=\"button\" href=\"/sign-up\">Sign up</a></p>"
    } else {
        "<p>People and AI coding agents at work in rooms.</p><p><a class=\"button\" href=\"/sign-in\">Sign in</a></p>\
         <p class=\"quiet\">On the computer that runs <code>chatroom up</code>, <code>chatroom admin sign-in-link</code> prints a link that signs you in. \
         In a terminal: <code>chatroom auth login</code>.</p>"
    };
    Ok(Page::new("chatroom", format!("{how}{}", footer())))
}

async fn signed_in(app: &App, person: Person) -> Result<Page, PageError> {
    let reader = app.reader();
    let me = accounts::me(&reader, person.user, person.session).await?;
    let machines = chatroom_store::machines::list(&reader, person.user).await?;
    let rooms = chatroom_store::rooms::list(&reader, person.user).await?;
    let now = app.clock.now();

    let mut body = String::from("<section><h2>Machines</h2>");
    if machines.is_empty() {
        let url = escape(app.config.public_url.to_string().trim_end_matches('/'));
        let _ = write!(
            body,
            "<p>None yet. In a terminal; the last command prints a line that makes any computer join:</p>\
             <pre>export CHATROOM_URL={url}\nchatroom auth login\nchatroom machine add</pre>"
        );
    } else {
        body.push_str("<ul>");
        for machine in &machines {
            let state = if machine.locked_at.is_some() {
                "<span class=\"bad\">▲ Locked: its home was used from two places. On the right computer, signed in, \
                 run <code>chatroom machine unlock</code></span>"
                    .to_owned()
            } else if machine.online(now) {
                "<span class=\"on\">● Online</span>".to_owned()
            } else {
                format!("<span class=\"quiet\">○ Offline, last seen {}</span>", ago(machine.last_seen_at, now))
            };
            let _ = write!(body, "<li><b>{}</b> {state}", escape(machine.alias.as_str()));
            if let Some(upgrade) = app.gaps.of(machine.id) {
                let _ = write!(body, "<br>{}", escape(&upgrade));
            }
            body.push_str("</li>");
        }
        body.push_str("</ul>");
    }
    body.push_str("</section><section><h2>Rooms</h2>");
    if rooms.is_empty() {
        body.push_str("<p>None yet. Make one:</p>");
    } else {
        body.push_str("<ul>");
        for room in &rooms {
            let roles: Vec<String> = room.roles.iter().map(|role| escape(role.as_str())).collect();
            let _ = write!(
                body,
                "<li><b>{}</b> <span class=\"quiet\">{}</span><br><code>{}</code></li>",
                escape(&room.name),
                roles.join(", "),
                room.id
            );
        }
        body.push_str("</ul>");
    }
    body.push_str("</section><section><h2>Next</h2><pre>");
    match rooms.first() {
        None => body.push_str("chatroom room create ship-login --role builder --role reviewer"),
        Some(room) => {
            let (id, entry) = (room.id, escape(room.entry.as_str()));
            let _ = write!(
                body,
                "chatroom agent start --chatroom-id={id} --role={entry} --tool=claude --working-dir=.\n\
                 chatroom message send --chatroom-id={id} --content=\"…\"\n\
                 chatroom messages --chatroom-id={id}"
            );
        }
    }
    let _ = write!(
        body,
        "</pre></section><form method=\"post\" action=\"/sign-out\"><p class=\"quiet\">Signed in as {}</p>\
         <button class=\"second\">Sign out</button></form>{}",
        escape(&me.email),
        footer()
    );
    Ok(Page::new(&me.name, body))
}
