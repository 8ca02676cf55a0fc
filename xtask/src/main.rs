//! What CI and people run: `cargo xtask test`, `soak`, `bench`, `openapi`, `screenshots`, `record`, `bring`.
//!
//! It depends on nothing of ours, so that it builds in seconds and works while the rest does not.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod bring;
mod conformance;
mod database;
mod openapi;
mod record;
#[cfg(test)]
mod rules;
mod schemathesis;
mod soak;
mod steps;
mod test;
mod web;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "What CI and people run")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Brings what is missing, then checks everything; this is what CI runs
    Test,
    /// Only brings what the tests need: packages, Node, the pinned agent programs
    Bring,
    /// Only runs the official suite of the Durable Streams protocol against `chatroom streams serve`
    Conformance,
    /// Writes the API description and the web app's types of it, or compares it with the committed one
    Openapi {
        /// Fail when the committed description is not current
        #[arg(long)]
        check: bool,
    },
    /// Takes the pictures of the README anew, in a real browser
    Screenshots,
    /// Records the talks with the pinned agent programs again, which the tests of the harnesses replay
    Record,
    /// Repeats the stories that depend on timing
    Soak {
        /// How often; the whole is meant for 20
        #[arg(long, default_value_t = 20)]
        times: u32,
        /// What random moments and inputs begin with; the time if omitted
        #[arg(long)]
        seed: Option<u64>,
        /// Only the groups with this in their name
        #[arg(long)]
        only: Option<String>,
    },
    /// Measures the release program; `bench dispatch --help` and its like tell the scales
    Bench {
        /// What, and how large
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Test => test::run(),
        Verb::Bring => bring::all(),
        Verb::Conformance => conformance::check(),
        Verb::Screenshots => web::screenshots(),
        Verb::Record => record::all(),
        Verb::Openapi { check: true } => openapi::check(),
        Verb::Openapi { check: false } => openapi::write().and_then(|()| web::write_types()),
        Verb::Soak { times, seed, only } => soak::run(times, seed, only.as_deref()),
        Verb::Bench { arguments } => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the root of the checkout.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns a `cargo` command at the root of the checkout.
fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut cargo = Command::new(program);
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Runs a command to its end, its output going where ours goes.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = spelled(command);
    println!("$ {line}");
    let status = command.status().map_err(|error| anyhow::anyhow!("cannot run {line}: {error}"))?;
    anyhow::ensure!(status.success(), "{line}: {status}");
    Ok(())
}

fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
