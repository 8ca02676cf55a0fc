//! Rooms.

use chatroom_domain::rooms::{Instructions, Room};
use chatroom_protocol::{InstanceId, RoomId, Timestamp, UserId};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};

use crate::entities::{members, rooms};
use crate::row::{json, parse, to_json};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "rooms";

/// Writes a new room.
pub async fn insert(tx: &Tx, room: &Room) -> Result<(), StoreError> {
    rooms::ActiveModel {
        instance_id: Set(room.instance.to_string()),
        roles: Set(to_json(TABLE, &room.roles)?),
        entry: Set(room.entry.to_string()),
        next_position: Set(0),
        created_at: Set(room.created_at.0),
        active_at: Set(room.created_at.0),
        ..changeable(room)
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Writes what may change of a room: its name, its standing instructions, and whether it is put away.
pub async fn update(tx: &Tx, room: &Room) -> Result<(), StoreError> {
    changeable(room).update(tx.connection()).await?;
    Ok(())
}

fn changeable(room: &Room) -> rooms::ActiveModel {
    let instructions = room.instructions.as_ref();
    rooms::ActiveModel {
        id: Set(room.id.to_string()),
        name: Set(room.name.clone()),
        instructions: Set(instructions.map(|said| said.text.clone())),
        instructions_by: Set(instructions.map(|said| said.by.to_string())),
        instructions_at: Set(instructions.map(|said| said.at.0)),
        archived_at: Set(room.archived_at.map(|at| at.0)),
        ..Default::default()
    }
}

/// Looks up a room that `user` is a member of.
pub async fn find(db: &impl Access, id: RoomId, user: UserId) -> Result<Option<Room>, StoreError> {
    seen_by(user).filter(rooms::Column::Id.eq(id.to_string())).one(db.connection()).await?.map(room).transpose()
}

/// Looks up a room for the platform itself, which asks on nobody's behalf.
pub async fn of(db: &impl Access, id: RoomId) -> Result<Option<Room>, StoreError> {
    rooms::Entity::find_by_id(id.to_string()).one(db.connection()).await?.map(room).transpose()
}

/// Lists the rooms `user` is a member of and that are not put away, the newest first.
pub async fn list(db: &impl Access, user: UserId) -> Result<Vec<Room>, StoreError> {
    let rows = seen_by(user)
        .filter(rooms::Column::ArchivedAt.is_null())
        .order_by_desc(rooms::Column::CreatedAt)
        .order_by_desc(rooms::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(room).collect()
}

/// Lists the rooms of an instance, for the platform itself.
pub async fn of_instance(db: &impl Access, instance: InstanceId) -> Result<Vec<Room>, StoreError> {
    let rows =
        rooms::Entity::find().filter(rooms::Column::InstanceId.eq(instance.to_string())).all(db.connection()).await?;
    rows.into_iter().map(room).collect()
}

/// Takes the next position of a room's history, for what is said there at `at`.
pub async fn next_position(tx: &Tx, id: RoomId, at: Timestamp) -> Result<i64, StoreError> {
    let row = advance(tx, rooms::Column::Id.eq(id.to_string()), at).await?;
    row.map(|row| row.next_position).ok_or_else(|| StoreError::Row { table: TABLE, why: format!("{id} is gone") })
}

/// Looks up a room that `user` is a member of and takes the next position of its history, in one question.
pub async fn speak(tx: &Tx, id: RoomId, user: UserId, at: Timestamp) -> Result<Option<(Room, i64)>, StoreError> {
    let row = advance(tx, rooms::Column::Id.eq(id.to_string()).and(is_seen_by(user)), at).await?;
    row.map(|row| {
        let position = row.next_position;
        Ok((room(row)?, position))
    })
    .transpose()
}

async fn advance(tx: &Tx, which: Expr, at: Timestamp) -> Result<Option<rooms::Model>, StoreError> {
    let rows = rooms::Entity::update_many()
        .col_expr(rooms::Column::NextPosition, Expr::col(rooms::Column::NextPosition).add(1))
        .col_expr(rooms::Column::ActiveAt, Expr::value(at.0))
        .filter(which)
        .exec_with_returning(tx.connection())
        .await?;
    Ok(rows.into_iter().next())
}

fn seen_by(user: UserId) -> Select<rooms::Entity> {
    rooms::Entity::find().filter(is_seen_by(user))
}

fn is_seen_by(user: UserId) -> Expr {
    let theirs = Query::select()
        .column(members::Column::InstanceId)
        .from(members::Entity)
        .and_where(members::Column::UserId.eq(user.to_string()))
        .to_owned();
    rooms::Column::InstanceId.in_subquery(theirs)
}

pub(crate) fn room(row: rooms::Model) -> Result<Room, StoreError> {
    Ok(Room {
        id: parse(TABLE, &row.id)?,
        instance: parse(TABLE, &row.instance_id)?,
        name: row.name,
        roles: json(TABLE, &row.roles)?,
        entry: parse(TABLE, &row.entry)?,
        created_at: Timestamp(row.created_at),
        instructions: match (row.instructions, row.instructions_by, row.instructions_at) {
            (Some(text), Some(by), Some(at)) => Some(Instructions { text, by: parse(TABLE, &by)?, at: Timestamp(at) }),
            _ => None,
        },
        archived_at: row.archived_at.map(Timestamp),
    })
}
