//! A real browser that is told a story by Playwright, and what it asks of the world outside meanwhile.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a story may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// A story that is being told.
pub struct Story {
    name: String,
    child: Child,
    asks: Lines<BufReader<ChildStdout>>,
    answers: ChildStdin,
}

/// Something a story wants done that no page can do.
#[derive(Debug)]
pub struct Ask {
    /// What.
    pub what: String,
    /// With what.
    pub with: Value,
}

impl Story {
    /// Begins a story of `web/NAME.mjs` in a browser of its own. It is given the server's address and `with`.
    pub fn begin(url: &str, name: &str, with: &Value) -> Self {
        let script = format!("{}/tests/agents/web/{name}.mjs", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("node")
            .arg(script)
            .env("PATH", chatroom_testkit::agents::path().expect("the agent programs"))
            .env("PACKAGES", chatroom_testkit::agents::browser_packages().expect("the packages"))
            .env("GIVEN", json!({ "url": url, "with": with }).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let asks = BufReader::new(child.stdout.take().expect("its output")).lines();
        let answers = child.stdin.take().expect("its input");
        Self { name: name.to_owned(), child, asks, answers }
    }

    /// Returns what the story asks for next; `None` once it is told. A story that fails ends the test.
    pub async fn next(&mut self) -> Option<Ask> {
        let line = tokio::time::timeout(PATIENCE, self.asks.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} took longer than {PATIENCE:?}", self.name));
        let Some(line) = line.expect("its output") else {
            let status = self.child.wait().await.expect("an exit");
            assert!(status.success(), "{} failed, as told above", self.name);
            return None;
        };
        let ask: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Some(Ask { what: ask["ask"].as_str().expect("what").to_owned(), with: ask["with"].clone() })
    }

    /// Answers what was asked.
    pub async fn answer(&mut self, answer: Value) {
        let line = format!("{answer}\n");
        self.answers.write_all(line.as_bytes()).await.expect("the story goes on");
    }

    /// Tells a story that asks for nothing.
    pub async fn told(mut self) {
        if let Some(ask) = self.next().await {
            panic!("{} asks for {ask:?}", self.name);
        }
    }
}
