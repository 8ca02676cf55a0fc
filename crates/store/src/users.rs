//! People.

use std::collections::{BTreeSet, HashMap};

use chatroom_domain::accounts::{Email, User};
use chatroom_protocol::{Timestamp, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::entities::users;
use crate::row::parse;
use crate::{Access, StoreError, Tx};

const TABLE: &str = "users";

/// Writes a new person; without a password they sign in by link only.
pub async fn insert(tx: &Tx, user: &User, password_hash: Option<String>, at: Timestamp) -> Result<(), StoreError> {
    users::ActiveModel {
        id: Set(user.id.to_string()),
        email: Set(user.email.as_str().to_owned()),
        name: Set(user.name.clone()),
        password_hash: Set(password_hash),
        created_at: Set(at.0),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Returns what others see of these people.
pub async fn names(db: &impl Access, ids: &[UserId]) -> Result<HashMap<UserId, String>, StoreError> {
    let ids: BTreeSet<String> = ids.iter().map(UserId::to_string).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = users::Entity::find().filter(users::Column::Id.is_in(ids)).all(db.connection()).await?;
    rows.into_iter().map(|row| Ok((parse(TABLE, &row.id)?, row.name))).collect()
}

/// Looks up a person.
pub async fn find(db: &impl Access, id: UserId) -> Result<Option<User>, StoreError> {
    users::Entity::find_by_id(id.to_string()).one(db.connection()).await?.map(user).transpose()
}

/// Looks up whoever signs in with `email`, with the hash of their password.
pub async fn by_email(db: &impl Access, email: &Email) -> Result<Option<(User, Option<String>)>, StoreError> {
    let row = users::Entity::find().filter(users::Column::Email.eq(email.as_str())).one(db.connection()).await?;
    row.map(with_password).transpose()
}

/// Looks up the hash of a person's password.
pub async fn password_hash(db: &impl Access, id: UserId) -> Result<Option<String>, StoreError> {
    let row = users::Entity::find_by_id(id.to_string()).one(db.connection()).await?;
    Ok(row.and_then(|row| row.password_hash))
}

/// Replaces the hash of a person's password; without one they sign in by link only.
pub async fn set_password_hash(tx: &Tx, id: UserId, hash: Option<String>) -> Result<(), StoreError> {
    users::Entity::update_many()
        .col_expr(users::Column::PasswordHash, Expr::value(hash))
        .filter(users::Column::Id.eq(id.to_string()))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Lists whoever has this e-mail or, else, this name.
pub async fn called(db: &impl Access, who: &str) -> Result<Vec<User>, StoreError> {
    if let Ok(email) = Email::parse(who)
        && let Some((user, _)) = by_email(db, &email).await?
    {
        return Ok(vec![user]);
    }
    let rows = users::Entity::find()
        .filter(users::Column::Name.eq(who))
        .order_by_asc(users::Column::Email)
        .all(db.connection())
        .await?;
    rows.into_iter().map(user).collect()
}

/// Returns the person whose account is the oldest, if there is any.
pub async fn first(db: &impl Access) -> Result<Option<User>, StoreError> {
    users::Entity::find()
        .order_by_asc(users::Column::CreatedAt)
        .order_by_asc(users::Column::Id)
        .one(db.connection())
        .await?
        .map(user)
        .transpose()
}

fn with_password(row: users::Model) -> Result<(User, Option<String>), StoreError> {
    let hash = row.password_hash.clone();
    Ok((user(row)?, hash))
}

pub(crate) fn user(row: users::Model) -> Result<User, StoreError> {
    Ok(User {
        id: parse(TABLE, &row.id)?,
        email: Email::parse(&row.email).map_err(|why| StoreError::Row { table: TABLE, why: why.to_string() })?,
        name: row.name,
    })
}
