//! The web app beside the crates: its types, held to the API description, and its pictures.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::{cargo, root, run};

/// What the types of the API are made of, and where they lie.
const TYPES: &str = "src/api/schema.d.ts";

fn folder() -> PathBuf {
    root().join("web/app")
}

fn npm(arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(arguments).arg("--silent").current_dir(folder());
    npm
}

/// Installs what the app is made with, unless what is there fits the lock file.
fn install() -> anyhow::Result<()> {
    let lock = fs::read(folder().join("package-lock.json"))?;
    let stamp = folder().join("node_modules/.installed");
    if fs::read(&stamp).is_ok_and(|there| there == lock) {
        return Ok(());
    }
    run(&mut npm(&["ci"]))?;
    fs::write(stamp, lock).context("cannot write beside the packages of the web app")
}

/// Writes the types of the API from its description.
pub fn write_types() -> anyhow::Result<()> {
    install()?;
    run(&mut npm(&["run", "api"]))
}

/// Fails when the committed types are not those of the description, or the app does not fit them.
pub fn check() -> anyhow::Result<()> {
    let file = folder().join(TYPES);
    let committed = fs::read(&file).context("cannot read the types of the API")?;
    write_types()?;
    anyhow::ensure!(
        committed == fs::read(&file)?,
        "web/app/{TYPES} was not current: it is now, commit it (cargo xtask openapi does the same)"
    );
    run(&mut npm(&["run", "check"]))
}

/// Takes the pictures of the README anew.
pub fn screenshots() -> anyhow::Result<()> {
    let pictures = root().join("docs/screenshots");
    fs::create_dir_all(&pictures)?;
    let mut story = cargo(&["test", "--package", "chatroom", "--test", "agents", "--", "web::pictures", "--exact"]);
    run(story.env("CHATROOM_SCREENSHOTS", &pictures))
}
