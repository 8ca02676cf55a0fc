//! The committed API description, `openapi.json`: written by the program itself.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context;

use crate::{cargo, root};

fn file() -> PathBuf {
    root().join("openapi.json")
}

/// Asks the program for its description.
fn current() -> anyhow::Result<Vec<u8>> {
    let mut program = cargo(&["run", "--quiet", "--package", "chatroom", "--", "openapi"]);
    let output = program.stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "chatroom openapi: {}", output.status);
    Ok(output.stdout)
}

/// Writes the description.
pub fn write() -> anyhow::Result<()> {
    fs::write(file(), current()?).context("cannot write openapi.json")
}

/// Fails when the committed description is not what the program says.
pub fn check() -> anyhow::Result<()> {
    let committed = fs::read(file()).context("cannot read openapi.json")?;
    anyhow::ensure!(
        committed == current()?,
        "openapi.json is not current: run cargo xtask openapi and commit the file"
    );
    Ok(())
}
