//! Steering a live run: interrupt, answer, follow up. Only the user of its machine may.

use chatroom_domain::agents::{Prompt, PromptPurpose, Run};
use chatroom_domain::machines::MachineError;
use chatroom_domain::messages::parse_content;
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::{AnswerPermission, PermissionScope, RunForm};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{DecidePermission, Interrupt, Steerer};
use chatroom_protocol::{PermissionId, Role, RoomId, UserId};
use chatroom_store::Access;

use super::{live_run, owner, prompt, slot, tell_by, tell_of};
use crate::app::{App, Work};
use crate::error::{AgentError, Error};
use crate::machines::call::Peer;
use crate::machines::credential;
use crate::rooms;

/// Returns the room and the live run of a role, if `user` may steer it.
pub(super) async fn target(db: &impl Access, user: UserId, room: RoomId, role: &Role) -> Result<(Room, Run), Error> {
    let room = rooms::find(db, room, user).await?;
    room.role(role)?;
    match live_run(db, room.id, role).await? {
        Some(run) if run.user == user => Ok((room, run)),
        Some(_) => Err(Error::NotFound),
        None => match owner(db, room.id, role).await? {
            Some(other) if other != user => Err(Error::NotFound),
            _ => Err(AgentError::NotRunning.into()),
        },
    }
}

/// Says who a person is, for the transcript of a run.
pub async fn steerer(db: &impl Access, user: UserId) -> Result<Option<Steerer>, Error> {
    let user = chatroom_store::users::find(db, user).await?;
    Ok(user.map(|user| Steerer { user_id: user.id, name: user.name }))
}

/// Returns the way to the daemon of a run.
pub async fn peer(app: &App, run: &Run) -> Result<Peer, Error> {
    let link = app.links.get(&run.machine).ok_or(AgentError::Offline)?;
    let proof = credential::proof(app, &app.reader(), run.machine).await?;
    Ok(Peer { link, token: proof.token })
}

/// Ends the turn of an agent, not the agent. Returns whether there was one.
pub async fn interrupt(app: &App, user: UserId, room: RoomId, role: &Role) -> Result<bool, Error> {
    let (room, run) = target(&app.reader(), user, room, role).await?;
    let path = format!("/agents/{}/interrupt", run.id);
    let body = Interrupt { by: steerer(&app.reader(), user).await? };
    let done: Done = peer(app, &run).await?.post(&path, &body).await?;
    if done.changed {
        let mut work = app.begin().await?;
        tell_by(&mut work, user, &room, role, "agent.interrupted", None).await?;
        work.commit().await?;
    }
    Ok(done.changed)
}

/// Answers a question of an agent. The digest says what was shown: nobody permits what they did not see.
pub async fn answer(
    app: &App,
    user: UserId,
    room: RoomId,
    role: &Role,
    id: PermissionId,
    body: AnswerPermission,
) -> Result<(), Error> {
    let (room, run) = target(&app.reader(), user, room, role).await?;
    let asked = chatroom_store::permissions::find(&app.reader(), run.id, id)
        .await?
        .filter(|permission| permission.outcome.is_none())
        .ok_or(AgentError::PermissionClosed)?;
    if asked.digest != body.digest {
        return Err(AgentError::PermissionChanged.into());
    }
    let AnswerPermission { decision, digest, scope } = body;
    if scope == PermissionScope::Run {
        if decision == Decision::Deny {
            return Err(Error::Invalid("only an allowance can hold for the whole run; deny without `scope`".into()));
        }
        asked.always.ok_or(AgentError::OnlyOnce)?;
    }
    let path = format!("/agents/{}/permissions/{id}", run.id);
    let by = steerer(&app.reader(), user).await?;
    let answer = DecidePermission { decision, digest, scope, by };
    peer(app, &run).await?.tell(&path, &answer).await?;

    let outcome = match decision {
        Decision::Allow => "allowed",
        Decision::Deny => "denied",
    };
    let mut work = app.begin().await?;
    if chatroom_store::permissions::close(&work.tx, run.id, id, outcome, Some(user)).await? {
        let closed = Some(outcome.to_owned());
        tell_of(&mut work, &room, role, "permission.closed", id.to_string(), closed).await?;
        tell_by(&mut work, user, &room, role, "permission.answered", Some(outcome.to_owned())).await?;
    }
    work.commit().await
}

/// Tells a live run something more; it is given to the tool when the turn before it is over.
pub async fn follow_up(work: &mut Work, user: UserId, room: RoomId, role: &Role, text: &str) -> Result<Prompt, Error> {
    let text = parse_content(text)?.trim().to_owned();
    let (room, run) = target(&work.tx, user, room, role).await?;
    if run.form == RunForm::Terminal {
        // Whether it asks something just now is not known, and an Enter would answer.
        return Err(AgentError::InTerminal.into());
    }
    if work.app.links.get(&run.machine).is_none() {
        return Err(AgentError::Offline.into());
    }
    let prompt = prompt(work, run.id, run.machine, PromptPurpose::FollowUp { by: Some(user) }, text).await?;
    tell_by(work, user, &room, role, "agent.follow-up", None).await?;
    Ok(prompt)
}

/// Says whether the other members of a room act through an agent of `user`. Returns whether that is new.
pub async fn share(work: &mut Work, user: UserId, room: RoomId, role: &Role, shared: bool) -> Result<bool, Error> {
    let room = rooms::find(&work.tx, room, user).await?;
    room.role(role)?;
    let mut slot = slot(&work.tx, room.id, role).await?;
    if slot.machine.is_none() {
        let own = chatroom_store::configs::of_room(&work.tx, room.id, user).await?;
        let config = own.into_iter().find(|config| config.role == *role);
        slot.machine = Some(config.ok_or(MachineError::NotConfigured)?.machine);
    } else if owner(&work.tx, room.id, role).await? != Some(user) {
        return Err(Error::NotFound);
    }
    if slot.shared == shared {
        return Ok(false);
    }
    slot.shared = shared;
    chatroom_store::agents::put(&work.tx, &slot).await?;
    let outcome = Some(if shared { "shared" } else { "private" }.to_owned());
    tell_by(work, user, &room, role, "agent.shared", outcome).await?;
    super::offer(work, &room, role).await?;
    Ok(true)
}
