//! `cargo xtask soak`: the stories that depend on timing, many times over.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{bring, cargo};

/// A group of tests worth repeating: `cargo test -p PACKAGE --test FILE FILTER`.
struct Target {
    name: &'static str,
    package: &'static str,
    file: &'static str,
    filter: &'static str,
    repeats: Repeats,
}

/// How a group is repeated.
enum Repeats {
    /// It is run again so many times per `--times`.
    Runs(u32),
    /// It is run once and told by this variable how many rounds to do: so many per `--times`.
    Rounds { variable: &'static str, each: u32 },
    /// The same, beside the streams' server of the protocol's authors, whose program `OPPONENT` names.
    Beside { variable: &'static str, each: u32 },
}

/// Everything that is repeated; a new timing-dependent story gets a line here.
const TARGETS: &[Target] = &[
    Target {
        name: "real agent programs, one shot each",
        package: "chatroom-testkit",
        file: "model",
        filter: "runs_a_command_and_ends",
        repeats: Repeats::Runs(1),
    },
    Target {
        name: "a task, a follow-up, an interrupt and a stop, whole product",
        package: "chatroom",
        file: "agents",
        filter: "does_a_task_in_auto",
        repeats: Repeats::Runs(1),
    },
    Target {
        name: "stops of each real agent program in mid-tool",
        package: "chatroom",
        file: "agents",
        filter: "stops_in_mid_tool",
        repeats: Repeats::Rounds { variable: "STOP_ROUNDS", each: 3 },
    },
    Target {
        name: "the server and the daemon killed at random moments",
        package: "chatroom",
        file: "crashes",
        filter: "processes_die_at_random_moments",
        repeats: Repeats::Rounds { variable: "CRASH_ROUNDS", each: 50 },
    },
    Target {
        name: "transcripts of agents that talk, while server, daemon and readers are killed",
        package: "chatroom",
        file: "crashes",
        filter: "every_reader_ends",
        repeats: Repeats::Rounds { variable: "TRANSCRIPT_KILLS", each: 20 },
    },
    Target {
        name: "streams on a disk that loses power",
        package: "chatroom-streams",
        file: "simulator",
        filter: "whatever_the_disk_does",
        repeats: Repeats::Rounds { variable: "SIMULATOR_SEEDS", each: 500 },
    },
    Target {
        name: "differential: the same requests to the streams' server of the protocol's authors",
        package: "chatroom-streams",
        file: "differential",
        filter: "whatever_is_asked",
        repeats: Repeats::Beside { variable: "DIFFERENTIAL_SEEDS", each: 50 },
    },
    Target {
        name: "forged messages of daemons",
        package: "chatroom-server",
        file: "api",
        filter: "no_forged_message",
        repeats: Repeats::Rounds { variable: "CHATROOM_FORGED", each: 5_000 },
    },
    Target {
        name: "the life of commands in another order",
        package: "chatroom-testkit",
        file: "life",
        filter: "whatever_happens",
        repeats: Repeats::Rounds { variable: "PROPTEST_CASES", each: 1_000 },
    },
];

pub fn run(times: u32, seed: Option<u64>, only: Option<&str>) -> anyhow::Result<()> {
    bring::all()?;
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()));
    println!("seed {seed}; `cargo xtask soak --seed {seed}` replays what is random");
    let chosen: Vec<_> = TARGETS.iter().filter(|target| only.is_none_or(|only| target.name.contains(only))).collect();
    anyhow::ensure!(!chosen.is_empty(), "no group has {:?} in its name", only.unwrap_or_default());
    let mut failed = Vec::new();
    for target in chosen {
        let tests = || {
            let mut tests = cargo(&["test", "--quiet", "--package", target.package]);
            tests.args(["--test", target.file, target.filter]);
            tests
        };
        crate::run(tests().arg("--no-run"))?;
        let runs = match target.repeats {
            Repeats::Runs(each) => each * times,
            Repeats::Rounds { .. } | Repeats::Beside { .. } => 1,
        };
        let mut took = Vec::new();
        for round in 1..=runs {
            println!("\n== {}, run {round} of {runs}", target.name);
            let began = Instant::now();
            let mut tests = tests();
            tests.env("SOAK_SEED", seed.to_string());
            if let Repeats::Rounds { variable, each } | Repeats::Beside { variable, each } = target.repeats {
                tests.env(variable, (each * times).to_string()).args(["--", "--nocapture"]);
            }
            if let Repeats::Beside { .. } = target.repeats {
                tests.env("OPPONENT", bring::opponent()?).arg("--ignored");
            }
            if let Err(error) = crate::run(&mut tests) {
                failed.push(format!("{}, run {round}, seed {seed}: {error:#}", target.name));
            }
            took.push(began.elapsed());
        }
        took.sort();
        let at = |index: usize| took.get(index).map_or(0.0, Duration::as_secs_f32);
        println!(
            "\n== {}: {runs} runs, median {:.1} s, slowest {:.1} s",
            target.name,
            at(took.len() / 2),
            at(took.len().saturating_sub(1))
        );
    }
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
