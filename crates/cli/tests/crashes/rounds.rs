//! Random verbs and random deaths, as long as one likes. `cargo xtask soak` runs this; a seed replays it.

use std::time::Duration;

use crate::matrix::{begin, in_the_end, is_right};
use crate::plant::{Database, Plant};

const VERBS: [&str; 3] = ["start-agent", "stop-agent", "restart-agent"];

/// A small generator: the same seed gives the same rounds (xorshift64*, Vigna 2016).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % limit
    }
}

pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_die_at_random_moments() {
    let rounds = setting("CRASH_ROUNDS", 6);
    let seed = setting("SOAK_SEED", 20_261_121);
    println!("{rounds} rounds, SOAK_SEED={seed}");
    let mut chance = Chance(seed.max(1));
    let mut plant = Plant::new(Database::Sqlite).await;
    for round in 1..=rounds {
        let verb = VERBS[usize::try_from(chance.below(3)).expect("small")];
        let who = if chance.below(2) == 0 { "server" } else { "daemon" };
        let wait = Duration::from_micros(chance.below(400_000));
        let twice = chance.below(4) == 0;
        println!("round {round}: {verb}, {who} killed after {wait:?}{}", if twice { ", then both" } else { "" });
        let before = begin(&mut plant, verb).await;
        let id = plant.send(verb).await;
        tokio::time::sleep(wait).await;
        plant.kill(who).await;
        if twice {
            plant.kill("server").await;
            plant.kill("daemon").await;
        }
        let what = format!("round {round} of SOAK_SEED={seed}: all comes right");
        plant.until(&what, |look| is_right(look, verb, &before.run, &id)).await;
        assert!(plant.most_processes() <= 1, "round {round} of SOAK_SEED={seed}: two processes at once");
    }
    in_the_end(&mut plant).await;
    println!("{rounds} rounds: never two processes, every command answered once");
}
