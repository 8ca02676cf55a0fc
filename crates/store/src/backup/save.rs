//! Writes a backup: one read transaction, so the rows are of one moment while writes go on.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use chatroom_protocol::Timestamp;
use futures_util::TryStreamExt as _;
use sea_orm::{
    AccessMode, DatabaseTransaction, DbBackend, IsolationLevel, QueryResult, Statement, StreamTrait as _,
    TransactionOptions, TransactionTrait as _,
};
use serde_json::Value;

use super::sum::Summed;
use super::{BackupError, End, FORMAT, Head, Kind, Summary, Table, catalogue, file_error};
use crate::{Store, migrations};

/// Writes all rows into a new file that only its owner can read: it appears under its name once it is whole and durable.
pub async fn save(store: &Store, path: &Path, at: Timestamp) -> Result<Summary, BackupError> {
    if path.exists() {
        return Err(BackupError::Exists(path.display().to_string()));
    }
    let failed = file_error(path);
    let draft = Draft::beside(path).map_err(&failed)?;
    let mut out = Summed::new(BufWriter::new(&draft.file));
    let (tables, rows) = write(store, &mut out, path, at).await?;
    let (mut out, sha256) = out.finish();
    line(&mut out, &End { rows, sha256 }).and_then(|()| out.flush()).map_err(&failed)?;
    drop(out);
    draft.publish(path).map_err(&failed)?;
    Ok(Summary { taken_at: at, tables, rows })
}

async fn write(store: &Store, out: &mut impl Write, path: &Path, at: Timestamp) -> Result<(usize, u64), BackupError> {
    let failed = file_error(path);
    let snapshot = snapshot(store).await?;
    let tables = catalogue::tables(&snapshot).await?;
    let head = Head {
        chatroom_backup: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: at,
        schema: migrations::names(),
        tables,
    };
    line(out, &head).map_err(&failed)?;
    let (mut filled, mut rows) = (0, 0);
    for (index, table) in head.tables.iter().enumerate() {
        let before: u64 = rows;
        let query = Statement::from_string(sea_orm::ConnectionTrait::get_database_backend(&snapshot), select(table));
        let mut found = snapshot.stream_raw(query).await?;
        while let Some(row) = found.try_next().await? {
            line(out, &values(index, table, &row)?).map_err(&failed)?;
            rows += 1;
        }
        filled += usize::from(rows > before);
    }
    Ok((filled, rows))
}

async fn snapshot(store: &Store) -> Result<DatabaseTransaction, BackupError> {
    let postgres = sea_orm::ConnectionTrait::get_database_backend(&store.read) == DbBackend::Postgres;
    // A SQLite transaction sees one moment as it is.
    let options = TransactionOptions {
        isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
        access_mode: postgres.then_some(AccessMode::ReadOnly),
        ..TransactionOptions::default()
    };
    Ok(store.read.begin_with_options(options).await?)
}

fn select(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    format!("SELECT {} FROM \"{}\"", columns.join(", "), table.name)
}

fn values(index: usize, table: &Table, row: &QueryResult) -> Result<Vec<Value>, BackupError> {
    let mut values = vec![Value::from(index)];
    for column in &table.columns {
        let name = &column.name;
        values.push(match column.kind {
            Kind::Text => row.try_get::<Option<String>>("", name)?.into(),
            Kind::Integer => row.try_get::<Option<i64>>("", name)?.into(),
            Kind::Truth => row.try_get::<Option<bool>>("", name)?.into(),
        });
    }
    Ok(values)
}

fn line(out: &mut impl Write, value: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A file that is removed unless it is published.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn beside(path: &Path) -> std::io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let path = PathBuf::from(name);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: options.open(&path)?, path })
    }

    fn publish(self, to: &Path) -> std::io::Result<()> {
        self.file.sync_all()?;
        // A link never replaces what came under this name in between.
        std::fs::hard_link(&self.path, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Its name only; once published the content has another.
        let _ = std::fs::remove_file(&self.path);
    }
}
