//! Codes that work once: the first account's secret, and links that sign in.

use chatroom_domain::accounts::{AccountError, CodePurpose, ONE_TIME_MS, SESSION_MS};
use chatroom_domain::secrets::{Token, TokenHash, TokenKind};
use chatroom_protocol::api::auth::SessionKind;
use chatroom_protocol::{InstanceId, Timestamp, UserId};
use chatroom_store::codes::{self, Grant};
use chatroom_store::users;

use super::sessions::{self, Issued};
use crate::app::{App, Work};
use crate::error::Error;

/// Makes a code.
pub async fn issue(
    work: &Work,
    purpose: CodePurpose,
    user: Option<UserId>,
    instance: Option<InstanceId>,
    lifetime_ms: i64,
) -> Result<(Token, Timestamp), Error> {
    let code = work.app.mint(TokenKind::OneTime)?;
    let expires_at = work.now.plus_millis(lifetime_ms);
    let grant = Grant { purpose, user, instance, expires_at };
    codes::insert(&work.tx, &code.hash(), grant, work.now).await?;
    Ok((code, expires_at))
}

/// Uses a code up. Unknown, used and too old look the same.
pub async fn redeem(work: &Work, purpose: CodePurpose, text: &str) -> Result<Grant, Error> {
    let code = read(text)?;
    let grant = codes::take(&work.tx, &code, purpose, work.now).await?;
    Ok(grant.ok_or(AccountError::CodeExpired)?)
}

fn read(text: &str) -> Result<TokenHash, AccountError> {
    Token::read(TokenKind::OneTime, text.trim()).map(|code| code.hash()).ok_or(AccountError::CodeExpired)
}

/// Makes a link that signs `user` in, once, within a quarter of an hour.
pub async fn sign_in_link(app: &App, user: UserId) -> Result<String, Error> {
    let work = app.begin().await?;
    let (code, _) = issue(&work, CodePurpose::SignIn, Some(user), None, ONE_TIME_MS).await?;
    work.commit().await?;
    Ok(link(app, &code))
}

/// Writes a code as the link that uses it up.
pub fn link(app: &App, code: &Token) -> String {
    app.config.public_url.join(&format!("/sign-in?code={}", code.expose()))
}

/// Signs in whoever a link was made for.
pub async fn follow_link(app: &App, code: &str, label: String) -> Result<Issued, Error> {
    let mut work = app.begin().await?;
    let grant = redeem(&work, CodePurpose::SignIn, code).await?;
    let user = grant.user.ok_or(AccountError::CodeExpired)?;
    let issued = sessions::issue(&mut work, user, SessionKind::Web, label).await?;
    work.commit().await?;
    Ok(issued)
}

/// Makes the secret the first account needs, if there is no account; an older one stops working.
pub async fn sign_up_secret(app: &App) -> Result<Option<Token>, Error> {
    let work = app.begin().await?;
    if users::first(&work.tx).await?.is_some() {
        return Ok(None);
    }
    codes::withdraw_all(&work.tx, CodePurpose::SignUp).await?;
    let (secret, _) = issue(&work, CodePurpose::SignUp, None, None, SESSION_MS).await?;
    work.commit().await?;
    Ok(Some(secret))
}
