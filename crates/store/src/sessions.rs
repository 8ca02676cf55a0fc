//! Sign-ins. Only the hash of a session's token is known here.

use chatroom_domain::accounts::Session;
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::api::auth::SessionKind;
use chatroom_protocol::{InstanceId, SessionId, Timestamp, UserId};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};

use crate::entities::{members, sessions};
use crate::row::{parse, word};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "sessions";

/// Writes a new sign-in.
pub async fn insert(tx: &Tx, session: &Session, token: &TokenHash) -> Result<(), StoreError> {
    sessions::ActiveModel {
        id: Set(session.id.to_string()),
        user_id: Set(session.user.to_string()),
        kind: Set(match session.kind {
            SessionKind::Web => "web".to_owned(),
            SessionKind::Cli => "cli".to_owned(),
        }),
        label: Set(session.label.clone()),
        token_hash: Set(token.0.clone()),
        created_at: Set(session.created_at.0),
        last_used_at: Set(session.last_used_at.0),
        expires_at: Set(session.expires_at.0),
        revoked_at: Set(None),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Looks up the live session of a token.
pub async fn by_token(db: &impl Access, token: &TokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
    live(now).filter(sessions::Column::TokenHash.eq(&token.0)).one(db.connection()).await?.map(session).transpose()
}

/// Looks up a live session of `user`.
pub async fn find(
    db: &impl Access,
    id: SessionId,
    user: UserId,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    live(now)
        .filter(sessions::Column::Id.eq(id.to_string()))
        .filter(sessions::Column::UserId.eq(user.to_string()))
        .one(db.connection())
        .await?
        .map(session)
        .transpose()
}

/// Returns whether a session of `user` is live, and they are a member of an instance, in one question.
pub async fn lets_into(
    db: &impl Access,
    id: SessionId,
    user: UserId,
    instance: InstanceId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let members = Query::select()
        .column(members::Column::UserId)
        .from(members::Entity)
        .and_where(members::Column::InstanceId.eq(instance.to_string()))
        .and_where(members::Column::UserId.eq(user.to_string()))
        .to_owned();
    let found = live(now)
        .filter(sessions::Column::Id.eq(id.to_string()))
        .filter(sessions::Column::UserId.in_subquery(members))
        .one(db.connection())
        .await?;
    Ok(found.is_some())
}

/// Lists the live sessions of `user`, the newest first.
pub async fn of_user(db: &impl Access, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
    let rows = live(now)
        .filter(sessions::Column::UserId.eq(user.to_string()))
        .order_by_desc(sessions::Column::CreatedAt)
        .order_by_desc(sessions::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(session).collect()
}

/// Ends a session of `user`; returns whether it was live.
pub async fn revoke(tx: &Tx, id: SessionId, user: UserId, now: Timestamp) -> Result<bool, StoreError> {
    let updated = sessions::Entity::update_many()
        .col_expr(sessions::Column::RevokedAt, Expr::value(now.0))
        .filter(sessions::Column::Id.eq(id.to_string()))
        .filter(sessions::Column::UserId.eq(user.to_string()))
        .filter(sessions::Column::RevokedAt.is_null())
        .filter(sessions::Column::ExpiresAt.gt(now.0))
        .exec(tx.connection())
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Notes that a session was used.
pub async fn used(tx: &Tx, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
    sessions::Entity::update_many()
        .col_expr(sessions::Column::LastUsedAt, Expr::value(at.0))
        .filter(sessions::Column::Id.eq(id.to_string()))
        .filter(sessions::Column::LastUsedAt.lt(at.0))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Forgets sessions that ended before `before`; returns how many.
pub async fn sweep(tx: &Tx, before: Timestamp) -> Result<u64, StoreError> {
    let ended = sea_orm::Condition::any()
        .add(sessions::Column::ExpiresAt.lt(before.0))
        .add(sessions::Column::RevokedAt.lt(before.0));
    Ok(sessions::Entity::delete_many().filter(ended).exec(tx.connection()).await?.rows_affected)
}

fn live(now: Timestamp) -> Select<sessions::Entity> {
    sessions::Entity::find().filter(sessions::Column::RevokedAt.is_null()).filter(sessions::Column::ExpiresAt.gt(now.0))
}

fn session(row: sessions::Model) -> Result<Session, StoreError> {
    Ok(Session {
        id: parse(TABLE, &row.id)?,
        user: parse(TABLE, &row.user_id)?,
        kind: word(TABLE, &row.kind)?,
        label: row.label,
        created_at: Timestamp(row.created_at),
        last_used_at: Timestamp(row.last_used_at),
        expires_at: Timestamp(row.expires_at),
    })
}
