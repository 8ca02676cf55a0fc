//! What people want of each role.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub room_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub role: String,
    pub desired: String,
    pub machine_id: Option<String>,
    pub run_id: Option<String>,
    pub shared: bool,
    pub gave_up: Option<String>,
    pub counted_from: i64,
    pub restart_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
