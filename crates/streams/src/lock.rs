//! Locks of files that one process has open at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// How long one is waited for: a child that was just forked holds its parent's until it is another program.
const FORKED: Duration = Duration::from_secs(1);

/// Takes the lock of an open file; false if another process has it, and keeps it.
pub(crate) fn take(file: &File) -> io::Result<bool> {
    let until = Instant::now() + FORKED;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
