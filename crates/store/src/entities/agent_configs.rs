//! What a role runs on a machine.

#![expect(clippy::struct_field_names, reason = "a field is named as its column is")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_configs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub machine_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub room_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub role: String,
    pub tool: String,
    pub model: Option<String>,
    pub working_dir: String,
    pub mode: String,
    pub form: String,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
