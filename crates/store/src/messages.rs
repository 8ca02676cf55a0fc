//! Messages: the history of a room, and the queue before it.

use chatroom_domain::messages::{Message, Sender};
use chatroom_protocol::api::rooms::{MessageKind, Target};
use chatroom_protocol::{MessageId, RoomId, TaskId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ActiveValue::Unchanged, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::entities::messages;
use crate::row::{parse, parse_option, word};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "messages";

/// Writes a new message.
pub async fn insert(tx: &Tx, message: &Message) -> Result<(), StoreError> {
    let kind = match message.kind {
        MessageKind::Message => "message",
        MessageKind::Handoff => "handoff",
        MessageKind::Progress => "progress",
        MessageKind::Notice => "notice",
    };
    messages::ActiveModel {
        id: Set(message.id.to_string()),
        room_id: Set(message.room.to_string()),
        kind: Set(kind.to_owned()),
        sender: Set(message.sender.as_str().to_owned()),
        user_id: Set(message.user.map(|user| user.to_string())),
        target: Set(message.target.as_ref().map(Target::to_string)),
        content: Set(message.content.clone()),
        position: Set(message.position),
        queued: Set(message.queued),
        task_id: Set(message.task.map(|task| task.to_string())),
        created_at: Set(message.created_at.0),
        run_id: Set(message.run.map(|run| run.to_string())),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Looks up a message of a room.
pub async fn find(db: &impl Access, room: RoomId, id: MessageId) -> Result<Option<Message>, StoreError> {
    let found = async {
        let row = of_room(room).filter(messages::Column::Id.eq(id.to_string())).one(db.connection()).await?;
        Ok::<_, StoreError>(row)
    };
    let these = [id];
    let (row, attachments) = tokio::try_join!(found, crate::attachments::of_messages(db, &these))?;
    row.map(|row| Ok(Message { attachments, ..message(row)? })).transpose()
}

/// Which part of a history is read.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Only what came after this position.
    pub after: Option<i64>,
    /// Only what came before this position.
    pub before: Option<i64>,
    /// Only what this sender said.
    pub sender: Option<String>,
    /// At most so many: the first ones after `after`, else the last ones.
    pub limit: u64,
}

/// Reads a room's history in order.
pub async fn history(db: &impl Access, room: RoomId, window: &Window) -> Result<Vec<Message>, StoreError> {
    let mut query = of_room(room).filter(messages::Column::Queued.eq(false)).limit(window.limit);
    if let Some(sender) = &window.sender {
        query = query.filter(messages::Column::Sender.eq(sender));
    }
    if let Some(before) = window.before {
        query = query.filter(messages::Column::Position.lt(before));
    }
    let rows = if let Some(after) = window.after {
        let next = query.filter(messages::Column::Position.gt(after)).order_by_asc(messages::Column::Position);
        next.all(db.connection()).await?
    } else {
        let mut last = query.order_by_desc(messages::Column::Position).all(db.connection()).await?;
        last.reverse();
        last
    };
    whole(db, rows).await
}

/// Reads what waits to become a task, in order.
pub async fn queue(db: &impl Access, room: RoomId) -> Result<Vec<Message>, StoreError> {
    let rows = of_room(room)
        .filter(messages::Column::Queued.eq(true))
        .order_by_asc(messages::Column::Position)
        .all(db.connection())
        .await?;
    whole(db, rows).await
}

/// Counts the messages that wait in a room.
pub async fn count_queued(db: &impl Access, room: RoomId) -> Result<u64, StoreError> {
    Ok(of_room(room).filter(messages::Column::Queued.eq(true)).count(db.connection()).await?)
}

/// Moves a queued message into the history, as the task it became.
pub async fn promote(tx: &Tx, id: MessageId, position: i64, task: TaskId, at: Timestamp) -> Result<(), StoreError> {
    messages::ActiveModel {
        id: Unchanged(id.to_string()),
        position: Set(position),
        queued: Set(false),
        task_id: Set(Some(task.to_string())),
        created_at: Set(at.0),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// Writes what a message that still waits says instead, and to whom; returns whether it was there.
pub async fn edit_queued(tx: &Tx, message: &Message) -> Result<bool, StoreError> {
    let edited = messages::Entity::update_many()
        .col_expr(messages::Column::Content, Expr::value(&message.content))
        .col_expr(messages::Column::Target, Expr::value(message.target.as_ref().map(Target::to_string)))
        .filter(messages::Column::RoomId.eq(message.room.to_string()))
        .filter(messages::Column::Id.eq(message.id.to_string()))
        .filter(messages::Column::Queued.eq(true))
        .exec(tx.connection())
        .await?;
    Ok(edited.rows_affected > 0)
}

/// Deletes a message that still waits in the queue; returns whether it was there.
pub async fn delete_queued(tx: &Tx, room: RoomId, id: MessageId) -> Result<bool, StoreError> {
    let deleted = messages::Entity::delete_many()
        .filter(messages::Column::RoomId.eq(room.to_string()))
        .filter(messages::Column::Id.eq(id.to_string()))
        .filter(messages::Column::Queued.eq(true))
        .exec(tx.connection())
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// Returns whether the platform has already said this about a task.
pub async fn has_notice(db: &impl Access, room: RoomId, task: TaskId, text: &str) -> Result<bool, StoreError> {
    let found = of_room(room)
        .filter(messages::Column::Kind.eq("notice"))
        .filter(messages::Column::TaskId.eq(task.to_string()))
        .filter(messages::Column::Content.eq(text))
        .one(db.connection())
        .await?;
    Ok(found.is_some())
}

fn of_room(room: RoomId) -> Select<messages::Entity> {
    messages::Entity::find().filter(messages::Column::RoomId.eq(room.to_string()))
}

/// Reads messages with what is beside them.
async fn whole(db: &impl Access, rows: Vec<messages::Model>) -> Result<Vec<Message>, StoreError> {
    let mut read = rows.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<MessageId> = read.iter().map(|message| message.id).collect();
    for attachment in crate::attachments::of_messages(db, &ids).await? {
        if let Some(message) = read.iter_mut().find(|message| Some(message.id) == attachment.message) {
            message.attachments.push(attachment);
        }
    }
    Ok(read)
}

fn message(row: messages::Model) -> Result<Message, StoreError> {
    Ok(Message {
        id: parse(TABLE, &row.id)?,
        room: parse(TABLE, &row.room_id)?,
        kind: word(TABLE, &row.kind)?,
        sender: match row.sender.as_str() {
            "user" => Sender::User,
            "system" => Sender::System,
            role => Sender::Role(parse(TABLE, role)?),
        },
        user: parse_option(TABLE, row.user_id.as_deref())?,
        target: row.target.as_deref().map(|target| parse(TABLE, target)).transpose()?,
        content: row.content,
        position: row.position,
        queued: row.queued,
        task: parse_option(TABLE, row.task_id.as_deref())?,
        created_at: Timestamp(row.created_at),
        run: parse_option(TABLE, row.run_id.as_deref())?,
        attachments: Vec::new(),
    })
}
