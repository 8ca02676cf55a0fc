//! Questions of runs, which a person answers.

use chatroom_domain::agents::Permission;
use chatroom_protocol::{PermissionId, RunId, Timestamp, UserId};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::entities::permissions;
use crate::row::parse;
use crate::{Access, StoreError, Tx};

const TABLE: &str = "permissions";

/// Writes a question; one that is there already stays as it was asked. Returns whether it is new.
pub async fn insert(tx: &Tx, permission: &Permission) -> Result<bool, StoreError> {
    let written = permissions::Entity::insert(permissions::ActiveModel {
        id: Set(permission.id.to_string()),
        run_id: Set(permission.run.to_string()),
        title: Set(permission.title.clone()),
        input: Set(permission.input.clone()),
        digest: Set(permission.digest.clone()),
        asked_at: Set(permission.asked_at.0),
        outcome: Set(permission.outcome.clone()),
        answered_by: Set(None),
        always: Set(permission.always.clone()),
    })
    .on_conflict(OnConflict::column(permissions::Column::Id).do_nothing().to_owned())
    .exec_without_returning(tx.connection())
    .await?;
    Ok(written > 0)
}

/// Looks up a question of a run.
pub async fn find(db: &impl Access, run: RunId, id: PermissionId) -> Result<Option<Permission>, StoreError> {
    permissions::Entity::find_by_id(id.to_string())
        .filter(permissions::Column::RunId.eq(run.to_string()))
        .one(db.connection())
        .await?
        .map(permission)
        .transpose()
}

/// Lists the open questions of a run, the oldest first.
pub async fn open(db: &impl Access, run: RunId) -> Result<Vec<Permission>, StoreError> {
    let rows = permissions::Entity::find()
        .filter(permissions::Column::RunId.eq(run.to_string()))
        .filter(permissions::Column::Outcome.is_null())
        .order_by_asc(permissions::Column::AskedAt)
        .order_by_asc(permissions::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(permission).collect()
}

/// Closes an open question; returns whether it was open.
pub async fn close(
    tx: &Tx,
    run: RunId,
    id: PermissionId,
    outcome: &str,
    by: Option<UserId>,
) -> Result<bool, StoreError> {
    let closed = permissions::Entity::update_many()
        .col_expr(permissions::Column::Outcome, Expr::value(outcome))
        .col_expr(permissions::Column::AnsweredBy, Expr::value(by.map(|user| user.to_string())))
        .filter(permissions::Column::Id.eq(id.to_string()))
        .filter(permissions::Column::RunId.eq(run.to_string()))
        .filter(permissions::Column::Outcome.is_null())
        .exec(tx.connection())
        .await?;
    Ok(closed.rows_affected > 0)
}

/// Closes every open question of a run that is over.
pub async fn withdraw_all(tx: &Tx, run: RunId) -> Result<(), StoreError> {
    permissions::Entity::update_many()
        .col_expr(permissions::Column::Outcome, Expr::value("withdrawn"))
        .filter(permissions::Column::RunId.eq(run.to_string()))
        .filter(permissions::Column::Outcome.is_null())
        .exec(tx.connection())
        .await?;
    Ok(())
}

fn permission(row: permissions::Model) -> Result<Permission, StoreError> {
    Ok(Permission {
        id: parse(TABLE, &row.id)?,
        run: parse(TABLE, &row.run_id)?,
        title: row.title,
        input: row.input,
        always: row.always,
        digest: row.digest,
        asked_at: Timestamp(row.asked_at),
        outcome: row.outcome,
    })
}
