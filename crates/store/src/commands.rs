//! Commands.

use chatroom_domain::commands::{Command, PROCESSING_LIMIT_MS};
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::{CommandId, MachineId, Role, RoomId, Timestamp};
use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ActiveValue::Unchanged, ColumnTrait, Condition, EntityTrait, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, RelationDef, Select,
};

use crate::entities::{commands, machines};
use crate::row::{parse, parse_option, word};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "commands";
const TERMINAL: [CommandStatus; 3] = [CommandStatus::Completed, CommandStatus::Failed, CommandStatus::Expired];

/// Writes a new command, with what its push needs beside it, sealed.
pub async fn insert(tx: &Tx, command: &Command, push_sealed: String) -> Result<(), StoreError> {
    let (room, role) = command.slot.clone().unzip();
    commands::ActiveModel {
        id: Set(command.id.to_string()),
        machine_id: Set(command.machine.to_string()),
        kind: Set(command.kind.as_str().to_owned()),
        room_id: Set(room.map(|room: RoomId| room.to_string())),
        role: Set(role.map(|role: Role| role.to_string())),
        run_id: Set(command.run.map(|run| run.to_string())),
        push_sealed: Set(push_sealed),
        status: Set(command.status.as_str().to_owned()),
        result: Set(command.result.clone()),
        sent_by: Set(command.sent_by.to_string()),
        created_at: Set(command.created_at.0),
        deadline_at: Set(command.deadline_at.0),
        received_at: Set(command.received_at.map(|at| at.0)),
        processed_at: Set(command.processed_at.map(|at| at.0)),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Writes where a command is now. What its push needed is forgotten with its outcome.
pub async fn update(tx: &Tx, command: &Command) -> Result<(), StoreError> {
    let mut row = commands::ActiveModel {
        id: Unchanged(command.id.to_string()),
        status: Set(command.status.as_str().to_owned()),
        result: Set(command.result.clone()),
        received_at: Set(command.received_at.map(|at| at.0)),
        processed_at: Set(command.processed_at.map(|at| at.0)),
        ..Default::default()
    };
    if command.status.is_terminal() {
        row.push_sealed = Set(String::new());
    }
    row.update(tx.connection()).await?;
    Ok(())
}

/// Looks up a command for a machine.
pub async fn find(db: &impl Access, machine: MachineId, id: CommandId) -> Result<Option<Command>, StoreError> {
    of_machine(machine)
        .filter(commands::Column::Id.eq(id.to_string()))
        .one(db.connection())
        .await?
        .map(command)
        .transpose()
}

/// Lists the latest commands for a machine, the newest first, at most 100.
pub async fn list(
    db: &impl Access,
    machine: MachineId,
    status: Option<CommandStatus>,
) -> Result<Vec<Command>, StoreError> {
    let mut wanted = of_machine(machine);
    if let Some(status) = status {
        wanted = wanted.filter(commands::Column::Status.eq(status.as_str()));
    }
    let rows = wanted
        .order_by_desc(commands::Column::CreatedAt)
        .order_by_desc(commands::Column::Id)
        .limit(100)
        .all(db.connection())
        .await?;
    rows.into_iter().map(command).collect()
}

/// Counts the commands a machine has not taken yet.
pub async fn count_pending(db: &impl Access, machine: MachineId) -> Result<u64, StoreError> {
    Ok(pending_for(machine).count(db.connection()).await?)
}

/// What a machine has not taken yet.
#[derive(Debug)]
pub struct Pending {
    /// The command.
    pub command: Command,
    /// What its push needs, sealed.
    pub push_sealed: String,
    /// What proves the platform to the machine, sealed.
    pub platform_token_sealed: Option<String>,
}

/// Lists what a machine has not taken yet, the oldest first, each with all that its push needs.
pub async fn pending(db: &impl Access, machine: MachineId) -> Result<Vec<Pending>, StoreError> {
    let its: RelationDef = commands::Entity::belongs_to(machines::Entity)
        .from(commands::Column::MachineId)
        .to(machines::Column::Id)
        .into();
    let rows = pending_for(machine)
        .join(JoinType::InnerJoin, its)
        .select_also(machines::Entity)
        .order_by_asc(commands::Column::CreatedAt)
        .order_by_asc(commands::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter()
        .map(|(row, machine)| {
            Ok(Pending {
                push_sealed: row.push_sealed.clone(),
                command: command(row)?,
                platform_token_sealed: machine.and_then(|machine| machine.platform_token_sealed),
            })
        })
        .collect()
}

/// Returns whether a command about a role has no outcome on this machine yet.
pub async fn has_open(db: &impl Access, machine: MachineId, room: RoomId, role: &Role) -> Result<bool, StoreError> {
    let open = of_machine(machine)
        .filter(commands::Column::RoomId.eq(room.to_string()))
        .filter(commands::Column::Role.eq(role.to_string()))
        .filter(commands::Column::Status.is_in(["pending", "processing"]))
        .count(db.connection())
        .await?;
    Ok(open > 0)
}

/// Lists commands whose time is over at `now`: not taken before their deadline, or taken and never answered.
pub async fn overdue(db: &impl Access, now: Timestamp) -> Result<Vec<Command>, StoreError> {
    let untaken = Condition::all()
        .add(commands::Column::Status.eq(CommandStatus::Pending.as_str()))
        .add(commands::Column::DeadlineAt.lte(now.0));
    let unanswered = Condition::all()
        .add(commands::Column::Status.eq(CommandStatus::Processing.as_str()))
        .add(commands::Column::ReceivedAt.lte(now.plus_millis(-PROCESSING_LIMIT_MS).0));
    let rows = commands::Entity::find()
        .filter(Condition::any().add(untaken).add(unanswered))
        .order_by_asc(commands::Column::CreatedAt)
        .limit(100)
        .all(db.connection())
        .await?;
    rows.into_iter().map(command).collect()
}

/// Forgets at most `limit` commands that had their outcome before `before`; returns how many.
pub async fn prune(tx: &Tx, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let old = Query::select()
        .column(commands::Column::Id)
        .from(commands::Entity)
        .and_where(commands::Column::Status.is_in(TERMINAL.map(CommandStatus::as_str)))
        .and_where(commands::Column::ProcessedAt.lt(before.0))
        .limit(limit)
        .to_owned();
    let deleted =
        commands::Entity::delete_many().filter(commands::Column::Id.in_subquery(old)).exec(tx.connection()).await?;
    Ok(deleted.rows_affected)
}

fn of_machine(machine: MachineId) -> Select<commands::Entity> {
    commands::Entity::find().filter(commands::Column::MachineId.eq(machine.to_string()))
}

fn pending_for(machine: MachineId) -> Select<commands::Entity> {
    of_machine(machine).filter(commands::Column::Status.eq(CommandStatus::Pending.as_str()))
}

fn command(row: commands::Model) -> Result<Command, StoreError> {
    let room: Option<RoomId> = parse_option(TABLE, row.room_id.as_deref())?;
    let role: Option<Role> = parse_option(TABLE, row.role.as_deref())?;
    Ok(Command {
        id: parse(TABLE, &row.id)?,
        machine: parse(TABLE, &row.machine_id)?,
        kind: word(TABLE, &row.kind)?,
        slot: room.zip(role),
        run: parse_option(TABLE, row.run_id.as_deref())?,
        status: word(TABLE, &row.status)?,
        result: row.result,
        sent_by: parse(TABLE, &row.sent_by)?,
        created_at: Timestamp(row.created_at),
        deadline_at: Timestamp(row.deadline_at),
        received_at: row.received_at.map(Timestamp),
        processed_at: row.processed_at.map(Timestamp),
    })
}
