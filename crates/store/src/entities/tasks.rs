//! Pieces of work.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub role: String,
    pub state: String,
    pub message_id: String,
    pub position: i64,
    pub author_id: String,
    pub carries_id: Option<String>,
    pub approved_by: Option<String>,
    pub holder: Option<String>,
    pub held_since: Option<i64>,
    pub hops: i64,
    pub handoff_id: Option<String>,
    pub next_id: Option<String>,
    pub created_at: i64,
    pub completed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
