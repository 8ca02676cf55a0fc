//! The script that measures pages in a real browser, and what it tells.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use chatroom_testkit::agents;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long one measurement may take.
const PATIENCE: Duration = Duration::from_mins(15);

/// A browser that measures one thing.
pub struct Browser {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    /// Begins to measure what the script `pages.mjs` calls by this name.
    pub fn begin(what: &str, given: &Value) -> anyhow::Result<Self> {
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/bench/web/pages.mjs"))
            .arg(what)
            .env("PACKAGES", agents::browser_packages()?)
            .env("GIVEN", given.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run node")?;
        let out = child.stdout.take().context("its output is not piped")?;
        Ok(Self { child, lines: BufReader::new(out).lines() })
    }

    /// Returns what it tells next.
    pub async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line =
            tokio::time::timeout(PATIENCE, self.lines.next_line()).await.context("the browser says nothing")??;
        Ok(serde_json::from_str(&line.context("the browser ended early, as told above")?)?)
    }

    /// Returns the one thing it tells, once it has ended.
    pub async fn only<T: DeserializeOwned>(mut self) -> anyhow::Result<T> {
        let told = self.next().await?;
        let status = self.child.wait().await?;
        anyhow::ensure!(status.success(), "the browser ended with {status}");
        Ok(told)
    }
}
