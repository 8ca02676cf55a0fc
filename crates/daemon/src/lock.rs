//! One daemon per home. The system gives the lock back, however the process ends.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::home::{Home, HomeError, open_private};

const FILE: &str = "daemon.lock";
const LOOK: Duration = Duration::from_millis(100);

/// Takes the lock, waiting for a daemon that is just ending; `None` if it was not free within `patience`.
pub async fn take(home: &Home, patience: Duration) -> Result<Option<File>, HomeError> {
    let until = Instant::now() + patience;
    let mut looks = 0_u32;
    loop {
        if let Some(lock) = try_take(home)? {
            return Ok(Some(lock));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        looks += 1;
        // The first time it may have been somebody who only looked.
        if looks == 2 {
            tracing::info!("another daemon of this home runs; waiting for it to end");
        }
        sleep(LOOK).await;
    }
}

/// Returns whether a daemon of this home runs, begins or ends.
pub fn is_taken(home: &Home) -> Result<bool, HomeError> {
    Ok(try_take(home)?.is_none())
}

fn try_take(home: &Home) -> Result<Option<File>, HomeError> {
    let path = home.join(FILE);
    let fault = |source: io::Error| HomeError::Io { path: path.clone(), source };
    let file = open_private(&path).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(fault(error)),
    }
}
