//! The feed: every change of state, in one order per instance.
//!
//! A position is taken from the instance's counter in the same transaction as
//! the change, so a reader that has seen a position never misses a smaller one
//! that commits later.

use chatroom_protocol::api::events::EventView;
use chatroom_protocol::{InstanceId, MachineId, Role, RoomId, Timestamp, UserId};
use sea_orm::sea_query::{Expr, ExprTrait as _, IntoCondition as _, LikeExpr, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait as _, DbBackend, EntityTrait, JoinType, QueryFilter,
    QueryOrder, QuerySelect, RelationDef, Statement, Value,
};

use crate::entities::{events, instances, members};
use crate::like::escaped;
use crate::row::{parse, parse_option};
use crate::{Access, StoreError, Tx};

/// How many events one statement writes: a database takes only so many values at once.
const AT_ONCE: usize = 500;
/// Up to how many events are written as their feeds are moved on, where that is one statement: each number of them is
/// another statement, which the database keeps prepared.
const TOGETHER: usize = 8;
/// What an event is, beside where and when.
const FIELDS: &str = "kind, private_to, user_id, room_id, role, machine_id, subject, outcome";

/// A change about to be written to the feed.
#[derive(Debug, Clone, Default)]
pub struct NewEvent {
    /// What happened, such as `task.completed`.
    pub kind: &'static str,
    /// The only member who may see it, for what concerns one person's machine.
    pub private_to: Option<UserId>,
    /// Who did it.
    pub user: Option<UserId>,
    /// The room.
    pub room: Option<RoomId>,
    /// The role.
    pub role: Option<Role>,
    /// The machine.
    pub machine: Option<MachineId>,
    /// The id of what changed.
    pub subject: Option<String>,
    /// The new state or the outcome.
    pub outcome: Option<String>,
}

/// Which feeds an event is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feeds {
    /// That of an instance.
    Of(InstanceId),
    /// Each one a person reads.
    ReadBy(UserId),
}

/// Writes events, one after another, to the same feeds; returns those, each with the position of the last event in it.
pub async fn append(
    tx: &Tx,
    feeds: Feeds,
    at: Timestamp,
    new: Vec<NewEvent>,
) -> Result<Vec<(InstanceId, i64)>, StoreError> {
    let is_short = (1..=TOGETHER).contains(&new.len());
    let advanced = match tx.connection().get_database_backend() {
        DbBackend::Postgres if is_short => advance_and_write(tx, feeds, at, &new).await?,
        _ => {
            let advanced = advance(tx, feeds, new.len()).await?;
            write(tx, &advanced, at, &new).await?;
            advanced
        }
    };
    if let (Feeds::Of(instance), true) = (feeds, advanced.is_empty()) {
        return Err(StoreError::Row { table: "instances", why: format!("{instance} is gone") });
    }
    advanced.into_iter().map(|(feed, position)| Ok((parse("instances", &feed)?, position))).collect()
}

/// Moves feeds on; returns each with its position then.
async fn advance(tx: &Tx, feeds: Feeds, by: usize) -> Result<Vec<(String, i64)>, StoreError> {
    let which = match feeds {
        Feeds::Of(instance) => instances::Column::Id.eq(instance.to_string()),
        Feeds::ReadBy(user) => instances::Column::Id.in_subquery(
            Query::select()
                .column(members::Column::InstanceId)
                .from(members::Entity)
                .and_where(members::Column::UserId.eq(user.to_string()))
                .to_owned(),
        ),
    };
    let advanced = instances::Entity::update_many()
        .col_expr(instances::Column::FeedPosition, Expr::col(instances::Column::FeedPosition).add(count(by)))
        .filter(which)
        .exec_with_returning(tx.connection())
        .await?;
    Ok(advanced.into_iter().map(|feed| (feed.id, feed.feed_position)).collect())
}

/// Writes events to each of the feeds, up to the position it has.
async fn write(tx: &Tx, feeds: &[(String, i64)], at: Timestamp, new: &[NewEvent]) -> Result<(), StoreError> {
    let rows: Vec<_> = feeds
        .iter()
        .flat_map(|(feed, last)| {
            (last - count(new.len()) + 1..).zip(new).map(|(position, event)| row(feed, position, at, event))
        })
        .collect();
    for some in rows.chunks(AT_ONCE) {
        events::Entity::insert_many(some.iter().cloned()).exec_without_returning(tx.connection()).await?;
    }
    Ok(())
}

/// Does both in one statement: with PostgreSQL the way there and back takes longer than what is done there, and nearly
/// every change has an event. SQLite has no statement within another.
async fn advance_and_write(
    tx: &Tx,
    feeds: Feeds,
    at: Timestamp,
    new: &[NewEvent],
) -> Result<Vec<(String, i64)>, StoreError> {
    let (which, who) = match feeds {
        Feeds::Of(instance) => ("id = $1", instance.to_string()),
        Feeds::ReadBy(user) => ("id IN (SELECT instance_id FROM members WHERE user_id = $1)", user.to_string()),
    };
    let mut values: Vec<Value> = vec![who.into(), count(new.len()).into(), at.0.into()];
    let mut rows = Vec::new();
    for (number, event) in (1..).zip(new) {
        let first = values.len() + 1;
        let fields: Vec<_> = (first..first + 8).map(|number| format!("${number}::text")).collect();
        rows.push(format!("({number}, {})", fields.join(", ")));
        values.push(event.kind.into());
        values.extend(words(event).map(Value::from));
    }
    let sql = format!(
        "WITH moved AS (UPDATE instances SET feed_position = feed_position + $2 WHERE {which} RETURNING id, feed_position), \
         written AS ( \
           INSERT INTO events (instance_id, position, at, {FIELDS}) \
           SELECT moved.id, moved.feed_position - $2 + new.number, $3, {FIELDS} \
           FROM moved CROSS JOIN (VALUES {}) AS new (number, {FIELDS})) \
         SELECT id, feed_position FROM moved",
        rows.join(", ")
    );
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let moved = tx.connection().query_all_raw(statement).await?;
    moved.iter().map(|row| Ok((row.try_get("", "id")?, row.try_get("", "feed_position")?))).collect()
}

fn count(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

fn row(feed: &str, position: i64, at: Timestamp, event: &NewEvent) -> events::ActiveModel {
    let [private_to, user_id, room_id, role, machine_id, subject, outcome] = words(event).map(Set);
    events::ActiveModel {
        instance_id: Set(feed.to_owned()),
        position: Set(position),
        at: Set(at.0),
        kind: Set(event.kind.to_owned()),
        private_to,
        user_id,
        room_id,
        role,
        machine_id,
        subject,
        outcome,
    }
}

/// Returns what an event has beside its kind, as [`FIELDS`] names it.
fn words(event: &NewEvent) -> [Option<String>; 7] {
    [
        event.private_to.map(|id| id.to_string()),
        event.user.map(|id| id.to_string()),
        event.room.map(|id| id.to_string()),
        event.role.as_ref().map(Role::to_string),
        event.machine.map(|id| id.to_string()),
        event.subject.clone(),
        event.outcome.clone(),
    ]
}

/// What a reader of the feed gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// Events after the asked position, and where to read on.
    Events(Vec<EventView>, i64),
    /// The feed begins later now: start again from here.
    Truncated(i64),
}

/// Returns the position of the last event of a feed.
pub async fn last(db: &impl Access, instance: InstanceId) -> Result<i64, StoreError> {
    let feed = instances::Entity::find_by_id(instance.to_string()).one(db.connection()).await?;
    Ok(feed.map_or(0, |feed| feed.feed_position))
}

/// Reads what `reader` may see of a feed after `after`, at most `limit` events.
pub async fn read(
    db: &impl Access,
    instance: InstanceId,
    reader: UserId,
    after: i64,
    limit: u64,
) -> Result<Page, StoreError> {
    // One question: whoever follows a feed asks it with every event.
    let private = seen_by(reader);
    let of_feed: RelationDef = events::Entity::belongs_to(instances::Entity)
        .from(events::Column::InstanceId)
        .to(instances::Column::Id)
        .on_condition(move |_, _| {
            Condition::all().add(events::Column::Position.gt(after)).add(private.clone()).into_condition()
        })
        .into();
    let rows = instances::Entity::find_by_id(instance.to_string())
        .join(JoinType::LeftJoin, of_feed.rev())
        .select_also(events::Entity)
        .order_by_asc(events::Column::Position)
        .limit(limit)
        .all(db.connection())
        .await?;
    let Some((feed, _)) = rows.first() else {
        return Ok(Page::Events(Vec::new(), after));
    };
    if after < feed.feed_floor {
        return Ok(Page::Truncated(feed.feed_floor));
    }
    let position = feed.feed_position;
    let found: Vec<_> = rows.into_iter().filter_map(|(_, event)| event).collect();
    let full = u64::try_from(found.len()).is_ok_and(|found| found == limit);
    let seen = found.last().map_or(after, |row| row.position);
    let next = if full { seen } else { Ord::max(seen, position) };
    Ok(Page::Events(found.into_iter().map(view).collect::<Result<_, _>>()?, next))
}

/// Which events are looked for, back from a position.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Only those before this position.
    pub before: i64,
    /// Only those about this room.
    pub room: Option<RoomId>,
    /// Only those about this machine.
    pub machine: Option<MachineId>,
    /// Only what this person did.
    pub user: Option<UserId>,
    /// Only those of this kind, such as `task.completed`, or of this noun, such as `task`.
    pub kind: Option<String>,
    /// Only those at this time or later.
    pub since: Option<Timestamp>,
    /// Only those at this time or earlier.
    pub until: Option<Timestamp>,
    /// At most so many.
    pub limit: u64,
}

/// Reads what `reader` may see of a feed backwards, the newest first, with the names of who did it; and where to read on,
/// 0 if nothing older is there.
pub async fn past(
    db: &impl Access,
    instance: InstanceId,
    reader: UserId,
    which: &Past,
) -> Result<(Vec<EventView>, i64), StoreError> {
    let mut query = events::Entity::find()
        .filter(events::Column::InstanceId.eq(instance.to_string()))
        .filter(events::Column::Position.lt(which.before))
        .filter(seen_by(reader));
    let equal = [
        (events::Column::RoomId, which.room.map(|id| id.to_string())),
        (events::Column::MachineId, which.machine.map(|id| id.to_string())),
        (events::Column::UserId, which.user.map(|id| id.to_string())),
    ];
    for (column, wanted) in equal {
        if let Some(wanted) = wanted {
            query = query.filter(column.eq(wanted));
        }
    }
    if let Some(kind) = &which.kind {
        let of_noun = LikeExpr::new(format!("{}.%", escaped(kind))).escape('\\');
        let of_noun = Expr::col(events::Column::Kind).like(of_noun);
        query = query.filter(Condition::any().add(events::Column::Kind.eq(kind)).add(of_noun));
    }
    if let Some(since) = which.since {
        query = query.filter(events::Column::At.gte(since.0));
    }
    if let Some(until) = which.until {
        query = query.filter(events::Column::At.lte(until.0));
    }
    let rows = query.order_by_desc(events::Column::Position).limit(which.limit).all(db.connection()).await?;
    let full = u64::try_from(rows.len()).is_ok_and(|found| found == which.limit);
    let next = rows.last().filter(|_| full).map_or(0, |row| row.position);
    let mut views = rows.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let who: Vec<UserId> = views.iter().filter_map(|event| event.user_id).collect();
    let names = crate::users::names(db, &who).await?;
    for event in &mut views {
        event.user_name = event.user_id.and_then(|id| names.get(&id).cloned());
    }
    Ok((views, next))
}

/// What concerns one person's machine alone is shown to that person alone.
fn seen_by(reader: UserId) -> Condition {
    Condition::any().add(events::Column::PrivateTo.is_null()).add(events::Column::PrivateTo.eq(reader.to_string()))
}

/// Forgets events older than `before`, of each feed at most `limit`; returns how many.
pub async fn prune(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut forgotten = 0;
    for feed in instances::Entity::find().all(tx.connection()).await? {
        let last = events::Entity::find()
            .filter(events::Column::InstanceId.eq(&feed.id))
            .filter(events::Column::At.lt(before.0))
            .order_by_desc(events::Column::Position)
            .one(tx.connection())
            .await?;
        let Some(last) = last else { continue };
        let floor = Ord::min(last.position, feed.feed_floor.saturating_add(limit));
        forgotten += events::Entity::delete_many()
            .filter(events::Column::InstanceId.eq(&feed.id))
            .filter(events::Column::Position.lte(floor))
            .exec(tx.connection())
            .await?
            .rows_affected;
        instances::Entity::update_many()
            .col_expr(instances::Column::FeedFloor, Expr::value(floor))
            .filter(instances::Column::Id.eq(&feed.id))
            .exec(tx.connection())
            .await?;
    }
    Ok(forgotten)
}

fn view(row: events::Model) -> Result<EventView, StoreError> {
    const TABLE: &str = "events";
    Ok(EventView {
        position: row.position,
        at: Timestamp(row.at),
        kind: row.kind,
        user_id: parse_option(TABLE, row.user_id.as_deref())?,
        user_name: None,
        chatroom_id: parse_option(TABLE, row.room_id.as_deref())?,
        role: row.role.as_deref().map(|role| parse(TABLE, role)).transpose()?,
        machine_id: parse_option(TABLE, row.machine_id.as_deref())?,
        subject: row.subject,
        outcome: row.outcome,
    })
}
