//! Waiting out trouble on the way to the server.

use std::time::Duration;

use crate::client::ApiError;
use crate::output;

/// The first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Tries again for as long as trouble lasts, and tells of it once.
#[derive(Debug, Default)]
pub struct Patience {
    next: Option<Duration>,
    told: bool,
}

impl Patience {
    /// Asks until there is an answer that counts.
    pub async fn with<T>(&mut self, ask: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
        loop {
            match ask().await {
                Err(error) if error.is_transient() => {
                    self.after(&format!("{error}.")).await;
                }
                answer => {
                    self.next = None;
                    if std::mem::take(&mut self.told) {
                        output::talk("The server is reachable again.");
                    }
                    return answer;
                }
            }
        }
    }

    /// Tells of trouble once, and lets some time pass, more each time.
    pub async fn after(&mut self, trouble: &str) {
        if !std::mem::replace(&mut self.told, true) {
            output::talk(format!("{trouble} Trying again until it works; nothing is lost."));
        }
        let pause = self.next.unwrap_or(PAUSES.0);
        self.next = Some((pause * 2).min(PAUSES.1));
        tokio::time::sleep(pause).await;
    }
}
