//! Tenants: who is a member of what, and who may change that.

use chatroom_domain::accounts::{CodePurpose, INVITATION_MS, Instance};
use chatroom_protocol::api::auth::{Invitation, MemberView};
use chatroom_protocol::{InstanceId, UserId};
use chatroom_store::events::NewEvent;
use chatroom_store::{Access, codes as stored_codes, instances};

use super::codes;
use crate::app::{Topic, Work};
use crate::error::Error;
use crate::{agents, commands};

/// Lists the instances `user` is a member of, their own first.
pub async fn of_user(db: &impl Access, user: UserId) -> Result<Vec<Instance>, Error> {
    Ok(instances::of_user(db, user).await?)
}

/// Returns an instance `user` is a member of.
pub async fn find(db: &impl Access, id: InstanceId, user: UserId) -> Result<Instance, Error> {
    instances::find(db, id, user).await?.ok_or(Error::NotFound)
}

/// Lists the members of an instance, for one of them; the owner comes first.
pub async fn members(db: &impl Access, id: InstanceId, reader: UserId) -> Result<Vec<MemberView>, Error> {
    let instance = find(db, id, reader).await?;
    let people = instances::members(db, id, reader).await?;
    let mut views: Vec<MemberView> = people
        .into_iter()
        .map(|user| MemberView { user_id: user.id, name: user.name, owner: user.id == instance.owner })
        .collect();
    views.sort_by_key(|member| !member.owner);
    Ok(views)
}

/// Makes an invitation; only the owner may.
pub async fn invite(work: &mut Work, id: InstanceId, caller: UserId) -> Result<Invitation, Error> {
    owned(&work.tx, id, caller, "only the owner of an instance invites members").await?;
    let (code, expires_at) = codes::issue(work, CodePurpose::Invitation, Some(caller), Some(id), INVITATION_MS).await?;
    let invited = NewEvent { kind: "invitation.created", user: Some(caller), ..NewEvent::default() };
    work.event(id, invited).await?;
    let link = work.app.config.public_url.join(&format!("/sign-up?code={}", code.expose()));
    Ok(Invitation { code: code.expose().to_owned(), link, expires_at })
}

/// Takes an invitation up; returns the instance.
pub async fn accept(work: &mut Work, user: UserId, code: &str) -> Result<Instance, Error> {
    let grant = codes::redeem(work, CodePurpose::Invitation, code).await?;
    let id = grant.instance.ok_or_else(|| Error::Internal("an invitation leads nowhere".into()))?;
    join(work, id, user).await?;
    find(&work.tx, id, user).await
}

/// Makes `user` a member.
pub(super) async fn join(work: &mut Work, id: InstanceId, user: UserId) -> Result<(), Error> {
    if instances::add_member(&work.tx, id, user, work.now).await? {
        told(work, id, "member.joined", user, user).await?;
    }
    Ok(())
}

/// Ends a membership; only the owner may, and never their own. What the member has open ends within a second.
pub async fn remove_member(work: &mut Work, id: InstanceId, caller: UserId, member: UserId) -> Result<bool, Error> {
    let instance = owned(&work.tx, id, caller, "only the owner of an instance removes members").await?;
    if member == instance.owner {
        return Err(Error::Forbidden("the owner of an instance stays its member"));
    }
    let changed = instances::remove_member(&work.tx, id, member).await?;
    if changed {
        stored_codes::withdraw(&work.tx, member, id).await?;
        stop_agents(work, id, member).await?;
        work.touch(Topic::User(member));
        told(work, id, "member.removed", caller, member).await?;
    }
    Ok(changed)
}

/// Ends what a former member's machines still run in the rooms of an instance, and wakes who waits there.
async fn stop_agents(work: &mut Work, id: InstanceId, member: UserId) -> Result<(), Error> {
    for room in chatroom_store::rooms::of_instance(&work.tx, id).await? {
        work.touch(Topic::Room(room.id));
        for role in &room.roles {
            if agents::live_run(&work.tx, room.id, role).await?.is_some_and(|run| run.user == member) {
                commands::stop_slot(work, member, &room, role).await?;
            }
        }
    }
    Ok(())
}

async fn owned(db: &impl Access, id: InstanceId, caller: UserId, otherwise: &'static str) -> Result<Instance, Error> {
    let instance = find(db, id, caller).await?;
    if instance.owner == caller { Ok(instance) } else { Err(Error::Forbidden(otherwise)) }
}

async fn told(work: &mut Work, id: InstanceId, kind: &'static str, by: UserId, member: UserId) -> Result<(), Error> {
    let event = NewEvent { kind, user: Some(by), subject: Some(member.to_string()), ..NewEvent::default() };
    work.event(id, event).await
}
