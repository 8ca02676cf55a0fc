//! Computers with a daemon.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "machines")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: String,
    pub hostname: String,
    pub alias: String,
    pub os: String,
    pub tools: String,
    pub daemon_version: Option<String>,
    pub epoch: i64,
    pub journal_id: Option<String>,
    pub applied_seq: i64,
    pub registered_at: i64,
    pub last_seen_at: i64,
    pub lease_until: Option<i64>,
    pub token_hash: Option<String>,
    pub platform_token_sealed: Option<String>,
    pub next_token_hash: Option<String>,
    pub next_token_sealed: Option<String>,
    pub next_platform_token_sealed: Option<String>,
    pub renewal: i64,
    pub locked_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
