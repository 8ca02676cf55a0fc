//! A second computer joins by one line: a script of this server and a one-use code.

use chatroom_domain::accounts::{AccountError, CodePurpose, ONE_TIME_MS};
use chatroom_domain::secrets::{Token, TokenKind};
use chatroom_protocol::UserId;
use chatroom_protocol::api::machines::{ClaimEnrolment, Enrolment, IssuedMachine};
use chatroom_store::codes::{self, Grant};
use chatroom_store::events::NewEvent;

use super::{credential, register};
use crate::app::Work;
use crate::error::Error;

/// Makes the line that lets a computer join as a machine of `user`.
pub async fn offer(work: &mut Work, user: UserId) -> Result<Enrolment, Error> {
    let code = work.app.mint(TokenKind::OneTime)?;
    let expires_at = work.now.plus_millis(ONE_TIME_MS);
    let grant = Grant { purpose: CodePurpose::Enrolment, user: Some(user), instance: None, expires_at };
    codes::insert(&work.tx, &code.hash(), grant, work.now).await?;
    let event = NewEvent { kind: "enrolment.offered", ..NewEvent::default() };
    work.event_for(user, event).await?;
    let script = work.app.config.public_url.join("/join.sh");
    Ok(Enrolment {
        line: format!("curl -fsSL {script} | sh -s -- {}", code.expose()),
        code: code.expose().to_owned(),
        expires_at,
    })
}

/// Registers the machine that shows a good code, and gives it its credential. The code is used up with it.
pub async fn claim(work: &mut Work, body: ClaimEnrolment) -> Result<IssuedMachine, Error> {
    let code = Token::read(TokenKind::OneTime, &body.code).ok_or(AccountError::CodeExpired)?;
    let grant = codes::take(&work.tx, &code.hash(), CodePurpose::Enrolment, work.now).await?;
    let user = grant.and_then(|grant| grant.user).ok_or(AccountError::CodeExpired)?;
    let machine = register(work, user, body.machine_id, body.machine).await?;
    credential::issue(work, machine).await
}
