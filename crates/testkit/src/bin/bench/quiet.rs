//! Daemons that do nothing: what they hold, and whether they are still.

use std::time::Duration;

use crate::daemons::Daemon;
use crate::facts::{Memory, megabytes, ticks};
use crate::figures::say;

/// Watches daemons for so many seconds and prints what they cost.
pub async fn watch(daemons: &[Daemon], server: u32, seconds: u64) -> anyhow::Result<()> {
    let before: Vec<u64> = daemons.iter().map(|daemon| ticks(daemon.pid())).collect::<Result<_, _>>()?;
    let server_before = ticks(server)?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let mut used = Vec::new();
    let mut held = Vec::new();
    for (daemon, before) in daemons.iter().zip(before) {
        used.push(ticks(daemon.pid())? - before);
        held.push(Memory::of(daemon.pid())?);
    }
    used.sort_unstable();
    held.sort_unstable_by_key(|memory| memory.resident);
    let middle = held[held.len() / 2];
    let most = held[held.len() - 1];
    say(&format!(
        "Idle daemons, {} of them over {seconds} s: memory {} in the middle, {} at most, of it {} their own (goal \
         ≤ 12 MB); CPU {} ms in the middle, {} ms at most; the server meanwhile {} ms.",
        daemons.len(),
        megabytes(middle.resident),
        megabytes(most.resident),
        megabytes(middle.own),
        used[used.len() / 2] * 10,
        used[used.len() - 1] * 10,
        (ticks(server)? - server_before) * 10,
    ))?;
    Ok(())
}
