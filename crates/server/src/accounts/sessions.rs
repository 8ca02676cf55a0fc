//! Sign-ins: issued, used, revoked.

use chatroom_domain::accounts::{SESSION_MS, Session};
use chatroom_domain::secrets::{Token, TokenKind};
use chatroom_protocol::api::auth::{IssuedSession, SessionKind, SessionView};
use chatroom_protocol::{SessionId, UserId};
use chatroom_store::events::NewEvent;
use chatroom_store::{sessions, users};

use super::home;
use crate::app::{App, Topic, Work};
use crate::error::Error;

/// How precisely "last used" is known, in milliseconds.
const USE_MS: i64 = 60_000;

/// A sign-in with its credential, which is handed out once.
pub struct Issued {
    /// The credential.
    pub token: Token,
    /// The sign-in.
    pub session: Session,
}

/// Signs a person in.
pub async fn issue(work: &mut Work, user: UserId, kind: SessionKind, label: String) -> Result<Issued, Error> {
    let token = work.app.mint(TokenKind::Session)?;
    let session = Session {
        id: work.app.id(SessionId::from_parts)?,
        user,
        kind,
        label,
        created_at: work.now,
        last_used_at: work.now,
        expires_at: work.now.plus_millis(SESSION_MS),
    };
    sessions::insert(&work.tx, &session, &token.hash()).await?;
    tell(work, user, session.id, "session.created", Some(session.label.clone())).await?;
    Ok(Issued { token, session })
}

/// Signs the CLI of this computer in, for a person who is here anyway.
pub async fn cli_session(app: &App, user: UserId, label: &str) -> Result<IssuedSession, Error> {
    let mut work = app.begin().await?;
    let issued = issue(&mut work, user, SessionKind::Cli, label.to_owned()).await?;
    let handed_out = hand_out(&work, issued).await?;
    work.commit().await?;
    Ok(handed_out)
}

/// Writes a session the way a device gets it.
pub async fn hand_out(work: &Work, issued: Issued) -> Result<IssuedSession, Error> {
    let user = users::find(&work.tx, issued.session.user).await?.ok_or(Error::NotSignedIn)?;
    Ok(IssuedSession {
        token: issued.token.expose().to_owned(),
        expires_at: issued.session.expires_at,
        user_id: user.id,
        name: user.name,
    })
}

/// Ends a sign-in of `user`; returns whether it was live. What is open on its behalf ends within a second.
pub async fn revoke(work: &mut Work, user: UserId, session: SessionId) -> Result<bool, Error> {
    let changed = sessions::revoke(&work.tx, session, user, work.now).await?;
    if changed {
        work.touch(Topic::User(user));
        tell(work, user, session, "session.revoked", None).await?;
    }
    Ok(changed)
}

/// Ends every sign-in of `user` but one; returns how many.
pub async fn revoke_others(work: &mut Work, user: UserId, keep: SessionId) -> Result<usize, Error> {
    let live = sessions::of_user(&work.tx, user, work.now).await?;
    let others: Vec<_> = live.into_iter().filter(|session| session.id != keep).collect();
    for session in &others {
        revoke(work, user, session.id).await?;
    }
    Ok(others.len())
}

/// Ends every sign-in of `user`; returns how many.
pub async fn revoke_all(work: &mut Work, user: UserId) -> Result<usize, Error> {
    let live = sessions::of_user(&work.tx, user, work.now).await?;
    for session in &live {
        revoke(work, user, session.id).await?;
    }
    Ok(live.len())
}

/// Describes a sign-in to its person.
pub fn view(session: Session, current: SessionId) -> SessionView {
    SessionView {
        session_id: session.id,
        kind: session.kind,
        label: session.label,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        current: session.id == current,
    }
}

/// Notes that a session is used, at most once a minute and beside the request.
pub fn note_use(app: &App, session: &Session) {
    let now = app.clock.now();
    if now.millis_since(session.last_used_at) < USE_MS || app.tasks.is_closed() {
        return;
    }
    let (app, id) = (app.clone(), session.id);
    app.tasks.clone().spawn(async move {
        let noted = async {
            let work = app.begin().await?;
            sessions::used(&work.tx, id, now).await?;
            work.commit().await
        };
        let noted: Result<(), Error> = noted.await;
        if let Err(error) = noted {
            tracing::warn!(%error, session.id = %id, "the use of a session could not be noted");
        }
    });
}

async fn tell(
    work: &mut Work,
    user: UserId,
    session: SessionId,
    kind: &'static str,
    outcome: Option<String>,
) -> Result<(), Error> {
    let event = NewEvent {
        kind,
        private_to: Some(user),
        user: Some(user),
        subject: Some(session.to_string()),
        outcome,
        ..NewEvent::default()
    };
    let instance = home(&work.tx, user).await?;
    work.event(instance, event).await
}
