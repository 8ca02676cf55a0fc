//! Signing up: who may, and what a new person gets.

use std::net::IpAddr;

use chatroom_domain::accounts::{AccountError, CodePurpose, Email, Instance, Password, User, check_name};
use chatroom_protocol::api::auth::{SessionKind, SignUp};
use chatroom_protocol::{InstanceId, UserId};
use chatroom_store::codes::Grant;
use chatroom_store::events::NewEvent;
use chatroom_store::{instances, users};

use super::sessions::{self, Issued};
use super::throttle::Tries;
use super::{codes, passwords};
use crate::app::{App, Work};
use crate::error::Error;

/// Makes an account and signs it in.
pub async fn sign_up(app: &App, from: IpAddr, label: String, body: SignUp) -> Result<Issued, Error> {
    let email = Email::parse(&body.email)?;
    let name = check_name(&body.name)?;
    let password = Password::parse(&body.password)?;
    let tries = Tries::Guesses(from.into());
    app.throttle.attempt(&tries, app.clock.now())?;
    let hash = passwords::hash(app, password).await?;

    let mut work = app.begin().await?;
    let invitation = admit(&work, body.code.as_deref().filter(|code| !code.trim().is_empty())).await?;
    if users::by_email(&work.tx, &email).await?.is_some() {
        return Err(AccountError::EmailTaken.into());
    }
    let user = create(&mut work, email, name, Some(hash)).await?;
    if let Some(Grant { instance: Some(instance), .. }) = invitation {
        super::instances::join(&mut work, instance, user.id).await?;
    }
    let issued = sessions::issue(&mut work, user.id, SessionKind::Web, label).await?;
    work.commit().await?;
    app.throttle.forgive(&tries);
    Ok(issued)
}

/// Decides whether an account may be made; returns the invitation it came by.
async fn admit(work: &Work, code: Option<&str>) -> Result<Option<Grant>, Error> {
    let first = users::first(&work.tx).await?.is_none();
    match code {
        Some(code) if first => {
            let secret = codes::redeem(work, CodePurpose::SignUp, code).await;
            secret.map(|_| None).map_err(|error| match error {
                Error::Account(AccountError::CodeExpired) => AccountError::SignUpClosed.into(),
                other => other,
            })
        }
        Some(code) => codes::redeem(work, CodePurpose::Invitation, code).await.map(Some),
        None if work.app.config.open_sign_up && !first => Ok(None),
        None => Err(AccountError::SignUpClosed.into()),
    }
}

/// Returns the person `chatroom up` works for: the first account, made without a password if there is none.
pub async fn local_owner(app: &App, name: &str) -> Result<UserId, Error> {
    let mut work = app.begin().await?;
    if let Some(first) = users::first(&work.tx).await? {
        return Ok(first.id);
    }
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(64).collect();
    let kept = if kept.is_empty() { "owner".to_owned() } else { kept };
    let email = Email::parse(&format!("{kept}@localhost"))?;
    let user = create(&mut work, email, check_name(name).unwrap_or(kept), None).await?;
    work.commit().await?;
    Ok(user.id)
}

async fn create(work: &mut Work, email: Email, name: String, hash: Option<String>) -> Result<User, Error> {
    let user = User { id: work.app.id(UserId::from_parts)?, email, name };
    users::insert(&work.tx, &user, hash, work.now).await?;
    let instance = Instance { id: work.app.id(InstanceId::from_parts)?, name: user.name.clone(), owner: user.id };
    instances::insert(&work.tx, &instance, work.now).await?;
    let created = NewEvent {
        kind: "user.signed_up",
        user: Some(user.id),
        subject: Some(user.id.to_string()),
        outcome: Some(user.name.clone()),
        ..NewEvent::default()
    };
    work.event(instance.id, created).await?;
    Ok(user)
}
