//! Writes, one after another, and several to a sync.
//!
//! One task has the writing connection. A change that finds it free is a
//! transaction of its own. Changes that had to wait while the disk was at work
//! share the next transaction: each in a savepoint, so that one which fails takes
//! no other with it, and each is told that it is durable once all of them are.
//! Nobody waits for company: a batch is whoever was there when it began.

use std::time::Duration;

use sea_orm::{
    ConnAcquireErr, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::{Access, StoreError};

/// The most changes that share one sync.
const MOST: usize = 64;
/// How long a change waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives each change its turn.
#[derive(Clone)]
pub(crate) struct Writer(UnboundedSender<Turn>);

/// Who waits for a turn.
type Turn = oneshot::Sender<Result<Tx, StoreError>>;

/// A write under way. Dropped without [`Tx::commit`], it leaves no trace.
pub struct Tx {
    // First, so that it is undone before the next one has its turn.
    inner: DatabaseTransaction,
    over: oneshot::Sender<Written>,
}

/// A change that is complete, and who waits to hear that it is durable.
struct Written {
    inner: DatabaseTransaction,
    told: oneshot::Sender<Result<(), StoreError>>,
}

impl Writer {
    /// Starts the task that has the writing connection. It ends with the last clone of what is returned.
    pub(crate) fn start(connection: DatabaseConnection) -> Self {
        let (sender, turns) = unbounded_channel();
        tokio::spawn(run(connection, turns));
        Self(sender)
    }

    /// Waits for a turn.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let (turn, given) = oneshot::channel();
        // One that is not taken is dropped, which shows below.
        let _ = self.0.send(turn);
        match timeout(PATIENCE, given).await {
            Ok(given) => given.unwrap_or_else(|_| Err(ended())),
            Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into()),
        }
    }
}

impl Tx {
    /// Makes everything in it durable, at once.
    pub async fn commit(self) -> Result<(), StoreError> {
        let (told, tells) = oneshot::channel();
        let Self { inner, over } = self;
        over.send(Written { inner, told }).map_err(|_| ended())?;
        tells.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Access for Tx {
    type Connection = DatabaseTransaction;

    fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

async fn run(connection: DatabaseConnection, mut turns: UnboundedReceiver<Turn>) {
    while let Some(first) = turns.recv().await {
        if first.is_closed() {
            continue;
        }
        match begin(&connection).await {
            Ok(outer) if turns.is_empty() => alone(outer, first).await,
            Ok(outer) => together(&outer, first, &mut turns).await.settle(outer).await,
            Err(error) => {
                // Whoever waited meanwhile waited for the same.
                let others = turns.len();
                refuse(first, &error);
                for _ in 0..others {
                    turns.try_recv().into_iter().for_each(|turn| refuse(turn, &error));
                }
            }
        }
    }
}

fn refuse(turn: Turn, error: &StoreError) {
    // Whoever stopped waiting does not want to know.
    let _ = turn.send(Err(error.clone()));
}

/// Begins a transaction in which nothing that was read can change under the reader.
async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    // On SQLite the write begins at once: a verb of another process may come between as well.
    let at_once = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = connection.begin_with_options(at_once).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("SELECT pg_advisory_xact_lock(7164217, hashtext(current_schema()))").await?;
    }
    Ok(tx)
}

/// Gives a whole transaction to one change.
async fn alone(outer: DatabaseTransaction, turn: Turn) {
    if let Some(Written { inner, told }) = give(outer, turn).await {
        // Who does not listen any more has its change all the same.
        let _ = told.send(inner.commit().await.map_err(StoreError::from));
    }
}

/// Gives one change after another a part of a transaction: the first, and those who wait already.
async fn together(outer: &DatabaseTransaction, first: Turn, turns: &mut UnboundedReceiver<Turn>) -> Batch {
    let mut batch = Batch::default();
    let mut room = turns.len().min(MOST);
    let mut next = Some(first);
    while let Some(turn) = next {
        if !turn.is_closed() {
            let written = match outer.begin().await {
                Ok(part) => give(part, turn).await,
                Err(error) => {
                    refuse(turn, &error.into());
                    None
                }
            };
            // What made it fail may concern the whole transaction: nobody else is to be part of it.
            let Some(Written { inner, told }) = written else { return batch };
            match inner.commit().await {
                Ok(()) => batch.told.push(told),
                Err(error) => {
                    let _ = told.send(Err(error.into()));
                    return batch;
                }
            }
        }
        next = if room > 0 { turns.try_recv().ok() } else { None };
        room = room.saturating_sub(1);
    }
    batch
}

/// Returns the change once it is complete, or nothing if it was given up.
async fn give(inner: DatabaseTransaction, turn: Turn) -> Option<Written> {
    let (over, written) = oneshot::channel();
    // Whoever stopped waiting drops it, and that undoes it.
    let _ = turn.send(Ok(Tx { inner, over }));
    written.await.ok()
}

/// Those who share a transaction, and wait for it to be durable.
#[derive(Default)]
struct Batch {
    told: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

impl Batch {
    async fn settle(self, outer: DatabaseTransaction) {
        if self.told.is_empty() {
            return;
        }
        let durable = outer.commit().await.map_err(StoreError::from);
        for told in self.told {
            let _ = told.send(durable.clone());
        }
    }
}

/// The task is gone: its runtime is shutting down.
fn ended() -> StoreError {
    StoreError::Database(DbErr::Custom("the server is stopping".to_owned()))
}
