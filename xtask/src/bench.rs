//! `cargo xtask bench`: the release program measured beside what the machine can do. See `docs/benchmarks.md`.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::{bring, cargo};

/// Builds what is measured and what measures, and passes the rest of the line on.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    // In one go: apart, what both need would be built twice.
    let both = ["--package", "chatroom", "--package", "chatroom-testkit", "--bin", "chatroom", "--bin", "bench"];
    crate::run(cargo(&["build", "--release"]).args(both))?;
    let folder = release_folder()?;
    let mut bench = std::process::Command::new(folder.join("bench"));
    bench.args(arguments).current_dir(crate::root());
    let what = arguments.first().map_or("", String::as_str);
    if ["dispatch", "streams", "transcripts", "web"].contains(&what) {
        bench.arg("--program").arg(folder.join("chatroom"));
    }
    if what == "streams" {
        bench.arg("--opponent").arg(bring::opponent()?);
    }
    if what == "web" {
        bring::browser()?;
    }
    crate::run(&mut bench)
}

fn release_folder() -> anyhow::Result<PathBuf> {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("no target_directory")?;
    Ok(PathBuf::from(target).join("release"))
}
