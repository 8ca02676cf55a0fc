//! Agents: what people want of each role, and which run it points to.

use chatroom_domain::agents::{Agent, Desired};
use chatroom_protocol::{MachineId, Role, RoomId, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::entities::agents;
use crate::row::{parse, parse_option};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "agents";

/// Writes a slot as it is now.
pub async fn put(tx: &Tx, agent: &Agent) -> Result<(), StoreError> {
    use agents::Column::{CountedFrom, Desired, GaveUp, MachineId, RestartAt, RoomId, RunId, Shared};
    agents::Entity::insert(agents::ActiveModel {
        room_id: Set(agent.room.to_string()),
        role: Set(agent.role.to_string()),
        desired: Set(agent.desired.as_str().to_owned()),
        machine_id: Set(agent.machine.map(|id| id.to_string())),
        run_id: Set(agent.run.map(|id| id.to_string())),
        shared: Set(agent.shared),
        gave_up: Set(agent.gave_up.clone()),
        counted_from: Set(agent.counted_from.0),
        restart_at: Set(agent.restart_at.map(|at| at.0)),
    })
    .on_conflict(
        OnConflict::columns([RoomId, agents::Column::Role])
            .update_columns([Desired, MachineId, RunId, Shared, GaveUp, CountedFrom, RestartAt])
            .to_owned(),
    )
    .exec_without_returning(tx.connection())
    .await?;
    Ok(())
}

/// Looks up the slot of a role.
pub async fn find(db: &impl Access, room: RoomId, role: &Role) -> Result<Option<Agent>, StoreError> {
    agents::Entity::find_by_id((room.to_string(), role.to_string())).one(db.connection()).await?.map(agent).transpose()
}

/// Lists the slots of a room that somebody touched.
pub async fn of_room(db: &impl Access, room: RoomId) -> Result<Vec<Agent>, StoreError> {
    let rows = agents::Entity::find().filter(agents::Column::RoomId.eq(room.to_string())).all(db.connection()).await?;
    rows.into_iter().map(agent).collect()
}

/// Lists the slots of some rooms that somebody touched.
pub async fn of_rooms(db: &impl Access, rooms: &[RoomId]) -> Result<Vec<Agent>, StoreError> {
    let of_these = agents::Column::RoomId.is_in(rooms.iter().map(RoomId::to_string));
    let rows = agents::Entity::find().filter(of_these).all(db.connection()).await?;
    rows.into_iter().map(agent).collect()
}

/// Lists the slots that point to a machine.
pub async fn on_machine(db: &impl Access, machine: MachineId) -> Result<Vec<Agent>, StoreError> {
    let rows =
        agents::Entity::find().filter(agents::Column::MachineId.eq(machine.to_string())).all(db.connection()).await?;
    rows.into_iter().map(agent).collect()
}

/// Lists the slots that are to be started again by `now`.
pub async fn due(db: &impl Access, now: Timestamp) -> Result<Vec<Agent>, StoreError> {
    let rows = agents::Entity::find().filter(agents::Column::RestartAt.lte(now.0)).all(db.connection()).await?;
    rows.into_iter().map(agent).collect()
}

fn agent(row: agents::Model) -> Result<Agent, StoreError> {
    Ok(Agent {
        room: parse(TABLE, &row.room_id)?,
        role: parse(TABLE, &row.role)?,
        desired: match row.desired.as_str() {
            "running" => Desired::Running,
            "stopped" => Desired::Stopped,
            other => {
                let why = format!("{other:?} is no desired state");
                return Err(StoreError::Row { table: TABLE, why });
            }
        },
        machine: parse_option(TABLE, row.machine_id.as_deref())?,
        run: parse_option(TABLE, row.run_id.as_deref())?,
        shared: row.shared,
        gave_up: row.gave_up,
        counted_from: Timestamp(row.counted_from),
        restart_at: row.restart_at.map(Timestamp),
    })
}
