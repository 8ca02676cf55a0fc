//! How long to wait before the next try.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: u64 = 500;
const MOST: u64 = 30_000;
/// The same for a server that is expected: soon, but ten thousand daemons that look for it are not to be its first load.
const MOST_EXPECTED: u64 = 2_000;
/// How long a server that said that it leaves is expected back.
const RETURN: Duration = Duration::from_mins(1);
/// The least.
const LEAST: u64 = 50;

/// Doubles from half a second to thirty, each wait anywhere below that, so that many machines do not come back at once.
///
/// A server that is expected back at once is looked for more often.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
    expected: Option<Instant>,
}

impl Backoff {
    /// Returns the next wait.
    #[expect(clippy::should_implement_trait, reason = "waits never run out, and nobody takes them in a loop")]
    pub fn next(&mut self) -> Duration {
        let most = if self.is_expecting() { MOST_EXPECTED } else { MOST };
        let ceiling = most.min(FIRST << self.tries.min(10));
        self.tries += 1;
        // Without randomness the whole wait is as good.
        let random = getrandom::u64().unwrap_or(ceiling);
        Duration::from_millis((random % (ceiling + 1)).max(LEAST))
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Begins anew, after the server said that it is back at once.
    pub fn expect(&mut self) {
        self.reset();
        self.expected = Some(Instant::now() + RETURN);
    }

    /// Expects nothing any more: the server came back, or somebody else did.
    pub fn stop_expecting(&mut self) {
        self.expected = None;
    }

    /// Returns whether the server is expected back at once.
    pub fn is_expecting(&self) -> bool {
        self.expected.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_said_that_it_is_back_at_once_is_looked_for_more_often() {
        let longest = |backoff: &mut Backoff| (0..200).map(|_| backoff.next()).max().unwrap_or_default();
        let mut backoff = Backoff::default();
        backoff.expect();
        assert!(longest(&mut backoff) <= Duration::from_millis(MOST_EXPECTED));
        backoff.stop_expecting();
        assert!(longest(&mut backoff) > Duration::from_millis(MOST_EXPECTED));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(FIRST));
    }
}
