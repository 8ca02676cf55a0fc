//! `cargo xtask soak`: the stories that depend on timing, many times over.

use std::time::{Duration, Instant};

use crate::cargo;

/// A group of tests worth repeating: `cargo test -p PACKAGE --test FILE FILTER`.
struct Target {
    name: &'static str,
    package: &'static str,
    file: &'static str,
    filter: &'static str,
}

/// Everything that is repeated; a new timing-dependent story gets a line here.
const TARGETS: &[Target] = &[
    Target {
        name: "real agent programs, one shot each",
        package: "chatroom-testkit",
        file: "model",
        filter: "runs_a_command_and_ends",
    },
    Target {
        name: "a task, a follow-up, an interrupt and a stop in mid-tool, whole product",
        package: "chatroom",
        file: "agents",
        filter: "does_a_task_in_auto",
    },
];

pub fn run(times: u32) -> anyhow::Result<()> {
    crate::bring::all()?;
    let mut failed = Vec::new();
    for target in TARGETS {
        let tests = || {
            let mut tests = cargo(&["test", "--quiet", "--package", target.package]);
            tests.args(["--test", target.file, target.filter]);
            tests
        };
        crate::run(tests().arg("--no-run"))?;
        let mut took = Vec::new();
        for round in 1..=times {
            println!("\n== {}, round {round} of {times}", target.name);
            let began = Instant::now();
            if let Err(error) = crate::run(&mut tests()) {
                failed.push(format!("{}, round {round}: {error:#}", target.name));
            }
            took.push(began.elapsed());
        }
        took.sort();
        let at = |index: usize| took.get(index).map_or(0.0, Duration::as_secs_f32);
        println!(
            "\n== {}: median {:.1} s, slowest {:.1} s",
            target.name,
            at(took.len() / 2),
            at(took.len().saturating_sub(1))
        );
    }
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
