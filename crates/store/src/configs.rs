//! Agent configurations: what a role runs on a machine.

use chatroom_domain::machines::AgentConfig;
use chatroom_protocol::{MachineId, Role, RoomId, Timestamp, UserId};
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::entities::{agent_configs, machines};
use crate::row::{parse, parse_option, word};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "agent_configs";

/// Saves a configuration, whatever was saved before.
pub async fn put(tx: &Tx, config: &AgentConfig) -> Result<(), StoreError> {
    use agent_configs::Column::{Form, MachineId, Mode, Model, RoomId, Tool, UpdatedAt, WorkingDir};
    agent_configs::Entity::insert(agent_configs::ActiveModel {
        machine_id: Set(config.machine.to_string()),
        room_id: Set(config.room.to_string()),
        role: Set(config.role.to_string()),
        tool: Set(config.tool.to_string()),
        model: Set(config.model.as_ref().map(ToString::to_string)),
        working_dir: Set(config.working_dir.clone()),
        mode: Set(config.mode.as_str().to_owned()),
        form: Set(config.form.as_str().to_owned()),
        updated_at: Set(config.updated_at.0),
    })
    .on_conflict(
        OnConflict::columns([MachineId, RoomId, agent_configs::Column::Role])
            .update_columns([Tool, Model, WorkingDir, Mode, Form, UpdatedAt])
            .to_owned(),
    )
    .exec_without_returning(tx.connection())
    .await?;
    Ok(())
}

/// Looks up what a role runs on a machine.
pub async fn find(
    db: &impl Access,
    machine: MachineId,
    room: RoomId,
    role: &Role,
) -> Result<Option<AgentConfig>, StoreError> {
    agent_configs::Entity::find_by_id((machine.to_string(), room.to_string(), role.to_string()))
        .one(db.connection())
        .await?
        .map(config)
        .transpose()
}

/// Lists the configurations of a room on the machines of `user`, by role and machine.
pub async fn of_room(db: &impl Access, room: RoomId, user: UserId) -> Result<Vec<AgentConfig>, StoreError> {
    let theirs = Query::select()
        .column(machines::Column::Id)
        .from(machines::Entity)
        .and_where(machines::Column::UserId.eq(user.to_string()))
        .to_owned();
    let rows = agent_configs::Entity::find()
        .filter(agent_configs::Column::RoomId.eq(room.to_string()))
        .filter(agent_configs::Column::MachineId.in_subquery(theirs))
        .order_by_asc(agent_configs::Column::Role)
        .order_by_asc(agent_configs::Column::MachineId)
        .all(db.connection())
        .await?;
    rows.into_iter().map(config).collect()
}

fn config(row: agent_configs::Model) -> Result<AgentConfig, StoreError> {
    Ok(AgentConfig {
        machine: parse(TABLE, &row.machine_id)?,
        room: parse(TABLE, &row.room_id)?,
        role: parse(TABLE, &row.role)?,
        tool: parse(TABLE, &row.tool)?,
        working_dir: row.working_dir,
        model: parse_option(TABLE, row.model.as_deref())?,
        mode: word(TABLE, &row.mode)?,
        form: word(TABLE, &row.form)?,
        updated_at: Timestamp(row.updated_at),
    })
}
