//! The engine over a disk that loses power, fails to sync and runs full, at moments that a seed decides.
//!
//! `SIMULATOR_SEEDS` says how many seeds are run, `SOAK_SEED` with which it begins. A seed that fails is printed;
//! `SIMULATOR_SEEDS=1 SOAK_SEED=…` replays it.

mod disk;
mod model;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_the_disk_does_nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    let first = number("SOAK_SEED", 1);
    let count = number("SIMULATOR_SEEDS", 400);
    for seed in first..first + count {
        let done = catch_unwind(AssertUnwindSafe(|| world::run(seed)));
        let problem = match done {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(_) => "it panicked".to_owned(),
        };
        panic!("seed {seed}: {problem}\nSIMULATOR_SEEDS=1 SOAK_SEED={seed} replays it");
    }
}
