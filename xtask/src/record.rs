//! `cargo xtask record`: the talks with the real programs, recorded again, and what they mean to us.

use crate::{bring, cargo, run};

/// Records the pinned programs and writes down what their talks mean; the difference is for a person to read.
pub fn all() -> anyhow::Result<()> {
    bring::programs()?;
    run(&mut cargo(&["run", "--locked", "--package", "chatroom-testkit", "--bin", "record"]))?;
    let replay = ["test", "--locked", "--package", "chatroom-daemon", "--test", "runs", "--", "transcripts::"];
    run(cargo(&replay).env("INSTA_UPDATE", "always"))
}
