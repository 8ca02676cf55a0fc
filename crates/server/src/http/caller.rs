//! Who calls: one layer for sessions, machines and runs.
//!
//! A credential comes as `Authorization: Bearer …` or, from a browser, as the
//! session's cookie. Handlers name what they accept by the extractor they take;
//! the wrong kind is told so, nobody at all is asked to sign in.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use chatroom_domain::access::Caller;
use chatroom_domain::accounts::Session;
use chatroom_domain::secrets::{Token, TokenHash, TokenKind};
use chatroom_protocol::{MachineId, Role, RoomId, RunId, SessionId, UserId};
use chatroom_store::machines::Bearer;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::accounts;
use crate::app::{App, Topic};
use crate::error::Error;
use crate::machines::credential;

/// How often an open stream looks whether its reader may go on, beside being told.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(15);

/// The cookie of a browser's session.
pub const COOKIE: &str = "chatroom_session";

/// Whoever calls, whatever the kind.
#[derive(Debug, Clone)]
pub struct AnyCaller(pub Caller);

/// A person, in a browser or a CLI.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// The person.
    pub user: UserId,
    /// Their sign-in.
    pub session: SessionId,
}

impl Person {
    /// Returns the person as a caller.
    pub fn caller(&self) -> Caller {
        Caller::Person { user: self.user, session: self.session }
    }
}

/// A machine's daemon.
#[derive(Debug, Clone, Copy)]
pub struct MachineCaller {
    /// The machine.
    pub machine: MachineId,
    /// Its user.
    pub user: UserId,
}

/// An agent, from inside its run.
#[derive(Debug, Clone)]
pub struct RunCaller {
    /// The run.
    pub run: RunId,
    /// Its room.
    pub room: RoomId,
    /// Its role.
    pub role: Role,
    /// The user of its machine.
    pub user: UserId,
}

impl FromRequestParts<App> for AnyCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        Ok(Self(authenticate(&parts.headers, app).await?))
    }
}

impl FromRequestParts<App> for Person {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        match authenticate(&parts.headers, app).await? {
            Caller::Person { user, session } => Ok(Self { user, session }),
            Caller::Machine { .. } => {
                Err(Error::Forbidden("a machine's credential cannot do this; sign in as a person"))
            }
            Caller::Run { .. } => Err(Error::Forbidden("an agent inside its run cannot do this; a person can")),
        }
    }
}

/// For pages that show something to those who are not signed in as well.
impl OptionalFromRequestParts<App> for Person {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Error> {
        match <Self as FromRequestParts<App>>::from_request_parts(parts, app).await {
            Ok(person) => Ok(Some(person)),
            Err(Error::NotSignedIn | Error::Forbidden(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl FromRequestParts<App> for MachineCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        match authenticate(&parts.headers, app).await? {
            Caller::Machine { machine, user } => Ok(Self { machine, user }),
            Caller::Person { .. } | Caller::Run { .. } => {
                Err(Error::Forbidden("only a machine's daemon, with its own credential, can do this"))
            }
        }
    }
}

impl FromRequestParts<App> for RunCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        match authenticate(&parts.headers, app).await? {
            Caller::Run { run, room, role, user, .. } => Ok(Self { run, room, role, user }),
            Caller::Person { .. } | Caller::Machine { .. } => {
                Err(Error::Forbidden("only an agent inside its run can do this"))
            }
        }
    }
}

/// Finds out who calls.
pub async fn authenticate(headers: &HeaderMap, app: &App) -> Result<Caller, Error> {
    let presented = presented(headers).ok_or(Error::NotSignedIn)?;
    let now = app.clock.now();
    let reader = app.reader();
    let found = match read(presented) {
        Some((TokenKind::Session, token)) => {
            chatroom_store::sessions::by_token(&reader, &token, now).await?.map(|session| person(app, &session))
        }
        Some((TokenKind::Machine, token)) => machine(app, &token).await?,
        Some((TokenKind::Run, token)) => chatroom_store::runs::by_token(&reader, &token, now).await?,
        Some((TokenKind::Device | TokenKind::Platform | TokenKind::OneTime, _)) | None => None,
    };
    let caller = found.ok_or(Error::NotSignedIn)?;
    app.limits.request(&caller, now)?;
    Ok(caller)
}

/// Returns the credential of a request: the header, else the cookie.
fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let (scheme, credential) = authorization.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim());
    }
    // A browser may only ever hold a session in its cookie.
    session_cookie(headers).filter(|value| value.starts_with(TokenKind::Session.prefix()))
}

/// Resolves when a person's sign-in is over, or the server stops: what streams to them ends then.
pub(crate) async fn signed_out(app: App, person: Person) {
    let mut changes = app.wake.subscribe(Topic::User(person.user));
    loop {
        let now = app.clock.now();
        match chatroom_store::sessions::find(&app.reader(), person.session, person.user, now).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "a sign-in could not be looked up; what streams to it ends");
                return;
            }
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            woken = changes.changed() => if woken.is_err() {
                return;
            },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Returns the session's cookie, if there is one.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

fn read(text: &str) -> Option<(TokenKind, TokenHash)> {
    [TokenKind::Session, TokenKind::Machine, TokenKind::Run]
        .into_iter()
        .find_map(|kind| Some((kind, Token::read(kind, text)?.hash())))
}

async fn machine(app: &App, token: &TokenHash) -> Result<Option<Caller>, Error> {
    let Some(Bearer { machine, user, is_next }) = chatroom_store::machines::by_token(&app.reader(), token).await?
    else {
        return Ok(None);
    };
    if is_next {
        // It has the new credential safe: the old one ends here.
        credential::promote(app, machine, token).await?;
    }
    Ok(Some(Caller::Machine { machine, user }))
}

fn person(app: &App, session: &Session) -> Caller {
    accounts::sessions::note_use(app, session);
    Caller::Person { user: session.user, session: session.id }
}

/// Returns the header that gives a browser its session.
pub(super) fn set_cookie(app: &App, token: &Token, max_age_s: i64) -> Result<HeaderValue, Error> {
    cookie(app, token.expose(), max_age_s)
}

/// Returns the header that takes a browser's session away.
pub(super) fn clear_cookie(app: &App) -> Result<HeaderValue, Error> {
    cookie(app, "", 0)
}

fn cookie(app: &App, value: &str, max_age_s: i64) -> Result<HeaderValue, Error> {
    let secure = if app.config.public_url.is_https() { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}"))
        .map_err(|_| Error::Internal("a cookie could not be written".into()))
}
