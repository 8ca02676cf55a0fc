//! How long to wait before the next try.

use std::time::Duration;

const FIRST: u64 = 500;
const MOST: u64 = 30_000;

/// Doubles from half a second to thirty, each wait anywhere below that, so that many machines do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Returns the next wait.
    #[expect(clippy::should_implement_trait, reason = "waits never run out, and nobody takes them in a loop")]
    pub fn next(&mut self) -> Duration {
        let ceiling = MOST.min(FIRST << self.tries.min(10));
        self.tries += 1;
        // Without randomness the whole wait is as good.
        let random = getrandom::u64().unwrap_or(ceiling);
        Duration::from_millis((random % (ceiling + 1)).max(50))
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}
