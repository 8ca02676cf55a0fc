//! Runs: process incarnations of agents, as reported.

use chatroom_domain::access::Caller;
use chatroom_domain::agents::Run;
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::{MachineId, Role, RoomId, RunId, Timestamp};
use sea_orm::sea_query::{Condition, Expr, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ActiveValue::Unchanged, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::entities::{agents, runs};
use crate::row::{count, number, parse, parse_option, word};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "runs";

/// Writes a new run; its token works until `token_until`, unless renewed.
pub async fn insert(tx: &Tx, run: &Run, token: &TokenHash, token_until: Timestamp) -> Result<(), StoreError> {
    runs::ActiveModel {
        id: Set(run.id.to_string()),
        room_id: Set(run.room.to_string()),
        role: Set(run.role.to_string()),
        machine_id: Set(run.machine.to_string()),
        user_id: Set(run.user.to_string()),
        command_id: Set(run.command.to_string()),
        tool: Set(run.tool.to_string()),
        model: Set(run.model.as_ref().map(ToString::to_string)),
        working_dir: Set(run.working_dir.clone()),
        mode: Set(run.mode.as_str().to_owned()),
        form: Set(run.form.as_str().to_owned()),
        activity: Set(run.activity.as_str().to_owned()),
        pid: Set(run.pid.map(i64::from)),
        start_time: Set(run.start_time.map(|start| number(TABLE, start)).transpose()?),
        awaiting_handoff: Set(run.awaiting_handoff),
        token_hash: Set(token.0.clone()),
        token_until: Set(token_until.0),
        created_at: Set(run.created_at.0),
        exited_at: Set(run.exited_at.map(|at| at.0)),
        exit_reason: Set(run.exit.clone()),
        crashed: Set(run.crashed),
        trouble: Set(run.trouble.clone()),
        conversation: Set(run.conversation.as_ref().map(ToString::to_string)),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Forgets at most `limit` runs that ended before `before`, with their prompts and questions; returns how many.
///
/// The last run of an agent is kept, however old it is.
pub async fn prune(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let kept = Query::select()
        .column(agents::Column::RunId)
        .from(agents::Entity)
        .and_where(agents::Column::RunId.is_not_null())
        .to_owned();
    let old = Query::select()
        .column(runs::Column::Id)
        .from(runs::Entity)
        .and_where(runs::Column::ExitedAt.lt(before.0))
        .and_where(runs::Column::Id.not_in_subquery(kept))
        .limit(limit)
        .to_owned();
    let deleted = runs::Entity::delete_many().filter(runs::Column::Id.in_subquery(old)).exec(tx.connection()).await?;
    Ok(deleted.rows_affected)
}

/// Writes what has been reported of a run.
pub async fn update(tx: &Tx, run: &Run) -> Result<(), StoreError> {
    runs::ActiveModel {
        id: Unchanged(run.id.to_string()),
        activity: Set(run.activity.as_str().to_owned()),
        pid: Set(run.pid.map(i64::from)),
        start_time: Set(run.start_time.map(|start| number(TABLE, start)).transpose()?),
        awaiting_handoff: Set(run.awaiting_handoff),
        exited_at: Set(run.exited_at.map(|at| at.0)),
        exit_reason: Set(run.exit.clone()),
        crashed: Set(run.crashed),
        trouble: Set(run.trouble.clone()),
        conversation: Set(run.conversation.as_ref().map(ToString::to_string)),
        ..Default::default()
    }
    .update(tx.connection())
    .await?;
    Ok(())
}

/// Looks up a run for the platform itself; who may see it is for the caller to check.
pub async fn of(db: &impl Access, id: RunId) -> Result<Option<Run>, StoreError> {
    runs::Entity::find_by_id(id.to_string()).one(db.connection()).await?.map(run).transpose()
}

/// Returns which of these runs there are.
pub async fn known(db: &impl Access, ids: &[RunId]) -> Result<Vec<RunId>, StoreError> {
    let known: Vec<String> = runs::Entity::find()
        .select_only()
        .column(runs::Column::Id)
        .filter(runs::Column::Id.is_in(ids.iter().map(RunId::to_string)))
        .into_tuple()
        .all(db.connection())
        .await?;
    known.iter().map(|id| parse(TABLE, id)).collect()
}

/// Looks up a run of a machine, for what the machine says of it.
pub async fn on_machine(db: &impl Access, machine: MachineId, id: RunId) -> Result<Option<Run>, StoreError> {
    live_or_not(machine).filter(runs::Column::Id.eq(id.to_string())).one(db.connection()).await?.map(run).transpose()
}

/// Lists the runs of a machine that are not over.
pub async fn live_on(db: &impl Access, machine: MachineId) -> Result<Vec<Run>, StoreError> {
    let rows = live_or_not(machine)
        .filter(runs::Column::ExitedAt.is_null())
        .order_by_asc(runs::Column::CreatedAt)
        .all(db.connection())
        .await?;
    rows.into_iter().map(run).collect()
}

/// Lists the runs of a role that are not over, the newest first.
pub async fn live_in(db: &impl Access, room: RoomId, role: &Role) -> Result<Vec<Run>, StoreError> {
    let rows = runs::Entity::find()
        .filter(runs::Column::RoomId.eq(room.to_string()))
        .filter(runs::Column::Role.eq(role.to_string()))
        .filter(runs::Column::ExitedAt.is_null())
        .order_by_desc(runs::Column::CreatedAt)
        .order_by_desc(runs::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(run).collect()
}

/// Lists the roles of a room that have a run which is not over.
pub async fn live_roles(db: &impl Access, room: RoomId) -> Result<Vec<Role>, StoreError> {
    let roles: Vec<String> = runs::Entity::find()
        .select_only()
        .column(runs::Column::Role)
        .distinct()
        .filter(runs::Column::RoomId.eq(room.to_string()))
        .filter(runs::Column::ExitedAt.is_null())
        .into_tuple()
        .all(db.connection())
        .await?;
    roles.iter().map(|role| parse(TABLE, role)).collect()
}

/// Lists the runs of a role, the newest first: those made before `after`, at most `limit`.
pub async fn of_role(
    db: &impl Access,
    room: RoomId,
    role: &Role,
    after: Option<RunId>,
    limit: u64,
) -> Result<Vec<Run>, StoreError> {
    let mut query = runs::Entity::find()
        .filter(runs::Column::RoomId.eq(room.to_string()))
        .filter(runs::Column::Role.eq(role.to_string()));
    if let Some(after) = after {
        query = query.filter(runs::Column::Id.lt(after.to_string()));
    }
    let rows = query.order_by_desc(runs::Column::Id).limit(limit).all(db.connection()).await?;
    rows.into_iter().map(run).collect()
}

/// Lists the runs some rooms have right now, the newest first: those that are not over, and the last one of each role.
pub async fn present_in(db: &impl Access, rooms: &[RoomId]) -> Result<Vec<Run>, StoreError> {
    let rooms: Vec<String> = rooms.iter().map(RoomId::to_string).collect();
    let last = Query::select()
        .column(agents::Column::RunId)
        .from(agents::Entity)
        .and_where(agents::Column::RoomId.is_in(rooms.clone()))
        .and_where(agents::Column::RunId.is_not_null())
        .to_owned();
    let rows = runs::Entity::find()
        .filter(runs::Column::RoomId.is_in(rooms))
        .filter(Condition::any().add(runs::Column::ExitedAt.is_null()).add(runs::Column::Id.in_subquery(last)))
        .order_by_desc(runs::Column::CreatedAt)
        .order_by_desc(runs::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(run).collect()
}

/// Returns how many runs of a role crashed after `since`.
pub async fn crashes(db: &impl Access, room: RoomId, role: &Role, since: Timestamp) -> Result<u64, StoreError> {
    Ok(runs::Entity::find()
        .filter(runs::Column::RoomId.eq(room.to_string()))
        .filter(runs::Column::Role.eq(role.to_string()))
        .filter(runs::Column::Crashed.eq(true))
        .filter(runs::Column::ExitedAt.gt(since.0))
        .count(db.connection())
        .await?)
}

/// Looks up the live run a token belongs to; its lease must not be over.
pub async fn by_token(db: &impl Access, token: &TokenHash, now: Timestamp) -> Result<Option<Caller>, StoreError> {
    let row = runs::Entity::find()
        .filter(runs::Column::TokenHash.eq(&token.0))
        .filter(runs::Column::TokenUntil.gt(now.0))
        .filter(runs::Column::ExitedAt.is_null())
        .one(db.connection())
        .await?;
    row.map(|row| {
        Ok(Caller::Run {
            run: parse(TABLE, &row.id)?,
            room: parse(TABLE, &row.room_id)?,
            role: parse(TABLE, &row.role)?,
            user: parse(TABLE, &row.user_id)?,
            form: word(TABLE, &row.form)?,
        })
    })
    .transpose()
}

/// Renews the tokens of the live runs of many machines at once.
pub async fn renew_tokens(tx: &Tx, machines: &[MachineId], until: Timestamp) -> Result<(), StoreError> {
    for some in machines.chunks(500) {
        runs::Entity::update_many()
            .col_expr(runs::Column::TokenUntil, Expr::value(until.0))
            .filter(runs::Column::MachineId.is_in(some.iter().map(MachineId::to_string)))
            .filter(runs::Column::ExitedAt.is_null())
            .exec(tx.connection())
            .await?;
    }
    Ok(())
}

fn live_or_not(machine: MachineId) -> Select<runs::Entity> {
    runs::Entity::find().filter(runs::Column::MachineId.eq(machine.to_string()))
}

fn run(row: runs::Model) -> Result<Run, StoreError> {
    Ok(Run {
        id: parse(TABLE, &row.id)?,
        room: parse(TABLE, &row.room_id)?,
        role: parse(TABLE, &row.role)?,
        machine: parse(TABLE, &row.machine_id)?,
        user: parse(TABLE, &row.user_id)?,
        command: parse(TABLE, &row.command_id)?,
        tool: parse(TABLE, &row.tool)?,
        model: parse_option(TABLE, row.model.as_deref())?,
        working_dir: row.working_dir,
        mode: word(TABLE, &row.mode)?,
        form: word(TABLE, &row.form)?,
        activity: word(TABLE, &row.activity)?,
        pid: row.pid.map(|pid| count(TABLE, pid)).transpose()?,
        start_time: row.start_time.map(|start| count(TABLE, start)).transpose()?,
        awaiting_handoff: row.awaiting_handoff,
        created_at: Timestamp(row.created_at),
        exited_at: row.exited_at.map(Timestamp),
        exit: row.exit_reason,
        crashed: row.crashed,
        trouble: row.trouble,
        conversation: parse_option(TABLE, row.conversation.as_deref())?,
    })
}
