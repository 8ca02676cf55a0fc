//! Waiters: at most one per room and role.

use chatroom_domain::tasks::Waiter;
use chatroom_protocol::{Role, RoomId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect as _};

use crate::entities::waiters;
use crate::row::parse;
use crate::{Access, StoreError, Tx};

const TABLE: &str = "waiters";

/// Makes `waiter` the one of its role, whoever was it before.
pub async fn put(tx: &Tx, waiter: &Waiter) -> Result<(), StoreError> {
    use waiters::Column::{ConnectionId, EndedAt, JoinedAt, MachineId, RoomId, SeenAt, UserId};
    waiters::Entity::insert(waiters::ActiveModel {
        room_id: Set(waiter.room.to_string()),
        role: Set(waiter.role.to_string()),
        connection_id: Set(waiter.connection.clone()),
        user_id: Set(waiter.user.to_string()),
        machine_id: Set(waiter.machine.to_string()),
        joined_at: Set(waiter.joined_at.0),
        seen_at: Set(waiter.seen_at.0),
        ended_at: Set(waiter.ended_at.map(|at| at.0)),
    })
    .on_conflict(
        OnConflict::columns([RoomId, waiters::Column::Role])
            .update_columns([ConnectionId, UserId, MachineId, JoinedAt, SeenAt, EndedAt])
            .to_owned(),
    )
    .exec_without_returning(tx.connection())
    .await?;
    Ok(())
}

/// Looks up the waiter of a role.
pub async fn find(db: &impl Access, room: RoomId, role: &Role) -> Result<Option<Waiter>, StoreError> {
    waiters::Entity::find_by_id((room.to_string(), role.to_string()))
        .one(db.connection())
        .await?
        .map(waiter)
        .transpose()
}

/// Lists the waiters of a room.
pub async fn of_room(db: &impl Access, room: RoomId) -> Result<Vec<Waiter>, StoreError> {
    let rows =
        waiters::Entity::find().filter(waiters::Column::RoomId.eq(room.to_string())).all(db.connection()).await?;
    rows.into_iter().map(waiter).collect()
}

/// Lists the waiters of some rooms.
pub async fn of_rooms(db: &impl Access, rooms: &[RoomId]) -> Result<Vec<Waiter>, StoreError> {
    let of_these = waiters::Column::RoomId.is_in(rooms.iter().map(RoomId::to_string));
    let rows = waiters::Entity::find().filter(of_these).all(db.connection()).await?;
    rows.into_iter().map(waiter).collect()
}

/// Notes that a connection asked again at `at`; changes nothing if it is not the waiter any more.
pub async fn seen(tx: &Tx, room: RoomId, role: &Role, connection: &str, at: Timestamp) -> Result<bool, StoreError> {
    let updated = waiters::Entity::update_many()
        .col_expr(waiters::Column::SeenAt, Expr::value(at.0))
        .filter(waiters::Column::RoomId.eq(room.to_string()))
        .filter(waiters::Column::Role.eq(role.to_string()))
        .filter(waiters::Column::ConnectionId.eq(connection))
        .exec(tx.connection())
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Forgets at most `limit` waits that ended before `before`; returns how many.
pub async fn prune(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let ended =
        waiters::Entity::find().filter(waiters::Column::EndedAt.lt(before.0)).limit(limit).all(tx.connection()).await?;
    let mut forgotten = 0;
    for row in ended {
        forgotten += waiters::Entity::delete_by_id((row.room_id, row.role)).exec(tx.connection()).await?.rows_affected;
    }
    Ok(forgotten)
}

fn waiter(row: waiters::Model) -> Result<Waiter, StoreError> {
    Ok(Waiter {
        room: parse(TABLE, &row.room_id)?,
        role: parse(TABLE, &row.role)?,
        connection: row.connection_id,
        user: parse(TABLE, &row.user_id)?,
        machine: parse(TABLE, &row.machine_id)?,
        joined_at: Timestamp(row.joined_at),
        seen_at: Timestamp(row.seen_at),
        ended_at: row.ended_at.map(Timestamp),
    })
}
