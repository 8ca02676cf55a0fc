//! Machines.

use std::collections::HashMap;

use chatroom_domain::machines::{Alias, Machine, MachineError, Watermark};
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::api::machines::ToolFacts;
use chatroom_protocol::{MachineId, Timestamp, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ActiveValue::Unchanged, ColumnTrait, Condition, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::entities::machines;
use crate::row::{count, json, number, parse, to_json};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "machines";

/// Writes a new machine, without a credential.
pub async fn insert(tx: &Tx, machine: &Machine) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Set(machine.id.to_string()),
        user_id: Set(machine.user.to_string()),
        hostname: Set(machine.hostname.clone()),
        alias: Set(machine.alias.as_str().to_owned()),
        os: Set(machine.os.clone()),
        tools: Set(to_json(TABLE, &machine.tools)?),
        daemon_version: Set(machine.daemon_version.clone()),
        epoch: Set(number(TABLE, machine.epoch)?),
        journal_id: Set(None),
        applied_seq: Set(0),
        registered_at: Set(machine.registered_at.0),
        last_seen_at: Set(machine.last_seen_at.0),
        lease_until: Set(machine.lease_until.map(|until| until.0)),
        token_hash: Set(None),
        platform_token_sealed: Set(None),
        next_token_hash: Set(None),
        next_token_sealed: Set(None),
        next_platform_token_sealed: Set(None),
        renewal: Set(number(TABLE, machine.renewal)?),
        locked_at: Set(machine.locked_at.map(|at| at.0)),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Writes what a registered machine said of itself.
///
/// Its host name stays as it was first told: host names change with the network.
pub async fn refresh(tx: &Tx, id: MachineId, os: &str, tools: &[ToolFacts], at: Timestamp) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        os: Set(os.to_owned()),
        tools: Set(to_json(TABLE, &tools)?),
        last_seen_at: Set(at.0),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// Writes which tools a machine has.
pub async fn set_tools(tx: &Tx, id: MachineId, tools: &[ToolFacts]) -> Result<(), StoreError> {
    machines::ActiveModel { id: Unchanged(id.to_string()), tools: Set(to_json(TABLE, &tools)?), ..Default::default() }
        .update(tx.connection())
        .await?;
    Ok(())
}

/// Looks up a machine of `user`.
pub async fn find(db: &impl Access, id: MachineId, user: UserId) -> Result<Option<Machine>, StoreError> {
    of_user(user).filter(machines::Column::Id.eq(id.to_string())).one(db.connection()).await?.map(machine).transpose()
}

/// Looks up a machine for the platform itself, which asks on nobody's behalf.
pub async fn of(db: &impl Access, id: MachineId) -> Result<Option<Machine>, StoreError> {
    machines::Entity::find_by_id(id.to_string()).one(db.connection()).await?.map(machine).transpose()
}

/// Looks up several machines for the platform itself.
pub async fn among(db: &impl Access, ids: &[MachineId]) -> Result<Vec<Machine>, StoreError> {
    let these = machines::Column::Id.is_in(ids.iter().map(MachineId::to_string));
    let rows = machines::Entity::find().filter(these).all(db.connection()).await?;
    rows.into_iter().map(machine).collect()
}

/// Lists the machines of `user`, by alias.
pub async fn list(db: &impl Access, user: UserId) -> Result<Vec<Machine>, StoreError> {
    let rows = of_user(user)
        .order_by_asc(machines::Column::Alias)
        .order_by_asc(machines::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(machine).collect()
}

/// Gives a machine of `user` another alias; returns whether it is there.
pub async fn rename(tx: &Tx, id: MachineId, user: UserId, alias: &Alias) -> Result<bool, StoreError> {
    let updated = machines::Entity::update_many()
        .col_expr(machines::Column::Alias, Expr::value(alias.as_str()))
        .filter(machines::Column::Id.eq(id.to_string()))
        .filter(machines::Column::UserId.eq(user.to_string()))
        .exec(tx.connection())
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Deletes a machine of `user` with all that hangs on it; returns whether it was there.
pub async fn remove(tx: &Tx, id: MachineId, user: UserId) -> Result<bool, StoreError> {
    let deleted = machines::Entity::delete_many()
        .filter(machines::Column::Id.eq(id.to_string()))
        .filter(machines::Column::UserId.eq(user.to_string()))
        .exec(tx.connection())
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// Replaces both halves of a machine's credential at once. Counts begin anew with it, and a lock ends.
pub async fn set_credential(
    tx: &Tx,
    id: MachineId,
    token: &TokenHash,
    platform_token_sealed: String,
) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        token_hash: Set(Some(token.0.clone())),
        platform_token_sealed: Set(Some(platform_token_sealed)),
        next_token_hash: Set(None),
        next_token_sealed: Set(None),
        next_platform_token_sealed: Set(None),
        epoch: Set(0),
        renewal: Set(0),
        locked_at: Set(None),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// Looks up the sealed half of the credential that proves the platform to a machine.
pub async fn platform_token_sealed(db: &impl Access, id: MachineId) -> Result<Option<String>, StoreError> {
    let row = machines::Entity::find_by_id(id.to_string()).one(db.connection()).await?;
    Ok(row.and_then(|row| row.platform_token_sealed))
}

/// Looks up the same of several machines, in one question.
pub async fn platform_tokens_sealed(
    db: &impl Access,
    ids: &[MachineId],
) -> Result<HashMap<MachineId, String>, StoreError> {
    let rows: Vec<(String, Option<String>)> = machines::Entity::find()
        .select_only()
        .column(machines::Column::Id)
        .column(machines::Column::PlatformTokenSealed)
        .filter(machines::Column::Id.is_in(ids.iter().map(MachineId::to_string)))
        .into_tuple()
        .all(db.connection())
        .await?;
    let known = rows.into_iter().filter_map(|(id, sealed)| Some((id, sealed?)));
    known.map(|(id, sealed)| Ok((parse(TABLE, &id)?, sealed))).collect()
}

/// The credential that is to follow the present one; both are good until the machine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCredential {
    /// The hash of its first half.
    pub token: TokenHash,
    /// Its first half, sealed, so that it can be offered again.
    pub token_sealed: String,
    /// Its second half, sealed.
    pub platform_token_sealed: String,
}

/// Writes the credential that is to follow the present one.
pub async fn set_next_credential(tx: &Tx, id: MachineId, next: &NextCredential) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        next_token_hash: Set(Some(next.token.0.clone())),
        next_token_sealed: Set(Some(next.token_sealed.clone())),
        next_platform_token_sealed: Set(Some(next.platform_token_sealed.clone())),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// Looks up the credential that is to follow the present one.
pub async fn next_credential(db: &impl Access, id: MachineId) -> Result<Option<NextCredential>, StoreError> {
    let row = machines::Entity::find_by_id(id.to_string()).one(db.connection()).await?;
    Ok(row.as_ref().and_then(next))
}

fn next(row: &machines::Model) -> Option<NextCredential> {
    Some(NextCredential {
        token: TokenHash(row.next_token_hash.clone()?),
        token_sealed: row.next_token_sealed.clone()?,
        platform_token_sealed: row.next_platform_token_sealed.clone()?,
    })
}

/// Ends the present credential in favour of the next, if that is still `token`; returns whether it was.
pub async fn promote_credential(tx: &Tx, id: MachineId, token: &TokenHash) -> Result<bool, StoreError> {
    let none = || Expr::value(None::<String>);
    let updated = machines::Entity::update_many()
        .col_expr(machines::Column::TokenHash, Expr::col(machines::Column::NextTokenHash))
        .col_expr(machines::Column::PlatformTokenSealed, Expr::col(machines::Column::NextPlatformTokenSealed))
        .col_expr(machines::Column::NextTokenHash, none())
        .col_expr(machines::Column::NextTokenSealed, none())
        .col_expr(machines::Column::NextPlatformTokenSealed, none())
        .filter(machines::Column::Id.eq(id.to_string()))
        .filter(machines::Column::NextTokenHash.eq(&token.0))
        .exec(tx.connection())
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Whom a machine's credential names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// The machine.
    pub machine: MachineId,
    /// Its user.
    pub user: UserId,
    /// Whether it is the credential that is to follow the present one.
    pub is_next: bool,
}

/// Looks up whose a machine's credential is. It works until it is replaced: it has no end of its own.
pub async fn by_token(db: &impl Access, token: &TokenHash) -> Result<Option<Bearer>, StoreError> {
    let is_it = Condition::any()
        .add(machines::Column::TokenHash.eq(&token.0))
        .add(machines::Column::NextTokenHash.eq(&token.0));
    let row = machines::Entity::find().filter(is_it).one(db.connection()).await?;
    row.map(|row| {
        Ok(Bearer {
            machine: parse(TABLE, &row.id)?,
            user: parse(TABLE, &row.user_id)?,
            is_next: row.next_token_hash.as_ref() == Some(&token.0),
        })
    })
    .transpose()
}

/// Writes the renewal counter a daemon confirmed. It never goes back.
pub async fn set_renewal(tx: &Tx, id: MachineId, renewal: u64) -> Result<(), StoreError> {
    let renewal = number(TABLE, renewal)?;
    machines::Entity::update_many()
        .col_expr(machines::Column::Renewal, Expr::value(renewal))
        .filter(machines::Column::Id.eq(id.to_string()))
        .filter(machines::Column::Renewal.lt(renewal))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Locks a machine.
pub async fn lock(tx: &Tx, id: MachineId, at: Timestamp) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        locked_at: Set(Some(at.0)),
        lease_until: Set(None),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// A daemon that is connected.
#[derive(Debug, Clone, Copy)]
pub struct Connected<'a> {
    /// Which daemon of the machine it is.
    pub epoch: u64,
    /// Its version.
    pub version: &'a str,
    /// The renewal counter it confirmed.
    pub renewal: u64,
    /// Since when.
    pub at: Timestamp,
    /// Until when that holds.
    pub lease_until: Timestamp,
}

/// Writes that a daemon is connected.
pub async fn connected(tx: &Tx, id: MachineId, daemon: Connected<'_>) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        epoch: Set(number(TABLE, daemon.epoch)?),
        daemon_version: Set(Some(daemon.version.to_owned())),
        renewal: Set(number(TABLE, daemon.renewal)?),
        last_seen_at: Set(daemon.at.0),
        lease_until: Set(Some(daemon.lease_until.0)),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// Renews the leases of many machines at once.
pub async fn renew(tx: &Tx, ids: &[MachineId], at: Timestamp, lease_until: Timestamp) -> Result<(), StoreError> {
    for some in ids.chunks(500) {
        machines::Entity::update_many()
            .col_expr(machines::Column::LeaseUntil, Expr::value(lease_until.0))
            .col_expr(machines::Column::LastSeenAt, Expr::value(at.0))
            .filter(machines::Column::Id.is_in(some.iter().map(MachineId::to_string)))
            .exec(tx.connection())
            .await?;
    }
    Ok(())
}

/// Ends a machine's lease.
pub async fn disconnected(tx: &Tx, id: MachineId, at: Timestamp) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        last_seen_at: Set(at.0),
        lease_until: Set(None),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// A machine with what only the platform keeps of it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The machine.
    pub machine: Machine,
    /// What proves us to it, sealed.
    pub platform_token_sealed: Option<String>,
    /// The credential that is to follow the present one.
    pub next: Option<NextCredential>,
    /// How far its journal has been applied.
    pub watermark: Watermark,
}

/// Looks up all that is known of a machine, in one question.
pub async fn known(db: &impl Access, id: MachineId) -> Result<Option<Known>, StoreError> {
    let row = machines::Entity::find_by_id(id.to_string()).one(db.connection()).await?;
    row.map(|row| {
        let watermark = Watermark { journal: row.journal_id.clone(), applied: count(TABLE, row.applied_seq)? };
        let platform_token_sealed = row.platform_token_sealed.clone();
        let next = next(&row);
        Ok(Known { machine: machine(row)?, platform_token_sealed, next, watermark })
    })
    .transpose()
}

/// Writes how far the journal of a machine has been applied.
pub async fn set_watermark(tx: &Tx, id: MachineId, journal: &str, applied: u64) -> Result<(), StoreError> {
    machines::ActiveModel {
        id: Unchanged(id.to_string()),
        journal_id: Set(Some(journal.to_owned())),
        applied_seq: Set(number(TABLE, applied)?),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

fn of_user(user: UserId) -> Select<machines::Entity> {
    machines::Entity::find().filter(machines::Column::UserId.eq(user.to_string()))
}

fn machine(row: machines::Model) -> Result<Machine, StoreError> {
    let alias =
        Alias::parse(&row.alias).map_err(|why: MachineError| StoreError::Row { table: TABLE, why: why.to_string() })?;
    Ok(Machine {
        id: parse(TABLE, &row.id)?,
        user: parse(TABLE, &row.user_id)?,
        hostname: row.hostname,
        alias,
        os: row.os,
        tools: json(TABLE, &row.tools)?,
        daemon_version: row.daemon_version,
        epoch: count(TABLE, row.epoch)?,
        registered_at: Timestamp(row.registered_at),
        last_seen_at: Timestamp(row.last_seen_at),
        lease_until: row.lease_until.map(Timestamp),
        renewal: count(TABLE, row.renewal)?,
        locked_at: row.locked_at.map(Timestamp),
    })
}
