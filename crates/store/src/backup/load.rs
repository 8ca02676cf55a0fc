//! Loads a backup into an empty database of either kind: everything or nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionTrait as _};
use sea_orm_migration::MigratorTrait as _;
use serde_json::Value;

use super::sum::Summed;
use super::{BackupError, End, FORMAT, Fresh, Head, Kind, Summary, Table, catalogue, file_error};
use crate::migrations::{self, Migrations};
use crate::{Place, Store};

/// How many rows are written at once.
const BATCH: usize = 200;

/// Loads a backup into an empty database, or one that is not there yet. No server may have it open.
pub async fn load(place: &Place, path: &Path) -> Result<Summary, BackupError> {
    let (head, end) = check(path)?;
    let fresh = Fresh::of(place);
    let store = Store::alone(place).await?;
    prepare(&store.write, place, &head).await?;
    let tx = store.write.begin().await?;
    let tables = fill(&tx, path, &head, &end).await?;
    tx.commit().await?;
    Migrations::up(&store.write, None).await?;
    fresh.keep();
    Ok(Summary { taken_at: head.taken_at, tables, rows: end.rows })
}

/// Reads the whole file once: head, checksum and count must be right before anything is opened.
fn check(path: &Path) -> Result<(Head, End), BackupError> {
    let torn = |why: &str| BackupError::Torn { path: path.display().to_string(), why: why.to_owned() };
    let mut lines = lines(path)?;
    let next = |lines: &mut Lines<BufReader<File>>| {
        lines.next().transpose().map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => torn("it is not text"),
            _ => file_error(path)(error),
        })
    };
    let first = next(&mut lines)?.ok_or_else(|| torn("it is empty"))?;
    let start: Value = serde_json::from_str(&first).map_err(|_| torn("its first line cannot be read"))?;
    let newer = || BackupError::Newer {
        path: path.display().to_string(),
        version: start["version"].as_str().unwrap_or("unknown").to_owned(),
    };
    if start["chatroomBackup"].as_u64().ok_or_else(|| torn("it does not begin as a backup does"))? > u64::from(FORMAT) {
        return Err(newer());
    }
    let head: Head = serde_json::from_value(start.clone()).map_err(|_| torn("its first line cannot be read"))?;
    if !migrations::names().starts_with(&head.schema) {
        return Err(newer());
    }
    let mut sum = Summed::new(std::io::sink());
    let (mut last, mut rows) = (first, 0);
    let mut add = |line: &str| sum.write_all(line.as_bytes()).and_then(|()| sum.write_all(b"\n"));
    while let Some(line) = next(&mut lines)? {
        add(&last).map_err(file_error(path))?;
        rows += 1;
        last = line;
    }
    let end: End = serde_json::from_str(&last).map_err(|_| torn("its end is missing"))?;
    if end.rows + 1 != rows {
        return Err(torn("rows are missing"));
    }
    if end.sha256 != sum.finish().1 {
        return Err(torn("its checksum does not fit, so it was changed"));
    }
    Ok((head, end))
}

fn lines(path: &Path) -> Result<Lines<BufReader<File>>, BackupError> {
    Ok(BufReader::new(File::open(path).map_err(file_error(path))?).lines())
}

/// Gives the database the schema of the backup, if it has no row yet.
async fn prepare(db: &DatabaseConnection, place: &Place, head: &Head) -> Result<(), BackupError> {
    for table in catalogue::tables(db).await? {
        let sql = format!("SELECT 1 AS one FROM \"{}\" LIMIT 1", table.name);
        if db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.is_some() {
            return Err(BackupError::NotEmpty(place.to_string()));
        }
    }
    let applied = catalogue::applied(db).await?;
    if !head.schema.starts_with(&applied) {
        return Err(BackupError::Older(place.to_string()));
    }
    let steps = u32::try_from(head.schema.len() - applied.len()).unwrap_or(u32::MAX);
    if steps > 0 {
        Migrations::up(db, Some(steps)).await?;
    }
    Ok(())
}

/// Writes every row of the file; returns how many tables have some.
async fn fill(tx: &DatabaseTransaction, path: &Path, head: &Head, end: &End) -> Result<usize, BackupError> {
    let torn = |why: &str| BackupError::Torn { path: path.display().to_string(), why: why.to_owned() };
    let there = catalogue::tables(tx).await?;
    for table in &head.tables {
        let fits = there
            .iter()
            .any(|known| known.name == table.name && table.columns.iter().all(|column| known.columns.contains(column)));
        if !fits {
            return Err(BackupError::Schema(format!("{} has other columns here", table.name)));
        }
    }
    let mut filled = vec![false; head.tables.len()];
    let mut batch = Batch::default();
    let (mut rows, total) = (0, end.rows);
    for line in lines(path)?.skip(1) {
        if rows == total {
            break;
        }
        let line = line.map_err(file_error(path))?;
        let mut row: Vec<Value> = serde_json::from_str(&line).map_err(|_| torn("a row cannot be read"))?;
        let index = row.first().and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let index = index.filter(|index| *index < head.tables.len()).ok_or_else(|| torn("a row has no table"))?;
        let table = &head.tables[index];
        row.remove(0);
        if row.len() != table.columns.len() {
            return Err(torn("a row has other columns than its table"));
        }
        if batch.table != index || batch.rows == BATCH {
            batch.flush(tx, head).await?;
            batch.table = index;
        }
        for (value, column) in row.into_iter().zip(&table.columns) {
            batch.values.push(typed(value, column.kind).ok_or_else(|| torn("a value is not of its column's kind"))?);
        }
        batch.rows += 1;
        rows += 1;
        filled[index] = true;
    }
    batch.flush(tx, head).await?;
    Ok(filled.into_iter().filter(|filled| *filled).count())
}

fn typed(value: Value, kind: Kind) -> Option<sea_orm::Value> {
    Some(match (kind, value) {
        (Kind::Text, Value::Null) => None::<String>.into(),
        (Kind::Text, Value::String(text)) => Some(text).into(),
        (Kind::Integer, Value::Null) => None::<i64>.into(),
        (Kind::Integer, Value::Number(number)) => Some(number.as_i64()?).into(),
        (Kind::Truth, Value::Null) => None::<bool>.into(),
        (Kind::Truth, Value::Bool(yes)) => Some(yes).into(),
        _ => return None,
    })
}

/// Rows of one table that are written together.
#[derive(Default)]
struct Batch {
    table: usize,
    rows: usize,
    values: Vec<sea_orm::Value>,
}

impl Batch {
    async fn flush(&mut self, tx: &DatabaseTransaction, head: &Head) -> Result<(), BackupError> {
        if self.rows == 0 {
            return Ok(());
        }
        let backend = tx.get_database_backend();
        let sql = insert(backend, &head.tables[self.table], self.rows);
        let values = std::mem::take(&mut self.values);
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        self.rows = 0;
        Ok(())
    }
}

fn insert(backend: DbBackend, table: &Table, rows: usize) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let mut number = 0;
    let mut mark = || {
        number += 1;
        if backend == DbBackend::Postgres { format!("${number}") } else { "?".to_owned() }
    };
    let mut row = || format!("({})", columns.iter().map(|_| mark()).collect::<Vec<_>>().join(", "));
    let rows: Vec<String> = (0..rows).map(|_| row()).collect();
    format!("INSERT INTO \"{}\" ({}) VALUES {}", table.name, columns.join(", "), rows.join(", "))
}
