//! Requests to machines.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "commands")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub machine_id: String,
    pub kind: String,
    pub room_id: Option<String>,
    pub role: Option<String>,
    pub run_id: Option<String>,
    pub push_sealed: String,
    pub status: String,
    pub result: Option<String>,
    pub sent_by: String,
    pub created_at: i64,
    pub deadline_at: i64,
    pub received_at: Option<i64>,
    pub processed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
