//! All SQL. SQLite by default, PostgreSQL by URL, one code path for both.
//!
//! Functions take and return `domain` types; a row never leaves this crate. A
//! function that reads takes any [`Access`] (a [`Tx`] or the [`Reader`]); one that
//! writes takes a [`Tx`], so that the change and its event commit together.
//!
//! What truly differs between the two databases is in this file: how a write
//! begins, and the lock that keeps a second server out.

pub mod agents;
pub mod codes;
pub mod commands;
pub mod configs;
pub mod devices;
pub mod events;
pub mod instances;
pub mod machines;
pub mod messages;
pub mod permissions;
pub mod prompts;
pub mod rooms;
pub mod runs;
pub mod sessions;
pub mod tasks;
pub mod users;
pub mod waiters;

mod entities;
mod migrations;
mod row;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqlErr,
    Statement, TransactionTrait,
};
use sea_orm_migration::MigratorTrait as _;

/// What the database did instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// A row holds something this version cannot read.
    #[error("row of {table} cannot be read: {why}")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Another server has this database open.
    #[error(
        "another chatroom server uses this database ({0}); stop it first, or choose another --data-dir or DATABASE_URL"
    )]
    InUse(String),
    /// The database could not be opened.
    #[error("cannot open the database {place}: {why}")]
    Open {
        /// Where it is, without credentials.
        place: String,
        /// Why not.
        why: String,
    },
}

impl StoreError {
    /// Returns whether a row with the same unique value was there already.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}

/// Where the data lies.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            // The URL may hold a password.
            Self::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(f, "postgres://{}", host.split_once('?').map_or(host, |(host, _)| host))
            }
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The database, opened and migrated.
#[derive(Clone)]
pub struct Store {
    write: DatabaseConnection,
    read: DatabaseConnection,
    _alone: Arc<Alone>,
}

/// Keeps a second server out for as long as it lives.
#[expect(dead_code, reason = "held for its drop")]
enum Alone {
    File(File),
    Session(DatabaseConnection),
}

impl Store {
    /// Opens the database, takes its lock and brings its schema up to date.
    pub async fn open(place: &Place) -> Result<Self, StoreError> {
        let store = match place {
            Place::Sqlite(path) => Self::open_sqlite(path).await?,
            Place::Postgres(url) => Self::open_postgres(place, url).await?,
        };
        migrations::Migrations::up(&store.write, None).await?;
        Ok(store)
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let open = |why: String| StoreError::Open { place: path.display().to_string(), why };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .map_err(|error| open(error.to_string()))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => StoreError::InUse(path.display().to_string()),
            std::fs::TryLockError::Error(error) => open(error.to_string()),
        })?;
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let connect = |connections: u32| {
            let mut options = ConnectOptions::new(&url);
            options.max_connections(connections).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
            options.map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(10))
                    .pragma("journal_mode", "WAL")
                    .pragma("synchronous", "FULL")
            });
            Database::connect(options)
        };
        // One writer: a transaction that waits for the connection never meets a busy database.
        let write = connect(1).await.map_err(|error| open(error.to_string()))?;
        let read = connect(4).await.map_err(|error| open(error.to_string()))?;
        Ok(Self { write, read, _alone: Arc::new(Alone::File(lock)) })
    }

    async fn open_postgres(place: &Place, url: &str) -> Result<Self, StoreError> {
        let open = |error: DbErr| StoreError::Open { place: place.to_string(), why: error.to_string() };
        let connect = |connections: u32| {
            let mut options = ConnectOptions::new(url);
            options.max_connections(connections).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
            if connections == 1 {
                // The lock lives and dies with this one connection.
                options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
            }
            Database::connect(options)
        };
        let session = connect(1).await.map_err(open)?;
        let alone = Statement::from_string(
            DbBackend::Postgres,
            "SELECT pg_try_advisory_lock(7164216, hashtext(current_schema())) AS alone",
        );
        let row = session.query_one_raw(alone).await.map_err(open)?;
        if !row.is_some_and(|row| row.try_get::<bool>("", "alone").unwrap_or(false)) {
            return Err(StoreError::InUse(place.to_string()));
        }
        // Apart, so that writers who wait for each other never keep a reader waiting.
        let (write, read) = (connect(4).await.map_err(open)?, connect(8).await.map_err(open)?);
        Ok(Self { write, read, _alone: Arc::new(Alone::Session(session)) })
    }

    /// Begins a write. Writes come one after another, on both databases, so what a
    /// transaction has read cannot change under it.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let tx = self.write.begin().await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            tx.execute_unprepared("SELECT pg_advisory_xact_lock(7164217, hashtext(current_schema()))").await?;
        }
        Ok(Tx(tx))
    }

    /// Returns what reads go through.
    pub fn reader(&self) -> Reader {
        Reader(self.read.clone())
    }

    /// Returns whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.read.ping().await?)
    }
}

/// What a query runs on.
pub trait Access: Send + Sync {
    /// The connection behind it.
    type Connection: ConnectionTrait + Send + Sync;

    /// Returns the connection.
    fn connection(&self) -> &Self::Connection;
}

/// A write under way. Dropped without [`Tx::commit`], it leaves no trace.
pub struct Tx(DatabaseTransaction);

impl Tx {
    /// Makes everything in it durable, at once.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}

impl Access for Tx {
    type Connection = DatabaseTransaction;

    fn connection(&self) -> &DatabaseTransaction {
        &self.0
    }
}

/// Committed data, read without waiting for writers.
#[derive(Clone)]
pub struct Reader(DatabaseConnection);

impl Access for Reader {
    type Connection = DatabaseConnection;

    fn connection(&self) -> &DatabaseConnection {
        &self.0
    }
}
