//! CLI devices that ask to be let in. Both codes are known by their hashes alone.

use chatroom_domain::accounts::DEVICE_INTERVAL_S;
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::{Timestamp, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, Select};

use crate::entities::device_logins;
use crate::row::parse;
use crate::{Access, StoreError, Tx};

const TABLE: &str = "device_logins";
const PENDING: &str = "pending";
const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";

/// A device that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As it named itself.
    pub device: String,
    /// The version of its program.
    pub version: String,
    /// When it asked.
    pub created_at: Timestamp,
    /// When it can no longer be let in.
    pub expires_at: Timestamp,
}

/// What a poll finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Nobody has decided.
    Pending,
    /// The poll before was a moment ago.
    TooSoon,
    /// A person refused. The request is gone.
    Denied,
    /// A person let it in. The request is gone: it is picked up once.
    Allowed(UserId, Request),
}

/// Writes a new request.
pub async fn insert(
    tx: &Tx,
    device_code: &TokenHash,
    user_code: &TokenHash,
    request: &Request,
) -> Result<(), StoreError> {
    device_logins::ActiveModel {
        device_code_hash: Set(device_code.0.clone()),
        user_code_hash: Set(user_code.0.clone()),
        device: Set(request.device.clone()),
        version: Set(request.version.clone()),
        state: Set(PENDING.to_owned()),
        user_id: Set(None),
        created_at: Set(request.created_at.0),
        expires_at: Set(request.expires_at.0),
        polled_at: Set(None),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Looks up an undecided request by what its person typed.
pub async fn find(db: &impl Access, user_code: &TokenHash, now: Timestamp) -> Result<Option<Request>, StoreError> {
    let row = live(now)
        .filter(device_logins::Column::UserCodeHash.eq(&user_code.0))
        .filter(device_logins::Column::State.eq(PENDING))
        .one(db.connection())
        .await?;
    Ok(row.as_ref().map(request))
}

/// Writes a person's decision; returns the request if it was still undecided.
pub async fn decide(
    tx: &Tx,
    user_code: &TokenHash,
    user: UserId,
    decision: Decision,
    now: Timestamp,
) -> Result<Option<Request>, StoreError> {
    let state = match decision {
        Decision::Allow => ALLOWED,
        Decision::Deny => DENIED,
    };
    let rows = device_logins::Entity::update_many()
        .col_expr(device_logins::Column::State, Expr::value(state))
        .col_expr(device_logins::Column::UserId, Expr::value(user.to_string()))
        .filter(device_logins::Column::UserCodeHash.eq(&user_code.0))
        .filter(device_logins::Column::State.eq(PENDING))
        .filter(device_logins::Column::ExpiresAt.gt(now.0))
        .exec_with_returning(tx.connection())
        .await?;
    Ok(rows.first().map(request))
}

/// Asks where a request stands, and takes it away once it is decided. Unknown and expired are `None`.
pub async fn poll(tx: &Tx, device_code: &TokenHash, now: Timestamp) -> Result<Option<Polled>, StoreError> {
    let row = live(now).filter(device_logins::Column::DeviceCodeHash.eq(&device_code.0)).one(tx.connection()).await?;
    let Some(row) = row else { return Ok(None) };
    if row.state == PENDING {
        // A little less than the interval, for the jitter of timers.
        let soon = i64::from(DEVICE_INTERVAL_S) * 1000 - 500;
        let too_soon = row.polled_at.is_some_and(|at| now.millis_since(Timestamp(at)) < soon);
        device_logins::Entity::update_many()
            .col_expr(device_logins::Column::PolledAt, Expr::value(now.0))
            .filter(device_logins::Column::DeviceCodeHash.eq(&device_code.0))
            .exec(tx.connection())
            .await?;
        return Ok(Some(if too_soon { Polled::TooSoon } else { Polled::Pending }));
    }
    device_logins::Entity::delete_by_id(&device_code.0).exec(tx.connection()).await?;
    if row.state == DENIED {
        return Ok(Some(Polled::Denied));
    }
    let user = row.user_id.as_deref().ok_or(StoreError::Row { table: TABLE, why: "allowed by nobody".into() })?;
    Ok(Some(Polled::Allowed(parse(TABLE, user)?, request(&row))))
}

/// Forgets requests that expired before `before`; returns how many.
pub async fn sweep(tx: &Tx, before: Timestamp) -> Result<u64, StoreError> {
    let old = device_logins::Column::ExpiresAt.lt(before.0);
    Ok(device_logins::Entity::delete_many().filter(old).exec(tx.connection()).await?.rows_affected)
}

fn live(now: Timestamp) -> Select<device_logins::Entity> {
    device_logins::Entity::find().filter(device_logins::Column::ExpiresAt.gt(now.0))
}

fn request(row: &device_logins::Model) -> Request {
    Request {
        device: row.device.clone(),
        version: row.version.clone(),
        created_at: Timestamp(row.created_at),
        expires_at: Timestamp(row.expires_at),
    }
}
