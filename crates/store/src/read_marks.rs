//! Up to where each person has read each room, and what is new behind that.

use chatroom_domain::rooms::Room;
use chatroom_protocol::{RoomId, Timestamp, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter,
    Statement,
};

use crate::entities::{read_marks, rooms};
use crate::like::containing;
use crate::row::{count, number};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "rooms";

/// Rooms of a person with what is new to them. What was said before they joined is not, nor what they said; both counts
/// end at 1,000, so that a room with a long history costs no more, and are made for the rooms of the page alone.
const LIST: &str = r"
SELECT rooms.*,
  (SELECT COUNT(*) FROM (SELECT 1 FROM messages AS said
    WHERE said.room_id = rooms.id AND said.queued = FALSE AND said.position > COALESCE(mark.position, 0)
      AND said.created_at >= members.joined_at AND NOT (said.sender = 'user' AND said.user_id = $1)
    LIMIT 1000) AS new_messages) AS unread,
  (SELECT COUNT(*) FROM (SELECT 1 FROM messages AS said
    WHERE said.room_id = rooms.id AND said.queued = FALSE AND said.position > COALESCE(mark.position, 0)
      AND said.created_at >= members.joined_at AND said.kind = 'handoff' AND said.target = 'user'
    LIMIT 1000) AS new_handoffs) AS handoffs
FROM (
  SELECT rooms.* FROM rooms
  JOIN members ON members.instance_id = rooms.instance_id AND members.user_id = $1
  WHERE (rooms.archived_at IS NOT NULL) = $2
    AND LOWER(rooms.name) LIKE LOWER($3) ESCAPE '\'
    AND ($4 = '' OR rooms.id < $4)
  ORDER BY rooms.id DESC
  LIMIT $5) AS rooms
JOIN members ON members.instance_id = rooms.instance_id AND members.user_id = $1
LEFT JOIN read_marks AS mark ON mark.room_id = rooms.id AND mark.user_id = $1
ORDER BY rooms.id DESC";

/// Which rooms of a person are asked for.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Those that are put away, instead of those that are not.
    pub archived: bool,
    /// Only those whose name has this in it.
    pub search: String,
    /// Only those made before this one.
    pub after: Option<RoomId>,
    /// At most so many.
    pub limit: u64,
}

/// A room with what is new in it to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The room.
    pub room: Room,
    /// When something was last said in it.
    pub active_at: Timestamp,
    /// How many messages they have not read, up to 1,000.
    pub unread: u64,
    /// How many hand-offs to people are among them.
    pub handoffs: u64,
}

/// Lists rooms `user` is a member of, the newest first, in one statement.
pub async fn list(db: &impl Access, user: UserId, which: &Which) -> Result<Vec<Listed>, StoreError> {
    let values = [
        user.to_string().into(),
        which.archived.into(),
        containing(&which.search).into(),
        which.after.map(|id| id.to_string()).unwrap_or_default().into(),
        number::<u64>(TABLE, which.limit)?.into(),
    ];
    let backend = db.connection().get_database_backend();
    let rows = db.connection().query_all_raw(Statement::from_sql_and_values(backend, LIST, values)).await?;
    let listed = |row: &sea_orm::QueryResult| {
        let model = rooms::Model::from_query_result(row, "")?;
        Ok(Listed {
            // A room of an older server has no time of its own.
            active_at: Timestamp(model.active_at.max(model.created_at)),
            unread: count(TABLE, row.try_get("", "unread")?)?,
            handoffs: count(TABLE, row.try_get("", "handoffs")?)?,
            room: crate::rooms::room(model)?,
        })
    };
    rows.iter().map(listed).collect()
}

/// Notes that `user` has read a room up to a position; never back. Returns whether that is new.
pub async fn advance(tx: &Tx, user: UserId, room: RoomId, position: i64) -> Result<bool, StoreError> {
    let mark = read_marks::Entity::find_by_id((user.to_string(), room.to_string())).one(tx.connection()).await?;
    match mark {
        None => {
            let mark = read_marks::ActiveModel {
                user_id: Set(user.to_string()),
                room_id: Set(room.to_string()),
                position: Set(position),
            };
            mark.insert(tx.connection()).await?;
        }
        Some(mark) if mark.position >= position => return Ok(false),
        Some(_) => {
            read_marks::Entity::update_many()
                .col_expr(read_marks::Column::Position, Expr::value(position))
                .filter(read_marks::Column::UserId.eq(user.to_string()))
                .filter(read_marks::Column::RoomId.eq(room.to_string()))
                .exec(tx.connection())
                .await?;
        }
    }
    Ok(true)
}
