//! Reading a stream of the server to its end, or for as long as it grows.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::client::Client;
use crate::output;

/// How long the server is left alone once it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Gives every event from an offset on to `print`, each once and in order; if asked to, waits for what comes.
///
/// Whoever follows does so also across a restart of the server.
pub async fn stream(
    client: &Client,
    stream: &str,
    mut offset: String,
    follow: bool,
    mut print: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut wait = false;
    let mut is_away = false;
    loop {
        let page = match client.page(stream, &offset, wait).await {
            Err(error) if follow && error.is_transient() => {
                if !std::mem::replace(&mut is_away, true) {
                    output::talk(format!("{error}; trying again"));
                }
                sleep(PAUSE).await;
                continue;
            }
            page => page?,
        };
        is_away = false;
        for event in &page.events {
            print(event.get())?;
        }
        offset = page.next;
        if page.is_closed || page.is_up_to_date && !follow {
            return Ok(());
        }
        wait = page.is_up_to_date;
    }
}
