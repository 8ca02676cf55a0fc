//! People: how they come in, what proves them, and whom they share with.
//!
//! The first account needs the one-time secret of the server's start; later ones
//! an invitation, unless sign-up is open. Everybody gets an instance of their own.

pub mod codes;
pub mod devices;
pub mod hashing;
pub mod instances;
pub mod passwords;
pub mod sessions;
pub mod sign_up;
pub mod throttle;

use std::net::IpAddr;

use chatroom_domain::accounts::{AccountError, Email};
use chatroom_protocol::api::auth::{InstanceView, Me, SessionKind, SignIn};
use chatroom_protocol::{InstanceId, SessionId, UserId};
use chatroom_store::Access;

pub use codes::sign_in_link;
pub use sessions::cli_session;
pub use sign_up::local_owner;

use crate::app::App;
use crate::error::Error;
use sessions::Issued;
use throttle::Tries;

/// Signs in with e-mail and password.
pub async fn sign_in(app: &App, from: IpAddr, label: String, body: SignIn) -> Result<Issued, Error> {
    let email = Email::parse(&body.email)?;
    let tries = [Tries::Password(email.as_str().to_owned(), from.into()), Tries::Guesses(from.into())];
    for one in &tries {
        app.throttle.attempt(one, app.clock.now())?;
    }
    let found = chatroom_store::users::by_email(&app.reader(), &email).await?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
    let right = passwords::verify(app, body.password, hash).await?;
    let Some(user) = user.filter(|_| right) else {
        return Err(AccountError::WrongCredentials.into());
    };
    for one in &tries {
        app.throttle.forgive(one);
    }
    let mut work = app.begin().await?;
    let issued = sessions::issue(&mut work, user.id, SessionKind::Web, label).await?;
    work.commit().await?;
    Ok(issued)
}

/// Describes a person to themselves.
pub async fn me(db: &impl Access, user: UserId, session: SessionId) -> Result<Me, Error> {
    let found = chatroom_store::users::find(db, user).await?.ok_or(Error::NotSignedIn)?;
    let instances = instances::of_user(db, user).await?;
    let view = |instance: chatroom_domain::accounts::Instance| InstanceView {
        instance_id: instance.id,
        name: instance.name,
        owner: instance.owner == user,
    };
    Ok(Me {
        user_id: found.id,
        name: found.name,
        email: found.email.as_str().to_owned(),
        session_id: session,
        instances: instances.into_iter().map(view).collect(),
    })
}

/// Returns the instance in whose feed a person's own affairs are told.
pub async fn home(db: &impl Access, user: UserId) -> Result<InstanceId, Error> {
    let instances = instances::of_user(db, user).await?;
    let own = instances.iter().find(|instance| instance.owner == user).or(instances.first());
    own.map(|instance| instance.id).ok_or_else(|| Error::Internal(format!("{user} has no instance")))
}
