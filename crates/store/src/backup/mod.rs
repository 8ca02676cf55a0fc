//! All rows in one file, for either database.
//!
//! The file is lines of JSON: a head that names the tables and their columns, one
//! line per row, and an end with the count of rows and a checksum over everything
//! before it. What is sealed in the database stays sealed in the file.

mod catalogue;
mod load;
mod save;
mod sum;

use std::path::{Path, PathBuf};

use chatroom_protocol::Timestamp;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use crate::{Place, StoreError};

pub(crate) use catalogue::applied;
pub use load::load;
pub use save::save;

/// The form of the file; a program that knows a smaller number only must not read it.
const FORMAT: u32 = 1;

/// What the file begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    chatroom_backup: u32,
    version: String,
    taken_at: Timestamp,
    schema: Vec<String>,
    tables: Vec<Table>,
}

/// One table of the file; a row names it by its place in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Column {
    name: String,
    kind: Kind,
}

/// What a column holds; a schema has nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Integer,
    Truth,
}

/// What the file ends with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct End {
    rows: u64,
    sha256: String,
}

/// What was saved or loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// When the backup was taken.
    pub taken_at: Timestamp,
    /// How many tables have rows in it.
    pub tables: usize,
    /// How many rows it has.
    pub rows: u64,
}

/// Why a backup was not made or not loaded.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written or read.
    #[error("the backup {path} cannot be used: {error}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// There is a file already.
    #[error("{0} exists already; choose another name, or remove it first")]
    Exists(String),
    /// The file is not a whole backup.
    #[error("{path} is not a whole backup: {why}; nothing was restored, use another one")]
    Torn {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A newer program made the file.
    #[error("{path} was made by a newer chatroom ({version}); restore it with that version or a later one")]
    Newer {
        /// Which file.
        path: String,
        /// Who made it.
        version: String,
    },
    /// There is data already.
    #[error(
        "the database {0} is not empty, and a restore never mixes data; choose a new --data-dir or an empty database"
    )]
    NotEmpty(String),
    /// The backup is older than the empty database.
    #[error("the backup is older than the tables of {0}; choose a new --data-dir or a database without any table")]
    Older(String),
    /// The schema has something this format does not carry.
    #[error("the schema cannot be carried over: {0}")]
    Schema(String),
}

impl From<DbErr> for BackupError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> BackupError + '_ {
    |error| BackupError::File { path: path.display().to_string(), error }
}

/// Removes what a failed restore has made, unless told to keep it.
struct Fresh {
    made: Vec<PathBuf>,
}

impl Fresh {
    /// Notes which files of a database are not there yet.
    fn of(place: &Place) -> Self {
        let Place::Sqlite(path) = place else { return Self { made: Vec::new() } };
        if path.exists() {
            return Self { made: Vec::new() };
        }
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        Self { made: vec![path.clone(), beside("-wal"), beside("-shm"), path.with_extension("lock")] }
    }

    fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for path in &self.made {
            // Most of them were never made.
            let _ = std::fs::remove_file(path);
        }
    }
}
