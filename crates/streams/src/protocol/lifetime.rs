//! How long a stream lives.

/// How long a stream lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is deleted.
    Unbounded,
    /// So many seconds after it was last read or written.
    Ttl(u64),
    /// Until a moment.
    Until {
        /// Milliseconds since 1970.
        moment: u64,
        /// As it was given, RFC 3339.
        given: Box<str>,
    },
}

/// A header about the life of a stream cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLifetime {
    /// No whole number of seconds.
    #[error("Stream-TTL must be whole seconds, digits only")]
    Ttl,
    /// No moment.
    #[error("Stream-Expires-At must be a moment such as 2030-01-31T12:00:00Z")]
    Moment,
    /// Two answers to one question.
    #[error("Stream-TTL and Stream-Expires-At exclude each other")]
    Both,
}

impl Lifetime {
    /// Reads the two headers; nothing if neither is there.
    pub fn parse(ttl: Option<&str>, until: Option<&str>) -> Result<Option<Self>, BadLifetime> {
        match (ttl, until) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(BadLifetime::Both),
            (Some(ttl), None) => whole(ttl).map(|seconds| Some(Self::Ttl(seconds))).ok_or(BadLifetime::Ttl),
            (None, Some(text)) => {
                let shape = text.as_bytes();
                let is_full = matches!(shape.get(10), Some(b'T' | b't')) && shape.get(16) == Some(&b':');
                let moment = text.parse::<jiff::Timestamp>().ok().filter(|_| is_full && text.len() <= 64);
                let moment = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
                let moment = moment.ok_or(BadLifetime::Moment)?;
                Ok(Some(Self::Until { moment, given: text.into() }))
            }
        }
    }

    /// Returns when the stream ends, in milliseconds since 1970, if it was last used at `used`.
    pub(crate) fn deadline(&self, used: u64) -> Option<u64> {
        match self {
            Self::Unbounded => None,
            Self::Ttl(seconds) => Some(used.saturating_add(seconds.saturating_mul(1000))),
            Self::Until { moment, .. } => Some(*moment),
        }
    }

    /// Whether both mean the same.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Until { moment: one, .. }, Self::Until { moment: other, .. }) => one == other,
            (one, other) => one == other,
        }
    }
}

/// Reads digits without a sign or a leading zero.
pub(crate) fn whole(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_read_strictly() {
        for (ttl, until, is_good) in [
            (Some("60"), None, true),
            (Some("0"), None, true),
            (Some("060"), None, false),
            (Some("+60"), None, false),
            (Some("6.0"), None, false),
            (Some("6e1"), None, false),
            (Some("-1"), None, false),
            (Some(""), None, false),
            (None, Some("2030-01-31T12:00:00Z"), true),
            (None, Some("2030-01-31T12:00:00.5+02:00"), true),
            (None, Some("2030-01-31"), false),
            (None, Some("tomorrow"), false),
            (Some("60"), Some("2030-01-31T12:00:00Z"), false),
        ] {
            assert_eq!(Lifetime::parse(ttl, until).is_ok(), is_good, "{ttl:?} {until:?}");
        }
    }
}
