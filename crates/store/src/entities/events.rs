//! The feed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub instance_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    pub at: i64,
    pub kind: String,
    pub private_to: Option<String>,
    pub user_id: Option<String>,
    pub room_id: Option<String>,
    pub role: Option<String>,
    pub machine_id: Option<String>,
    pub subject: Option<String>,
    pub outcome: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
