//! What was said, and what waits to be.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub kind: String,
    pub sender: String,
    pub user_id: Option<String>,
    pub target: Option<String>,
    pub content: String,
    pub position: i64,
    pub queued: bool,
    pub task_id: Option<String>,
    pub created_at: i64,
    pub run_id: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
