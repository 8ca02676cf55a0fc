//! Times and durations as people read and write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chatroom_protocol::Timestamp;

/// Returns the time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Writes a time in UTC, to the second.
pub fn utc(at: Timestamp) -> String {
    at.utc()
}

/// Writes how long ago something was.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis_since(at).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Reads `30s`, `5m` or `1h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        _ => return Err("must be a number with a unit: 30s, 5m or 1h".into()),
    };
    text[..text.len() - 1]
        .parse::<u64>()
        .ok()
        .filter(|count| (1..=1_000_000).contains(count))
        .map(|count| Duration::from_secs(count * unit))
        .ok_or_else(|| "must be a number with a unit: 30s, 5m or 1h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        for bad in ["", "5", "s", "-5s", "0s", "5d", "1.5h", "5 m", "ü"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
