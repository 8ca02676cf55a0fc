//! Tasks.

use chatroom_domain::tasks::{Holder, Task};
use chatroom_protocol::api::tasks::TaskState;
use chatroom_protocol::{RoomId, TaskId, Timestamp};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};

use crate::entities::tasks;
use crate::row::{count, parse, parse_option, word};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "tasks";
const ACTIVE: [&str; 3] = ["pending", "acknowledged", "in_progress"];

/// Writes a new task.
pub async fn insert(tx: &Tx, task: &Task) -> Result<(), StoreError> {
    row(task, None).insert(tx.connection()).await?;
    Ok(())
}

/// Writes a task as it is now; `completed_at` where it has just been completed.
pub async fn update(tx: &Tx, task: &Task, completed_at: Option<Timestamp>) -> Result<(), StoreError> {
    let mut row = row(task, completed_at).reset_all();
    if completed_at.is_none() {
        row.completed_at = sea_orm::ActiveValue::NotSet;
    }
    row.update(tx.connection()).await?;
    Ok(())
}

/// Looks up a task of a room.
pub async fn find(db: &impl Access, room: RoomId, id: TaskId) -> Result<Option<Task>, StoreError> {
    of_room(room)
        .filter(tasks::Column::Id.eq(id.to_string()))
        .one(db.connection())
        .await?
        .as_ref()
        .map(task)
        .transpose()
}

/// Lists the tasks of a room that are not completed, by position.
pub async fn active(db: &impl Access, room: RoomId) -> Result<Vec<Task>, StoreError> {
    let rows = of_room(room)
        .filter(tasks::Column::State.is_in(ACTIVE))
        .order_by_asc(tasks::Column::Position)
        .all(db.connection())
        .await?;
    rows.iter().map(task).collect()
}

/// Lists the tasks of some rooms that are not completed.
pub async fn active_in(db: &impl Access, rooms: &[RoomId]) -> Result<Vec<Task>, StoreError> {
    let rows = tasks::Entity::find()
        .filter(tasks::Column::RoomId.is_in(rooms.iter().map(RoomId::to_string)))
        .filter(tasks::Column::State.is_in(ACTIVE))
        .all(db.connection())
        .await?;
    rows.iter().map(task).collect()
}

/// Lists the latest completed tasks of a room, the newest first.
pub async fn completed(db: &impl Access, room: RoomId, limit: u64) -> Result<Vec<Task>, StoreError> {
    let rows = of_room(room)
        .filter(tasks::Column::State.eq("completed"))
        .order_by_desc(tasks::Column::CompletedAt)
        .order_by_desc(tasks::Column::Position)
        .limit(limit)
        .all(db.connection())
        .await?;
    rows.iter().map(task).collect()
}

/// Counts the tasks of a room that are not completed.
pub async fn count_active(db: &impl Access, room: RoomId) -> Result<u64, StoreError> {
    Ok(of_room(room).filter(tasks::Column::State.is_in(ACTIVE)).count(db.connection()).await?)
}

/// Lists the tasks `holder` has right now.
pub async fn held_by(db: &impl Access, holder: &Holder) -> Result<Vec<Task>, StoreError> {
    let rows = tasks::Entity::find()
        .filter(tasks::Column::Holder.eq(holder.to_string()))
        .filter(tasks::Column::State.is_in(["acknowledged", "in_progress"]))
        .order_by_asc(tasks::Column::Position)
        .all(db.connection())
        .await?;
    rows.iter().map(task).collect()
}

/// Lists claims made before `before` that were never started, whoever made them.
pub async fn unstarted(db: &impl Access, before: Timestamp) -> Result<Vec<Task>, StoreError> {
    let rows = tasks::Entity::find()
        .filter(tasks::Column::State.eq("acknowledged"))
        .filter(tasks::Column::HeldSince.lt(before.0))
        .limit(100)
        .all(db.connection())
        .await?;
    rows.iter().map(task).collect()
}

fn of_room(room: RoomId) -> Select<tasks::Entity> {
    tasks::Entity::find().filter(tasks::Column::RoomId.eq(room.to_string()))
}

fn row(task: &Task, completed_at: Option<Timestamp>) -> tasks::ActiveModel {
    tasks::ActiveModel {
        id: Set(task.id.to_string()),
        room_id: Set(task.room.to_string()),
        role: Set(task.role.to_string()),
        state: Set(task.state.as_str().to_owned()),
        message_id: Set(task.message.to_string()),
        position: Set(task.position),
        author_id: Set(task.author.to_string()),
        carries_id: Set(task.carries.map(|user| user.to_string())),
        approved_by: Set(task.approved_by.map(|user| user.to_string())),
        holder: Set(task.holder.as_ref().map(Holder::to_string)),
        held_since: Set(task.held_since.map(|at| at.0)),
        hops: Set(i64::from(task.hops)),
        handoff_id: Set(task.handoff.map(|message| message.to_string())),
        next_id: Set(task.next.map(|task| task.to_string())),
        created_at: Set(task.created_at.0),
        completed_at: Set(completed_at.map(|at| at.0)),
    }
}

fn task(row: &tasks::Model) -> Result<Task, StoreError> {
    Ok(Task {
        id: parse(TABLE, &row.id)?,
        room: parse(TABLE, &row.room_id)?,
        role: parse(TABLE, &row.role)?,
        state: word::<TaskState>(TABLE, &row.state)?,
        message: parse(TABLE, &row.message_id)?,
        position: row.position,
        author: parse(TABLE, &row.author_id)?,
        carries: parse_option(TABLE, row.carries_id.as_deref())?,
        approved_by: parse_option(TABLE, row.approved_by.as_deref())?,
        holder: parse_option(TABLE, row.holder.as_deref())?,
        held_since: row.held_since.map(Timestamp),
        hops: count(TABLE, row.hops)?,
        handoff: parse_option(TABLE, row.handoff_id.as_deref())?,
        next: parse_option(TABLE, row.next_id.as_deref())?,
        created_at: Timestamp(row.created_at),
    })
}
