//! How often a daemon of this home started. The server keeps out all but the newest.

use crate::home::{Home, HomeError};

const FILE: &str = "epoch";

/// Returns the epoch of the last start; 0 before the first.
pub fn current(home: &Home) -> u64 {
    read(home).unwrap_or_default()
}

/// Counts a start, durably. To be called under the daemon's lock.
pub fn next(home: &Home) -> Result<u64, HomeError> {
    // An unreadable count must not go back: the clock is ahead of every count of starts.
    let last = match home.read(FILE)? {
        None => 0,
        Some(_) => read(home).unwrap_or_else(|| u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()),
    };
    let next = last + 1;
    home.write(FILE, next.to_string().as_bytes())?;
    Ok(next)
}

fn read(home: &Home) -> Option<u64> {
    let content = home.read(FILE).ok()??;
    std::str::from_utf8(&content).ok()?.trim().parse().ok()
}
