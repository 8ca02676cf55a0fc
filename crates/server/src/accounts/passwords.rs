//! Passwords: hashed off the async workers, few at once.

use std::sync::LazyLock;

use chatroom_domain::accounts::{AccountError, Password, verify_password};
use chatroom_protocol::api::auth::ChangePassword;
use chatroom_protocol::{SessionId, UserId};
use chatroom_store::events::NewEvent;
use chatroom_store::users;

use super::throttle::Tries;
use super::{home, sessions};
use crate::app::App;
use crate::error::Error;

/// What an unknown e-mail is compared with, so that it takes as long as a known one.
static DECOY: LazyLock<String> =
    LazyLock::new(|| Password::parse("nobody's password").and_then(|decoy| decoy.hash([0; 16])).unwrap_or_default());

/// Makes what unknown e-mails are compared with, so that not even the first one takes longer.
pub async fn warm_up(app: App) {
    let made = app.throttle.hashing.slowly(|| DECOY.len()).await;
    if let Err(error) = made {
        tracing::error!(%error, "passwords cannot be checked");
    }
}

/// Hashes a new password.
pub async fn hash(app: &App, password: Password) -> Result<String, Error> {
    let salt = app.random()?;
    Ok(app.throttle.hashing.slowly(move || password.hash(salt)).await??)
}

/// Returns whether a password is right; without a hash it never is, but takes as long.
pub async fn verify(app: &App, given: String, hash: Option<String>) -> Result<bool, Error> {
    let slow = move || {
        let right = verify_password(&given, hash.as_deref().unwrap_or(&DECOY));
        right && hash.is_some()
    };
    app.throttle.hashing.slowly(slow).await
}

/// Changes the caller's password and ends their other sign-ins.
pub async fn change(app: &App, user: UserId, session: SessionId, body: ChangePassword) -> Result<(), Error> {
    let next = Password::parse(&body.new)?;
    if let Some(present) = users::password_hash(&app.reader(), user).await? {
        let tries = Tries::OwnPassword(user);
        app.throttle.attempt(&tries, app.clock.now())?;
        if !verify(app, body.current.unwrap_or_default(), Some(present)).await? {
            return Err(AccountError::WrongCredentials.into());
        }
        app.throttle.forgive(&tries);
    }
    let hash = hash(app, next).await?;
    let mut work = app.begin().await?;
    users::set_password_hash(&work.tx, user, Some(hash)).await?;
    sessions::revoke_others(&mut work, user, session).await?;
    let changed = NewEvent {
        kind: "password.changed",
        private_to: Some(user),
        user: Some(user),
        subject: Some(user.to_string()),
        ..NewEvent::default()
    };
    let instance = home(&work.tx, user).await?;
    work.event(instance, changed).await?;
    work.commit().await
}
