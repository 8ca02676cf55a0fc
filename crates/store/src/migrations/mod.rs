//! Migrations: append-only, and each must work while the version before still runs.
//!
//! A migration is one SQL file that both databases take as it is.

use sea_orm_migration::prelude::*;

/// All migrations, in order.
pub(crate) struct Migrations;

#[async_trait::async_trait]
impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(Script { name: "0001_spine", sql: include_str!("0001_spine.sql") }),
            Box::new(Script { name: "0002_restarts", sql: include_str!("0002_restarts.sql") }),
            Box::new(Script { name: "0003_credentials", sql: include_str!("0003_credentials.sql") }),
            Box::new(Script { name: "0004_operations", sql: include_str!("0004_operations.sql") }),
            Box::new(Script { name: "0005_prompt_authors", sql: include_str!("0005_prompt_authors.sql") }),
            Box::new(Script { name: "0006_permission_rules", sql: include_str!("0006_permission_rules.sql") }),
            Box::new(Script { name: "0007_conversations", sql: include_str!("0007_conversations.sql") }),
            Box::new(Script { name: "0008_rooms", sql: include_str!("0008_rooms.sql") }),
            Box::new(Script { name: "0009_read_marks", sql: include_str!("0009_read_marks.sql") }),
            Box::new(Script { name: "0010_message_runs", sql: include_str!("0010_message_runs.sql") }),
            Box::new(Script { name: "0011_attachments", sql: include_str!("0011_attachments.sql") }),
        ]
    }
}

/// Returns the names of all migrations, in order.
pub(crate) fn names() -> Vec<String> {
    Migrations::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

struct Script {
    name: &'static str,
    sql: &'static str,
}

impl MigrationName for Script {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Script {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.sql).await.map(drop)
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("a migration is never undone; restore a backup instead".into()))
    }
}
