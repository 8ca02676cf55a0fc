//! What ails the database itself, as against a query.

use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::StoreError;

/// Why no query, or no write, can succeed right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The disk under the database is full or refuses writes.
    Full,
    /// The database cannot be reached, or is starting or stopping.
    Away,
}

impl StoreError {
    /// Returns what ails the database, if this error comes of that.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database(error) => of(error),
            Self::Unreachable { .. } | Self::InUse(_) => Some(Trouble::Away),
            _ => None,
        }
    }
}

/// Tells trouble of the database from a fault in a query.
pub(crate) fn of(error: &DbErr) -> Option<Trouble> {
    match error {
        DbErr::ConnectionAcquire(_) => Some(Trouble::Away),
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => of_sqlx(error),
        _ => None,
    }
}

fn of_sqlx(error: &sqlx::Error) -> Option<Trouble> {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => Some(Trouble::Away),
        sqlx::Error::Database(error) => {
            let code = error.code()?;
            if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                of_sqlite(code.parse().ok()?)
            } else {
                of_postgres(&code)
            }
        }
        _ => None,
    }
}

/// The low byte is the kind: no room, a failed read or write, a file that cannot be opened or written.
fn of_sqlite(code: i32) -> Option<Trouble> {
    matches!(code & 0xff, 8 | 10 | 13 | 14).then_some(Trouble::Full)
}

fn of_postgres(code: &str) -> Option<Trouble> {
    match code {
        "53100" => Some(Trouble::Full),
        // Shut down, crashed, starting, or without room for one more connection.
        "57P01" | "57P02" | "57P03" | "53300" => Some(Trouble::Away),
        code if code.starts_with("08") => Some(Trouble::Away),
        _ => None,
    }
}
