//! Gives memory back that a process holds and does not use, where the system does not take it by itself.
//!
//! Two kinds of it are much. What was freed: glibc's allocator returns only what lies at the end of its heap, so ten
//! thousand machines that came in at once leave gaps behind that stay resident. And pages of the program itself: Linux
//! maps sixteen around each one that is touched, so what only the start needed counts as resident for as long as the
//! process lives. Neither is lost: memory comes back when it is asked for, and a page of the program is in the page
//! cache, or is read from its file again.
//!
//! On other systems nothing is done.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
use elsewhere as system;

/// How long a start takes at most.
const START: Duration = Duration::from_secs(1);
/// How often a process looks at itself.
const EVERY: Duration = Duration::from_secs(30);
/// One that computes for less of that time does nothing.
const STILL: Duration = Duration::from_millis(30);
/// How many bytes one that is busy may grow before something is done, beside a quarter of what it has: a pause is worth it
/// only for much.
const GROWTH: usize = 128 << 20;

/// What this process may let go of.
#[derive(Debug)]
pub struct Memory {
    program: system::Program,
}

impl Memory {
    /// Looks at what there is. To be called at the start of `main`, before there is another thread.
    pub fn at_start() -> Self {
        Self { program: system::Program::at_start() }
    }

    /// Gives back what the start needed and what came with it, and then whatever there is whenever the process has come
    /// to rest, or has grown much. It does not end, but on systems where there is nothing to do.
    pub async fn keep_little(self) {
        let program = self.program;
        // A daemon connects, and to a server that was away all its machines come at once.
        for pause in [START, EVERY, EVERY] {
            sleep(pause).await;
            give_back(&program).await;
        }
        while rests_or_grew().await {
            give_back(&program).await;
        }
    }
}

/// Gives back what is not in use.
async fn give_back(program: &system::Program) {
    // On a thread of its own, for it takes some 30 ms for each 100 MiB that were freed. Where there is none, it is done the
    // next time.
    let _ = spawn_blocking(system::trim).await;
    // Not there: what runs behind this is in memory again, and the end of such a thread is far from all else.
    program.leave();
}

/// Waits until the process has come to rest after it did something, or has grown much; returns whether that can be told.
async fn rests_or_grew() -> bool {
    let Some(mut least) = system::resident() else { return false };
    let mut was_busy = false;
    loop {
        let before = system::computed();
        sleep(EVERY).await;
        let (Some(resident), Some(before), Some(now)) = (system::resident(), before, system::computed()) else {
            return false;
        };
        let is_busy = now.saturating_sub(before) > STILL;
        least = least.min(resident);
        if was_busy && !is_busy || resident > least + least / 4 + GROWTH {
            tracing::debug!(resident, least, is_busy, "memory is given back");
            return true;
        }
        was_busy |= is_busy;
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Memory as it is after very many had something at once, and one in a hundred still has.
    fn gaps() -> Vec<Vec<u8>> {
        let all: Vec<_> = (0..20_000).map(|_| vec![1_u8; 10_000]).collect();
        all.into_iter().enumerate().filter(|(number, _)| number % 100 == 99).map(|(_, piece)| piece).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_freed_is_given_back_and_what_is_in_use_stays() {
        let keeping = tokio::spawn(Memory::at_start().keep_little());
        sleep(START + EVERY * 3).await;
        let before = system::resident().expect("it is told");
        let kept = spawn_blocking(gaps).await.expect("no panic");
        let full = system::resident().expect("it is told");
        assert!(full > before + (150 << 20), "without it, freed memory stays: {before} and then {full}");
        sleep(EVERY * 2).await;
        let after = system::resident().expect("it is told");
        assert!(after < before + (10 << 20), "{before}, {full} and then {after}");
        assert!(kept.iter().all(|piece| piece.iter().all(|byte| *byte == 1)));
        assert!(!keeping.is_finished());
    }
}
