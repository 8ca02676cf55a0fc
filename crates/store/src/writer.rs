//! Writes, one after another, and several to a sync.
//!
//! One task has the writing connection. A change that finds it free is a
//! transaction of its own. Changes that had to wait while the disk was at work
//! share the next transaction: each in a savepoint, so that one which fails takes
//! no other with it, and each is told that it is durable once all of them are.
//! Nobody waits for company: a batch is whoever was there when it began.
//!
//! The task says itself where a transaction begins and ends, on a connection it
//! keeps. Through the pool each change would cost two questions more: the lock of
//! PostgreSQL is one of its own there, and a connection that is given back is asked
//! whether it lives while the next change waits for it.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnAcquireErr, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    TransactionTrait as _,
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

/// Who waits to hear that a change, which is complete, is durable.
type Told = oneshot::Sender<Result<(), StoreError>>;

/// A write under way. Dropped without [`Tx::commit`], it leaves no trace.
pub struct Tx {
    connection: Arc<DatabaseTransaction>,
    over: oneshot::Sender<Told>,
}

impl Writer {
    /// Starts the task that has the writing connection. It ends with the last clone of what is returned.
    pub(crate) fn start(pool: DatabaseConnection) -> Self {
        let (sender, turns) = unbounded_channel();
        tokio::spawn(run(pool, turns));
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
        let Self { connection, over } = self;
        // Whoever waits to hear of its change must not keep the connection from being given back.
        drop(connection);
        over.send(told).map_err(|_| ended())?;
        tells.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Access for Tx {
    type Connection = DatabaseTransaction;

    fn connection(&self) -> &DatabaseTransaction {
        &self.connection
    }
}

async fn run(pool: DatabaseConnection, mut turns: UnboundedReceiver<Turn>) {
    let mut kept = None;
    while let Some(first) = turns.recv().await {
        if first.is_closed() {
            continue;
        }
        let session = match begin(&pool, kept.take()).await {
            Ok(session) => session,
            Err(error) => {
                // Whoever waited meanwhile waited for the same.
                let others = turns.len();
                refuse(first, &error);
                for _ in 0..others {
                    turns.try_recv().into_iter().for_each(|turn| refuse(turn, &error));
                }
                continue;
            }
        };
        let ended =
            if turns.is_empty() { session.alone(first).await } else { session.together(first, &mut turns).await };
        match ended {
            Ok(()) => kept = Some(session),
            Err(_) => session.leave().await,
        }
    }
    if let Some(session) = kept {
        session.leave().await;
    }
}

fn refuse(turn: Turn, error: &StoreError) {
    // Whoever stopped waiting does not want to know.
    let _ = turn.send(Err(error.clone()));
}

/// Begins a transaction in which nothing that was read can change under the reader.
async fn begin(pool: &DatabaseConnection, kept: Option<Session>) -> Result<Session, StoreError> {
    if let Some(session) = kept {
        match session.begin().await {
            Ok(()) => return Ok(session),
            // The database was away since the last change, and may be back.
            Err(_) => session.leave().await,
        }
    }
    let session = Session::take(pool).await?;
    match session.begin().await {
        Ok(()) => Ok(session),
        Err(error) => {
            session.leave().await;
            Err(error.into())
        }
    }
}

/// The writing connection, for as long as nothing goes wrong with it.
///
/// To the pool it is one transaction that does not end.
struct Session(Arc<DatabaseTransaction>);

impl Session {
    async fn take(pool: &DatabaseConnection) -> Result<Self, DbErr> {
        let session = Self(Arc::new(pool.begin().await?));
        session.say("ROLLBACK").await?;
        Ok(session)
    }

    /// Gives the connection back, undoing what was not committed. The pool drops it if it does not live.
    async fn leave(self) {
        let _ = self.say("ROLLBACK").await;
        // The pool ends the transaction that it began.
        let _ = self.say("BEGIN").await;
    }

    async fn say(&self, sql: &str) -> Result<(), DbErr> {
        self.0.execute_unprepared(sql).await.map(drop)
    }

    async fn begin(&self) -> Result<(), DbErr> {
        // A verb of another process may come between two changes: on SQLite the write begins at once, and PostgreSQL
        // has a lock for it.
        self.say(match self.0.get_database_backend() {
            DbBackend::Postgres => "BEGIN; SELECT pg_advisory_xact_lock(7164217, hashtext(current_schema()))",
            _ => "BEGIN IMMEDIATE",
        })
        .await
    }

    /// Gives a whole transaction to one change.
    async fn alone(&self, turn: Turn) -> Result<(), DbErr> {
        match self.give(turn).await {
            Some(told) => tell(vec![told], self.say("COMMIT").await),
            None => self.say("ROLLBACK").await,
        }
    }

    /// Gives one change after another a part of a transaction: the first, and those who wait already.
    async fn together(&self, first: Turn, turns: &mut UnboundedReceiver<Turn>) -> Result<(), DbErr> {
        let mut complete = Vec::new();
        let mut room = turns.len().min(MOST);
        let mut next = Some(first);
        let mut sound = self.say("SAVEPOINT change").await;
        while let Some(turn) = next.take() {
            if let Err(error) = &sound {
                refuse(turn, &error.clone().into());
            } else if !turn.is_closed() {
                // What made it fail may concern the whole transaction: nobody else is to be part of it.
                let Some(told) = self.part(turn).await else {
                    sound = self.say("ROLLBACK TO SAVEPOINT change").await;
                    break;
                };
                complete.push(told);
            }
            next = if room > 0 { turns.try_recv().ok() } else { None };
            room = room.saturating_sub(1);
        }
        let durable = match sound {
            Ok(()) => self.say("COMMIT").await,
            Err(error) => Err(error),
        };
        tell(complete, durable)
    }

    /// Gives a change the part of a transaction that has just begun, and begins the next; returns who waits to hear of it.
    async fn part(&self, turn: Turn) -> Option<Told> {
        let told = self.give(turn).await?;
        match self.say("RELEASE SAVEPOINT change; SAVEPOINT change").await {
            Ok(()) => Some(told),
            Err(error) => {
                let _ = told.send(Err(error.into()));
                None
            }
        }
    }

    /// Returns who waits to hear of the change once it is complete, or nobody if it was given up.
    async fn give(&self, turn: Turn) -> Option<Told> {
        let (over, told) = oneshot::channel();
        // Whoever stopped waiting drops it, and so gives it up.
        let _ = turn.send(Ok(Tx { connection: self.0.clone(), over }));
        told.await.ok()
    }
}

/// Tells those whose changes are complete whether they are durable.
fn tell(complete: Vec<Told>, durable: Result<(), DbErr>) -> Result<(), DbErr> {
    for told in complete {
        // Who does not listen any more has its change all the same.
        let _ = told.send(durable.clone().map_err(StoreError::from));
    }
    durable
}

/// The task is gone: its runtime is shutting down.
fn ended() -> StoreError {
    StoreError::Database(DbErr::Custom("the server is stopping".to_owned()))
}
