//! An open event stream.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open event stream.
pub struct Feed {
    answer: Response,
    text: String,
}

impl Feed {
    /// Opens one.
    pub async fn open(request: RequestBuilder) -> Self {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "the stream did not open");
        Self { answer, text: String::new() }
    }

    /// Returns the next event, or `None` once the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event, or the end of the stream, within 10 s")
    }

    async fn read(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                if let Some(event) = line("data: ") {
                    let event: Value = serde_json::from_str(event).expect("an event is JSON");
                    let position = event["position"].to_string();
                    assert_eq!(line("id: "), Some(position.as_str()), "the id is the position");
                    return Some(event);
                }
            }
            // A cut connection is an end as well.
            let chunk = self.answer.chunk().await.ok().flatten()?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
