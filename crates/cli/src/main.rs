//! `chatroom`: server, daemon, supervisor and command line in one program.
//!
//! Data goes to stdout, talk to stderr. The exit code is 0 for done, 1 for
//! refused, 2 for a wrong command.

mod client;
mod commands;
#[cfg(test)]
mod docs;
mod failure;
mod follow;
mod input;
mod logging;
mod output;
mod screen;
mod shell;
mod signals;
mod this_home;
mod times;
mod usage;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chatroom_memory::Memory;
use clap::Parser as _;

use commands::{Cli, Verb};
use shell::Shell;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error),
    };
    run(cli.verb).unwrap_or_else(|error| failure::report(&error))
}

fn run(verb: Verb) -> Result<ExitCode> {
    // A second provider is an error that cannot happen here: this is the only place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shell = Shell::of_process()?;
    let memory = Memory::at_start();
    let mut runtime = match verb {
        Verb::Up(_) | Verb::Server(_) | Verb::Machine(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build().context("the runtime cannot start")?;
    // Those that end soon do not get that far.
    runtime.spawn(memory.keep_little());
    let code = runtime.block_on(commands::run(verb, &shell));
    // A thread that still reads stdin must not hold the process.
    runtime.shutdown_background();
    code
}
