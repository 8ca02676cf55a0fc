//! Which tables and columns a database has, as it says itself.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use super::{BackupError, Column, Kind, Table};

/// Where the names of applied migrations are kept; made anew by each database, so never carried over.
const MIGRATIONS: &str = "seaql_migrations";

/// Returns the names of the migrations a database has seen, in order.
pub(crate) async fn applied(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    if !names(db).await?.iter().any(|name| name == MIGRATIONS) {
        return Ok(Vec::new());
    }
    texts(db, &format!("SELECT version AS word FROM {MIGRATIONS} ORDER BY version"), []).await
}

/// Returns every table of ours, each after those it refers to.
pub(super) async fn tables(db: &impl ConnectionTrait) -> Result<Vec<Table>, BackupError> {
    let mut waiting: Vec<String> = names(db).await?.into_iter().filter(|name| name != MIGRATIONS).collect();
    let mut placed = BTreeSet::new();
    let mut tables = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut left = Vec::new();
        for name in waiting {
            let parents = parents(db, &name).await?;
            if parents.iter().all(|parent| *parent == name || placed.contains(parent)) {
                tables.push(Table { columns: columns(db, &name).await?, name: name.clone() });
                placed.insert(name);
            } else {
                left.push(name);
            }
        }
        if left.len() == before {
            return Err(BackupError::Schema(format!("{} refer to each other in a circle", left.join(", "))));
        }
        waiting = left;
    }
    Ok(tables)
}

async fn names(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT table_name::text AS word FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1"
        }
        _ => "SELECT name AS word FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1",
    };
    texts(db, sql, []).await
}

async fn parents(db: &impl ConnectionTrait, table: &str) -> Result<Vec<String>, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT parent.relname::text AS word FROM pg_constraint AS rule \
             JOIN pg_class AS parent ON parent.oid = rule.confrelid JOIN pg_class AS child ON child.oid = rule.conrelid \
             WHERE rule.contype = 'f' AND rule.connamespace = current_schema()::regnamespace AND child.relname = $1"
        }
        _ => "SELECT \"table\" AS word FROM pragma_foreign_key_list(?)",
    };
    texts(db, sql, [table.into()]).await
}

async fn columns(db: &impl ConnectionTrait, table: &str) -> Result<Vec<Column>, BackupError> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT column_name::text AS name, data_type::text AS kind FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
        _ => "SELECT name, type AS kind FROM pragma_table_info(?) ORDER BY cid",
    };
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [table.into()])).await?;
    let column = |row: sea_orm::QueryResult| {
        let (name, kind): (String, String) = (row.try_get("", "name")?, row.try_get("", "kind")?);
        let kind = match kind.to_ascii_lowercase().as_str() {
            "text" => Kind::Text,
            "bigint" => Kind::Integer,
            "boolean" => Kind::Truth,
            other => return Err(BackupError::Schema(format!("{table}.{name} is a {other}"))),
        };
        Ok(Column { name, kind })
    };
    rows.into_iter().map(column).collect()
}

async fn texts(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<String>, DbErr> {
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    rows.iter().map(|row| row.try_get("", "word")).collect()
}
