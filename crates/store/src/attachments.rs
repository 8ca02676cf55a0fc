//! Files beside messages. A list never reads their bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatroom_domain::attachments::Attachment;
use chatroom_protocol::{AttachmentId, MessageId, RoomId, Timestamp, UserId};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::entities::attachments::{ActiveModel, Column, Entity};
use crate::row::{count, number, parse, parse_option};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "attachments";

/// Everything but the bytes.
#[derive(FromQueryResult)]
struct Row {
    id: String,
    room_id: String,
    user_id: String,
    message_id: Option<String>,
    name: String,
    media: String,
    size: i64,
    created_at: i64,
}

/// Writes a new attachment, which waits for its message.
pub async fn insert(tx: &Tx, attachment: &Attachment, bytes: &[u8]) -> Result<(), StoreError> {
    ActiveModel {
        id: Set(attachment.id.to_string()),
        room_id: Set(attachment.room.to_string()),
        user_id: Set(attachment.user.to_string()),
        message_id: Set(None),
        place: Set(0),
        name: Set(attachment.name.as_str().to_owned()),
        media: Set(attachment.media.as_str().to_owned()),
        size: Set(number(TABLE, attachment.size)?),
        content: Set(STANDARD.encode(bytes)),
        created_at: Set(attachment.created_at.0),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Looks up an attachment of a room.
pub async fn find(db: &impl Access, room: RoomId, id: AttachmentId) -> Result<Option<Attachment>, StoreError> {
    without_bytes()
        .filter(Column::RoomId.eq(room.to_string()))
        .filter(Column::Id.eq(id.to_string()))
        .into_model::<Row>()
        .one(db.connection())
        .await?
        .as_ref()
        .map(attachment)
        .transpose()
}

/// Reads the bytes of an attachment.
pub async fn bytes(db: &impl Access, id: AttachmentId) -> Result<Option<Vec<u8>>, StoreError> {
    let content: Option<String> = Entity::find_by_id(id.to_string())
        .select_only()
        .column(Column::Content)
        .into_tuple()
        .one(db.connection())
        .await?;
    let decoded = content.map(|content| STANDARD.decode(content)).transpose();
    decoded.map_err(|why| StoreError::Row { table: TABLE, why: why.to_string() })
}

/// Lists the attachments of messages, those of each in their order.
pub async fn of_messages(db: &impl Access, messages: &[MessageId]) -> Result<Vec<Attachment>, StoreError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = without_bytes()
        .filter(Column::MessageId.is_in(messages.iter().map(MessageId::to_string)))
        .order_by_asc(Column::MessageId)
        .order_by_asc(Column::Place)
        .into_model::<Row>()
        .all(db.connection())
        .await?;
    rows.iter().map(attachment).collect()
}

/// Counts the attachments of a person that wait for their message.
pub async fn count_waiting(db: &impl Access, user: UserId) -> Result<u64, StoreError> {
    let waiting = Entity::find().filter(Column::UserId.eq(user.to_string())).filter(Column::MessageId.is_null());
    Ok(waiting.count(db.connection()).await?)
}

/// Puts an attachment that waits beside a message; returns whether there was one.
pub async fn claim(
    tx: &Tx,
    room: RoomId,
    user: UserId,
    id: AttachmentId,
    message: MessageId,
    place: usize,
) -> Result<bool, StoreError> {
    let claimed = Entity::update_many()
        .col_expr(Column::MessageId, Expr::value(message.to_string()))
        .col_expr(Column::Place, Expr::value(number::<usize>(TABLE, place)?))
        .filter(Column::Id.eq(id.to_string()))
        .filter(Column::RoomId.eq(room.to_string()))
        .filter(Column::UserId.eq(user.to_string()))
        .filter(Column::MessageId.is_null())
        .exec(tx.connection())
        .await?;
    Ok(claimed.rows_affected > 0)
}

/// Forgets at most `limit` attachments that have waited since before `before`; returns how many.
pub async fn prune(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let old = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::MessageId.is_null())
        .and_where(Column::CreatedAt.lt(before.0))
        .limit(limit)
        .to_owned();
    let deleted = Entity::delete_many().filter(Column::Id.in_subquery(old)).exec(tx.connection()).await?;
    Ok(deleted.rows_affected)
}

fn without_bytes() -> Select<Entity> {
    Entity::find().select_only().columns([
        Column::Id,
        Column::RoomId,
        Column::UserId,
        Column::MessageId,
        Column::Name,
        Column::Media,
        Column::Size,
        Column::CreatedAt,
    ])
}

fn attachment(row: &Row) -> Result<Attachment, StoreError> {
    Ok(Attachment {
        id: parse(TABLE, &row.id)?,
        room: parse(TABLE, &row.room_id)?,
        user: parse(TABLE, &row.user_id)?,
        message: parse_option(TABLE, row.message_id.as_deref())?,
        name: parse(TABLE, &row.name)?,
        media: parse(TABLE, &row.media)?,
        size: count(TABLE, row.size)?,
        created_at: Timestamp(row.created_at),
    })
}
