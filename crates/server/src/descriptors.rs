//! Open descriptors: each tunnel and each connection of a person takes one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Below this a server is told to be short of them: it serves some hundred people and machines.
const FEW: u64 = 4096;
/// What macOS takes at most, whatever it names as its limit.
const MACOS: u64 = 10_240;

/// Lets this process open as many descriptors as the system allows it.
///
/// Systems begin with few, for the sake of programs that count on small numbers; this one does not.
pub fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        let wanted = if cfg!(target_os = "macos") { most.min(MACOS) } else { most };
        if now < wanted {
            setrlimit(Resource::RLIMIT_NOFILE, wanted, most)?;
        }
        Ok(now.max(wanted))
    });
    match raised {
        Ok(most) if most < FEW => {
            tracing::warn!(most, "few connections can be open at once; allow more with `ulimit -Hn` or LimitNOFILE=");
        }
        Ok(most) => tracing::debug!(most, "descriptors that may be open"),
        Err(error) => tracing::warn!(%error, "the limit of open descriptors could not be raised"),
    }
}

/// Returns how many may be open.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(now, _)| now)
}

/// Returns how many are open, where the system tells.
pub fn open() -> Option<u64> {
    let listed = std::fs::read_dir("/dev/fd").ok()?;
    // The listing itself is one of them.
    u64::try_from(listed.count()).ok().map(|count| count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes_and_what_opens_is_counted() {
        raise();
        let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((now, limit()), (most, most));
        let files: Vec<_> = (0..50).map(|_| tempfile::tempfile().unwrap()).collect();
        assert!(open().unwrap() >= 50, "{:?} with {} files", open(), files.len());
    }
}
