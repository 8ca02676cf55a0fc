//! Looking for a text in the rooms of a person.

use chatroom_domain::messages::excerpt;
use chatroom_protocol::api::search::{FoundMessage, FoundRoom};
use chatroom_protocol::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use crate::like::containing;
use crate::row::{number, parse, parse_option};
use crate::{Access, StoreError};

const ROOMS: &str = r"
SELECT rooms.id, rooms.name, rooms.archived_at
FROM rooms JOIN members ON members.instance_id = rooms.instance_id AND members.user_id = $1
WHERE LOWER(rooms.name) LIKE LOWER($2) ESCAPE '\'
ORDER BY rooms.id DESC
LIMIT $3";

const MESSAGES: &str = r"
SELECT said.id, said.room_id, rooms.name AS room_name, said.sender, said.user_id, said.run_id, said.queued,
  said.created_at, said.content
FROM messages AS said
JOIN rooms ON rooms.id = said.room_id
JOIN members ON members.instance_id = rooms.instance_id AND members.user_id = $1
WHERE LOWER(said.content) LIKE LOWER($2) ESCAPE '\'
ORDER BY said.created_at DESC, said.id DESC
LIMIT $3";

#[derive(FromQueryResult)]
struct RoomRow {
    id: String,
    name: String,
    archived_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct MessageRow {
    id: String,
    room_id: String,
    room_name: String,
    sender: String,
    user_id: Option<String>,
    run_id: Option<String>,
    queued: bool,
    created_at: i64,
    content: String,
}

/// Lists the rooms of `user` whose name has `text`, the newest first.
pub async fn rooms(db: &impl Access, user: UserId, text: &str, limit: u64) -> Result<Vec<FoundRoom>, StoreError> {
    const TABLE: &str = "rooms";
    let rows = RoomRow::find_by_statement(statement(db, ROOMS, user, text, limit)?).all(db.connection()).await?;
    let found = |row: RoomRow| {
        Ok(FoundRoom {
            chatroom_id: parse(TABLE, &row.id)?,
            name: row.name,
            archived_at: row.archived_at.map(Timestamp),
        })
    };
    rows.into_iter().map(found).collect()
}

/// Lists the messages in the rooms of `user` that have `text`, the newest first.
pub async fn messages(db: &impl Access, user: UserId, text: &str, limit: u64) -> Result<Vec<FoundMessage>, StoreError> {
    const TABLE: &str = "messages";
    let rows = MessageRow::find_by_statement(statement(db, MESSAGES, user, text, limit)?).all(db.connection()).await?;
    let found = |row: MessageRow| {
        Ok(FoundMessage {
            message_id: parse(TABLE, &row.id)?,
            chatroom_id: parse(TABLE, &row.room_id)?,
            chatroom_name: row.room_name,
            sender: row.sender,
            user_id: parse_option(TABLE, row.user_id.as_deref())?,
            run_id: parse_option(TABLE, row.run_id.as_deref())?,
            queued: row.queued,
            created_at: Timestamp(row.created_at),
            excerpt: excerpt(&row.content, text),
        })
    };
    rows.into_iter().map(found).collect()
}

fn statement(db: &impl Access, sql: &str, user: UserId, text: &str, limit: u64) -> Result<Statement, StoreError> {
    let values = [user.to_string().into(), containing(text).into(), number::<u64>("messages", limit)?.into()];
    Ok(Statement::from_sql_and_values(db.connection().get_database_backend(), sql, values))
}
