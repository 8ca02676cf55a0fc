//! The official suite of the Durable Streams protocol, against `chatroom streams serve`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use crate::{bring, cargo, root};

/// How many tests it has without those on subscriptions. Fewer that ran would look like success.
const CORE: u64 = 332;

/// Runs it; every test has to run and pass.
pub fn check() -> anyhow::Result<()> {
    let suite = bring::conformance()?;
    for file in ["core.test.mjs", "vitest.config.mjs"] {
        std::fs::copy(root().join("xtask/conformance").join(file), suite.folder.join(file))?;
    }
    let streams = std::env::temp_dir().join(format!("chatroom-conformance-{}", std::process::id()));
    let done = Server::start(&streams).and_then(|server| run(&suite, &server.url, &streams.with_extension("json")));
    // A folder of ours that cannot be removed is no reason to fail.
    let _ = std::fs::remove_dir_all(&streams);
    done
}

fn run(suite: &bring::Suite, url: &str, report: &std::path::Path) -> anyhow::Result<()> {
    let mut tests = Command::new(suite.folder.join("node_modules/.bin/vitest"));
    tests.args(["run", "--reporter=dot", "--reporter=json"]).arg(format!("--outputFile.json={}", report.display()));
    tests.current_dir(&suite.folder).env("PATH", &suite.path).env("STREAMS_URL", url).env("NO_COLOR", "1");
    let status = tests.status().context("the suite cannot be started")?;
    let text = std::fs::read(report).context("the suite left no report")?;
    let _ = std::fs::remove_file(report);
    let report: Value = serde_json::from_slice(&text).context("the suite's report")?;
    let files = report["testResults"].as_array().into_iter().flatten();
    let tests = files.flat_map(|file| file["assertionResults"].as_array().into_iter().flatten());
    for test in tests.filter(|test| test["status"] == "failed") {
        println!("failed: {}", test["fullName"].as_str().unwrap_or_default());
    }
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let (passed, failed) = (count("numPassedTests"), count("numFailedTests"));
    println!("{passed} passed, {failed} failed");
    anyhow::ensure!(status.success() && failed == 0, "{failed} tests of the suite failed ({status})");
    anyhow::ensure!(passed == CORE, "{passed} tests of the suite ran, and it has {CORE}");
    Ok(())
}

/// A server of streams; it ends when this is dropped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(folder: &std::path::Path) -> anyhow::Result<Self> {
        let mut command = cargo(&["run", "--quiet", "--locked", "--package", "chatroom", "--", "streams", "serve"]);
        command.arg(folder).args(["--port", "0", "--long-poll", "1"]).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().context("its output is not piped")?;
        BufReader::new(output).read_line(&mut line)?;
        let url = line.split_whitespace().find_map(|word| word.strip_suffix("/v1/stream/"));
        match url {
            Some(url) => Ok(Self { url: url.to_owned(), process }),
            None => anyhow::bail!("the server of streams did not start ({})", process.wait()?),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `cargo run` on Unix is replaced by the program it runs.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            println!("the server of streams: {error}");
        }
    }
}
