//! All SQL. SQLite by default, PostgreSQL by URL, one code path for both.
//!
//! Functions take and return `domain` types; a row never leaves this crate. A
//! function that reads takes any [`Access`] (a [`Tx`] or the [`Reader`]); one that
//! writes takes a [`Tx`], so that the change and its event commit together.
//!
//! What truly differs between the two databases is in this file: how a write
//! begins, and the lock that keeps a second server out.

pub mod agents;
pub mod attachments;
pub mod backup;
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
pub mod read_marks;
pub mod rooms;
pub mod runs;
pub mod search;
pub mod sessions;
pub mod tasks;
pub mod users;
pub mod waiters;

mod entities;
mod like;
mod migrations;
mod row;
mod trouble;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, SqlErr, Statement};
use sea_orm_migration::MigratorTrait as _;
use tokio::time::{Instant, sleep};

pub use trouble::Trouble;
pub use writer::Tx;

use writer::Writer;

/// How long the lock of a server that has just ended is waited for.
const LET_GO: Duration = Duration::from_secs(3);
/// After how many pages SQLite moves its log into its file, which whoever commits then waits for. The same pages change
/// again and again, so of a long log (32 MiB) fewer are moved, and fewer changes wait.
const CHECKPOINT: &str = "8000";
/// A connection to PostgreSQL that was used within this time is taken for alive.
const RESTED: Duration = Duration::from_secs(1);
/// How often it is tried meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What the database did instead.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// Nobody answers where the database should be.
    #[error("the database {place} cannot be reached: {why}")]
    Unreachable {
        /// Where it should be, without credentials.
        place: String,
        /// What came instead.
        why: String,
    },
    /// The schema is not the one this version knows.
    #[error("the database {0} has the schema of another version; use the `chatroom` that its server runs")]
    OtherVersion(String),
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
    writer: Writer,
    read: DatabaseConnection,
    /// Absent where a server may have the database open as well.
    alone: Option<Arc<Alone>>,
}

/// Keeps a second server out for as long as it lives.
enum Alone {
    #[expect(dead_code, reason = "held for its drop")]
    File(File),
    Session(DatabaseConnection),
}

impl Store {
    /// Opens the database, takes its lock and brings its schema up to date.
    pub async fn open(place: &Place) -> Result<Self, StoreError> {
        let store = Self::alone(place).await?;
        migrations::Migrations::up(&store.write, None).await?;
        Ok(store)
    }

    /// Opens a database that a server may have open as well: takes no lock, makes nothing, changes no schema.
    pub async fn beside(place: &Place) -> Result<Self, StoreError> {
        let (write, read) = match place {
            Place::Sqlite(path) => Self::connect_sqlite(path, "rw").await?,
            Place::Postgres(url) => Self::connect_postgres(place, url).await?,
        };
        let store = Self::over(write, read, None);
        if backup::applied(&store.read).await? != migrations::names() {
            return Err(StoreError::OtherVersion(place.to_string()));
        }
        Ok(store)
    }

    /// Opens the database and takes its lock.
    async fn alone(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Sqlite(path) => Self::open_sqlite(path).await,
            Place::Postgres(url) => Self::open_postgres(place, url).await,
        }
    }

    fn over(write: DatabaseConnection, read: DatabaseConnection, alone: Option<Alone>) -> Self {
        Self { writer: Writer::start(write.clone()), write, read, alone: alone.map(Arc::new) }
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let open = |why: String| StoreError::Open { place: path.display().to_string(), why };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .map_err(|error| open(error.to_string()))?;
        // A child that was just forked holds its parent's lock until it is another program.
        let until = Instant::now() + LET_GO;
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::WouldBlock if Instant::now() < until => sleep(LOOK).await,
                TryLockError::WouldBlock => return Err(StoreError::InUse(path.display().to_string())),
                TryLockError::Error(error) => return Err(open(error.to_string())),
            }
        }
        let (write, read) = Self::connect_sqlite(path, "rwc").await?;
        Ok(Self::over(write, read, Some(Alone::File(lock))))
    }

    async fn connect_sqlite(path: &Path, mode: &str) -> Result<(DatabaseConnection, DatabaseConnection), StoreError> {
        let open = |why: String| StoreError::Open { place: path.display().to_string(), why };
        let url = format!("sqlite://{}?mode={mode}", path.display());
        let connect = |connections: u32| {
            let mut options = ConnectOptions::new(&url);
            options.max_connections(connections).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
            // A file does not hang up: asking whether it is there would cost as much as the query.
            options.test_before_acquire(false);
            options.map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(10))
                    .pragma("journal_mode", "WAL")
                    .pragma("wal_autocheckpoint", CHECKPOINT)
                    .pragma("synchronous", "FULL")
            });
            Database::connect(options)
        };
        // One writer: a transaction that waits for the connection never meets a busy database.
        let write = connect(1).await.map_err(|error| open(error.to_string()))?;
        let read = connect(4).await.map_err(|error| open(error.to_string()))?;
        Ok((write, read))
    }

    async fn open_postgres(place: &Place, url: &str) -> Result<Self, StoreError> {
        let open = |error: DbErr| refused(place, &error);
        let mut options = postgres_options(url, 1);
        // The lock lives and dies with this one connection. It comes first, so it tells soon that nobody answers.
        options.acquire_timeout(Duration::from_secs(3));
        options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
        let session = Database::connect(options).await.map_err(open)?;
        // The database notices a moment later that the connection of a server that has just ended is gone.
        let until = Instant::now() + LET_GO;
        while !is_alone(&session).await.map_err(open)? {
            if Instant::now() >= until {
                return Err(StoreError::InUse(place.to_string()));
            }
            sleep(LOOK).await;
        }
        let (write, read) = Self::connect_postgres(place, url).await?;
        Ok(Self::over(write, read, Some(Alone::Session(session))))
    }

    async fn connect_postgres(
        place: &Place,
        url: &str,
    ) -> Result<(DatabaseConnection, DatabaseConnection), StoreError> {
        let open = |error: DbErr| refused(place, &error);
        // Apart, so that who writes never keeps a reader waiting. One, because writes come one after another.
        let write = Database::connect(postgres_options(url, 1)).await.map_err(open)?;
        let read = Database::connect(postgres_options(url, 8)).await.map_err(open)?;
        Ok((write, read))
    }

    /// Begins a write. Writes come one after another, on both databases, so what a
    /// transaction has read cannot change under it. Those that wait for each other
    /// become durable together.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.writer.begin().await
    }

    /// Returns what reads go through.
    pub fn reader(&self) -> Reader {
        Reader(self.read.clone())
    }

    /// Returns whether the database answers. Where its lock went with a lost connection, it is taken anew.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if let Some(alone) = &self.alone
            && let Alone::Session(session) = alone.as_ref()
            && !still_alone(session).await?
            && !is_alone(session).await?
        {
            return Err(StoreError::InUse("PostgreSQL".into()));
        }
        Ok(self.read.ping().await?)
    }

    /// Writes something of some size durably, then takes it away: whether the database takes writes again.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let backend = self.write.get_database_backend();
        let run = async |sql: &str| {
            let tx = self.begin().await?;
            tx.connection().execute_raw(Statement::from_string(backend, sql)).await?;
            tx.commit().await
        };
        let filler = "x".repeat(64 * 1024);
        run(&format!("INSERT INTO write_checks (id, filler) VALUES ('check', '{filler}') ON CONFLICT (id) DO NOTHING"))
            .await?;
        run("DELETE FROM write_checks").await
    }
}

fn postgres_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).acquire_timeout(Duration::from_secs(10)).sqlx_logging(false);
    // Asking whether it is there costs as much as a query: only of one that rested.
    options.test_before_acquire_if_idle_for(RESTED);
    options
}

/// Takes the lock that keeps a second server out, or finds that this connection has it.
async fn is_alone(session: &DatabaseConnection) -> Result<bool, DbErr> {
    let sql = "SELECT pg_try_advisory_lock(7164216, hashtext(current_schema())) AS alone";
    let row = session.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(row.is_some_and(|row| row.try_get::<bool>("", "alone").unwrap_or(false)))
}

/// Returns whether this connection holds the lock: it is another one after the database was away.
async fn still_alone(session: &DatabaseConnection) -> Result<bool, DbErr> {
    let sql = "SELECT 1 AS held FROM pg_locks \
               WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = 7164216 AND granted";
    Ok(session.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?.is_some())
}

fn refused(place: &Place, error: &DbErr) -> StoreError {
    let (place, why) = (place.to_string(), error.to_string());
    match trouble::of(error) {
        Some(Trouble::Away) => StoreError::Unreachable { place, why },
        _ => StoreError::Open { place, why },
    }
}

/// What a query runs on.
pub trait Access: Send + Sync {
    /// The connection behind it.
    type Connection: ConnectionTrait + Send + Sync;

    /// Returns the connection.
    fn connection(&self) -> &Self::Connection;
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
