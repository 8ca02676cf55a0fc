//! Tenants and their members.

use chatroom_domain::accounts::{Instance, User};
use chatroom_protocol::{InstanceId, Timestamp, UserId};
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};

use crate::entities::{instances, members, users};
use crate::row::parse;
use crate::{Access, StoreError, Tx};

const TABLE: &str = "instances";

/// Writes a new instance with its owner as first member.
pub async fn insert(tx: &Tx, instance: &Instance, at: Timestamp) -> Result<(), StoreError> {
    instances::ActiveModel {
        id: Set(instance.id.to_string()),
        name: Set(instance.name.clone()),
        owner_id: Set(instance.owner.to_string()),
        feed_position: Set(0),
        feed_floor: Set(0),
        created_at: Set(at.0),
    }
    .insert(tx.connection())
    .await?;
    add_member(tx, instance.id, instance.owner, at).await?;
    Ok(())
}

/// Lists the instances `user` is a member of: their own first, then by age.
pub async fn of_user(db: &impl Access, user: UserId) -> Result<Vec<Instance>, StoreError> {
    let rows = seen_by(user)
        .order_by_asc(instances::Column::CreatedAt)
        .order_by_asc(instances::Column::Id)
        .all(db.connection())
        .await?;
    let mut found: Vec<Instance> = rows.into_iter().map(instance).collect::<Result<_, _>>()?;
    found.sort_by_key(|instance| instance.owner != user);
    Ok(found)
}

/// Looks up an instance `user` is a member of.
pub async fn find(db: &impl Access, id: InstanceId, user: UserId) -> Result<Option<Instance>, StoreError> {
    seen_by(user).filter(instances::Column::Id.eq(id.to_string())).one(db.connection()).await?.map(instance).transpose()
}

/// Lists the members of an instance in the order they joined, for one of them.
pub async fn members(db: &impl Access, id: InstanceId, reader: UserId) -> Result<Vec<User>, StoreError> {
    if find(db, id, reader).await?.is_none() {
        return Ok(Vec::new());
    }
    let joined = members::Entity::find()
        .filter(members::Column::InstanceId.eq(id.to_string()))
        .order_by_asc(members::Column::JoinedAt)
        .order_by_asc(members::Column::UserId)
        .all(db.connection())
        .await?;
    let people = users::Entity::find()
        .filter(users::Column::Id.is_in(joined.iter().map(|member| &member.user_id)))
        .all(db.connection())
        .await?;
    let order = |id: &str| joined.iter().position(|member| member.user_id == id);
    let mut people = people;
    people.sort_by_key(|row| order(&row.id));
    people.into_iter().map(crate::users::user).collect()
}

/// Makes `user` a member; returns whether they were none before.
pub async fn add_member(tx: &Tx, id: InstanceId, user: UserId, at: Timestamp) -> Result<bool, StoreError> {
    let added = members::Entity::insert(members::ActiveModel {
        instance_id: Set(id.to_string()),
        user_id: Set(user.to_string()),
        joined_at: Set(at.0),
    })
    .on_conflict(OnConflict::columns([members::Column::InstanceId, members::Column::UserId]).do_nothing().to_owned())
    .exec_without_returning(tx.connection())
    .await?;
    Ok(added > 0)
}

/// Ends a membership; returns whether there was one.
pub async fn remove_member(tx: &Tx, id: InstanceId, user: UserId) -> Result<bool, StoreError> {
    let removed = members::Entity::delete_by_id((id.to_string(), user.to_string())).exec(tx.connection()).await?;
    Ok(removed.rows_affected > 0)
}

fn seen_by(user: UserId) -> Select<instances::Entity> {
    let theirs = Query::select()
        .column(members::Column::InstanceId)
        .from(members::Entity)
        .and_where(members::Column::UserId.eq(user.to_string()))
        .to_owned();
    instances::Entity::find().filter(instances::Column::Id.in_subquery(theirs))
}

fn instance(row: instances::Model) -> Result<Instance, StoreError> {
    Ok(Instance { id: parse(TABLE, &row.id)?, name: row.name, owner: parse(TABLE, &row.owner_id)? })
}
