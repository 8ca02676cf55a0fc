//! Process incarnations, as reported.

#![expect(clippy::struct_field_names, reason = "a field is named as its column is")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub role: String,
    pub machine_id: String,
    pub user_id: String,
    pub command_id: String,
    pub tool: String,
    pub model: Option<String>,
    pub working_dir: String,
    pub mode: String,
    pub form: String,
    pub activity: String,
    pub pid: Option<i64>,
    pub start_time: Option<i64>,
    pub awaiting_handoff: bool,
    pub token_hash: String,
    pub token_until: i64,
    pub created_at: i64,
    pub exited_at: Option<i64>,
    pub exit_reason: Option<String>,
    pub crashed: bool,
    pub trouble: Option<String>,
    pub conversation: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
