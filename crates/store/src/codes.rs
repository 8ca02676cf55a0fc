//! Codes that work once: sign-up secrets, sign-in links, invitations, enrolments.

use chatroom_domain::accounts::CodePurpose;
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::{InstanceId, Timestamp, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::entities::one_time_codes;
use crate::row::parse_option;
use crate::{Access, StoreError, Tx};

const TABLE: &str = "one_time_codes";

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// What it is for.
    pub purpose: CodePurpose,
    /// Who made it, or whom it signs in.
    pub user: Option<UserId>,
    /// Which instance it leads to.
    pub instance: Option<InstanceId>,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Writes a new code.
pub async fn insert(tx: &Tx, code: &TokenHash, grant: Grant, at: Timestamp) -> Result<(), StoreError> {
    one_time_codes::ActiveModel {
        code_hash: Set(code.0.clone()),
        purpose: Set(grant.purpose.as_str().to_owned()),
        user_id: Set(grant.user.map(|id| id.to_string())),
        instance_id: Set(grant.instance.map(|id| id.to_string())),
        created_at: Set(at.0),
        expires_at: Set(grant.expires_at.0),
        used_at: Set(None),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Uses up a code, if it is for `purpose` and still good: whoever comes second gets `None`.
pub async fn take(
    tx: &Tx,
    code: &TokenHash,
    purpose: CodePurpose,
    now: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    let rows = one_time_codes::Entity::update_many()
        .col_expr(one_time_codes::Column::UsedAt, Expr::value(now.0))
        .filter(one_time_codes::Column::CodeHash.eq(&code.0))
        .filter(one_time_codes::Column::Purpose.eq(purpose.as_str()))
        .filter(one_time_codes::Column::UsedAt.is_null())
        .filter(one_time_codes::Column::ExpiresAt.gt(now.0))
        .exec_with_returning(tx.connection())
        .await?;
    rows.into_iter().next().map(|row| grant(purpose, &row)).transpose()
}

/// Forgets the unused codes of a purpose.
pub async fn withdraw_all(tx: &Tx, purpose: CodePurpose) -> Result<(), StoreError> {
    one_time_codes::Entity::delete_many()
        .filter(one_time_codes::Column::Purpose.eq(purpose.as_str()))
        .filter(one_time_codes::Column::UsedAt.is_null())
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Forgets the unused codes `user` made for an instance, such as the invitations of a member who left.
pub async fn withdraw(tx: &Tx, user: UserId, instance: InstanceId) -> Result<(), StoreError> {
    one_time_codes::Entity::delete_many()
        .filter(one_time_codes::Column::UserId.eq(user.to_string()))
        .filter(one_time_codes::Column::InstanceId.eq(instance.to_string()))
        .filter(one_time_codes::Column::UsedAt.is_null())
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Forgets codes that stopped working before `before`; returns how many.
pub async fn sweep(tx: &Tx, before: Timestamp) -> Result<u64, StoreError> {
    let old = one_time_codes::Column::ExpiresAt.lt(before.0);
    Ok(one_time_codes::Entity::delete_many().filter(old).exec(tx.connection()).await?.rows_affected)
}

fn grant(purpose: CodePurpose, row: &one_time_codes::Model) -> Result<Grant, StoreError> {
    Ok(Grant {
        purpose,
        user: parse_option(TABLE, row.user_id.as_deref())?,
        instance: parse_option(TABLE, row.instance_id.as_deref())?,
        expires_at: Timestamp(row.expires_at),
    })
}
