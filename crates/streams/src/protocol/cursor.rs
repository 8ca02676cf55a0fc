//! The number that lets caches share live reads without ever answering the same one twice.

/// 2024-10-09T00:00:00Z, in seconds since 1970.
const BEGAN: u64 = 1_728_432_000;
/// How long a cursor is the same for everybody.
const INTERVAL: u64 = 20;
/// The largest step past a cursor that a client holds.
const LARGEST_STEP: u64 = 3600 / INTERVAL;

/// Returns the cursor at `now`, in milliseconds since 1970.
pub(crate) fn at(now: u64) -> u64 {
    (now / 1000).saturating_sub(BEGAN) / INTERVAL
}

/// Returns a cursor that is larger than the one a client sent. `random` says by how much.
pub(crate) fn after(client: Option<u64>, now: u64, random: u64) -> u64 {
    let current = at(now);
    match client {
        Some(client) if client >= current => client.saturating_add(1 + random % LARGEST_STEP),
        _ => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_stays_or_falls() {
        let now = (BEGAN + 1000) * 1000;
        assert_eq!(after(None, now, 7), 50);
        assert_eq!(after(Some(49), now, 7), 50);
        for random in 0..400 {
            assert!(after(Some(50), now, random) > 50);
            assert!(after(Some(90), now, random) > 90);
        }
        assert_eq!(after(None, 0, 0), 0);
    }
}
