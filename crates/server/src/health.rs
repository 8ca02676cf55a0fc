//! How the database is, watched: what is wrong is told once, and so is its end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chatroom_store::Trouble;

use crate::app::App;
use crate::error::Error;

/// How often the database is looked at.
pub const EVERY: Duration = Duration::from_secs(1);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What ails the database right now, and what was forgotten so far.
#[derive(Debug, Default)]
pub struct Health {
    trouble: Mutex<Option<Trouble>>,
    forgotten: Mutex<BTreeMap<&'static str, u64>>,
}

impl Health {
    /// Returns what ails the database.
    pub fn trouble(&self) -> Option<Trouble> {
        *lock(&self.trouble)
    }

    /// Takes note of trouble; whoever notes it first tells.
    pub fn note(&self, found: Trouble, app: &App) {
        let known = lock(&self.trouble).replace(found);
        if known == Some(found) {
            return;
        }
        let database = &app.config.database;
        match found {
            Trouble::Full => tracing::error!(
                %database,
                "the disk under the database is full or refuses writes: reads are answered, writes are refused; \
                 free some space, the server goes on by itself"
            ),
            Trouble::Away => tracing::error!(
                %database,
                "the database does not answer: requests are refused; check that it runs and can be reached from here, \
                 the server goes on by itself"
            ),
        }
    }

    fn over(&self) {
        if lock(&self.trouble).take().is_some() {
            tracing::warn!("the database takes writes again");
        }
    }

    /// Counts rows that were past their time.
    pub fn forgot(&self, what: &'static str, rows: u64) {
        *lock(&self.forgotten).entry(what).or_default() += rows;
    }

    /// Returns how many rows of each kind were forgotten.
    pub fn forgotten(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.forgotten).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the database once: whether it answers, and while it was in trouble, whether it takes a write.
pub async fn look(app: App) -> Result<(), Error> {
    let looked = async {
        app.store.ping().await?;
        match app.health.trouble() {
            None => Ok(()),
            Some(_) => app.store.try_write().await,
        }
    };
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(())) => app.health.over(),
        Ok(Err(error)) => match error.trouble() {
            Some(trouble) => app.health.note(trouble, &app),
            None => return Err(error.into()),
        },
        Err(_) => app.health.note(Trouble::Away, &app),
    }
    Ok(())
}
