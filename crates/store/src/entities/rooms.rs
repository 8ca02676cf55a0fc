//! Teams of roles.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rooms")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub instance_id: String,
    pub name: String,
    pub roles: String,
    pub entry: String,
    pub next_position: i64,
    pub created_at: i64,
    pub instructions: Option<String>,
    pub instructions_by: Option<String>,
    pub instructions_at: Option<i64>,
    pub archived_at: Option<i64>,
    pub active_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
