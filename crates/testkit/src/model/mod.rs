//! The scripted model: a loopback server that agent programs take for their provider.
//!
//! It speaks the Anthropic messages protocol under `/anthropic` and `OpenAI` chat completions under
//! `/openai`, and refuses what the real services refuse. What it answers is decided by the newest
//! rule that matches, and without one by the markers in the prompt:
//!
//! ```text
//! [[run: echo hello > out.txt]]     calls the agent's shell tool, then says "done: <its output>"
//! [[say: some text]]                says it
//! [[hang]]                          starts an answer and never ends it
//! ```
//!
//! Several markers run one after another. A refused tool call ends the turn with "denied: …", a
//! prompt without a marker is answered "ok", and a call that brings no tools (a title, a summary)
//! gets a short title. Only the newest user text counts: markers of earlier prompts are history.
//!
//! The server runs on a thread of its own, so a test that blocks does not stop it, and dropping
//! the [`Model`] breaks every open stream.

mod answer;
mod anthropic;
mod content;
mod markers;
mod openai;
mod requests;
mod routes;
mod turn;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use answer::Reply;
pub use requests::{Progress, Request};
pub use turn::{Outcome, Shell, ToolResult, Turn, Vendor};

use requests::Requests;

/// The model id that every setup of [`crate::agents`] uses.
pub const MODEL: &str = "scripted-1";

/// The model id meant for background calls such as titles.
pub const SMALL_MODEL: &str = "scripted-small";

/// A condition over the conversation and what to answer when it holds.
pub struct Rule {
    when: Box<dyn Fn(&Turn) -> bool + Send + Sync>,
    then: Box<dyn Fn(&Turn) -> Reply + Send + Sync>,
}

impl Rule {
    /// Begins a rule that applies where `condition` holds.
    pub fn when(condition: impl Fn(&Turn) -> bool + Send + Sync + 'static) -> When {
        When(Box::new(condition))
    }

    /// Begins a rule that applies to every prompt which contains `text`, not to background calls.
    pub fn prompt_contains(text: impl Into<String>) -> When {
        let text = text.into();
        Self::when(move |turn| turn.shell.is_some() && turn.prompt.contains(&text))
    }

    fn answer(&self, turn: &Turn) -> Option<Reply> {
        (self.when)(turn).then(|| (self.then)(turn))
    }
}

/// The first half of a [`Rule`].
pub struct When(Box<dyn Fn(&Turn) -> bool + Send + Sync>);

impl When {
    /// Completes the rule with one fixed reply.
    pub fn then(self, reply: Reply) -> Rule {
        self.then_with(move |_| reply.clone())
    }

    /// Completes the rule with a reply made from the conversation.
    pub fn then_with(self, reply: impl Fn(&Turn) -> Reply + Send + Sync + 'static) -> Rule {
        Rule { when: self.0, then: Box::new(reply) }
    }
}

/// What the handlers share with the test.
#[derive(Default)]
struct Script {
    rules: Mutex<Vec<Rule>>,
    requests: Arc<Requests>,
}

impl Script {
    fn reply(&self, turn: &Turn) -> Reply {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter().rev().find_map(|rule| rule.answer(turn)).unwrap_or_else(|| markers::reply(turn))
    }
}

/// A running scripted model.
pub struct Model {
    url: String,
    script: Arc<Script>,
    runtime: Option<Runtime>,
}

impl Model {
    /// Starts a model on a free loopback port.
    pub async fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("scripted-model")
            .enable_all()
            .build()
            .expect("a runtime for the scripted model");
        let script = Arc::new(Script::default());
        let router = routes::router(Arc::clone(&script));
        let bound = runtime.spawn(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            tokio::spawn(routes::serve(listener, router));
            std::io::Result::Ok(address)
        });
        let address = bound.await.expect("the scripted model's thread").expect("a free loopback port");
        Self { url: format!("http://{address}"), script, runtime: Some(runtime) }
    }

    /// Returns the server's origin, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the base URL for Anthropic clients, which add `/v1/messages` themselves.
    pub fn anthropic_url(&self) -> String {
        format!("{}/anthropic", self.url)
    }

    /// Returns the base URL for `OpenAI` clients, which add `/chat/completions` themselves.
    pub fn openai_url(&self) -> String {
        format!("{}/openai/v1", self.url)
    }

    /// Adds a rule; it goes before the ones added earlier and before the markers.
    pub fn rule(&self, rule: Rule) {
        let mut rules = self.script.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.push(rule);
    }

    /// Returns every request so far, the refused ones included, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.script.requests.all()
    }

    /// Returns how many answers are being streamed at this moment.
    ///
    /// It falls when the client hangs up: the way to see that a stop cut the upstream call.
    pub fn open_streams(&self) -> usize {
        self.script.requests.open()
    }

    /// Waits for a request that satisfies `condition`, one that was there before included.
    pub async fn wait_for(&self, condition: impl Fn(&Request) -> bool, timeout: Duration) -> anyhow::Result<Request> {
        let found = || self.requests().into_iter().find(|request| condition(request));
        self.wait_until(found, timeout).await.ok_or_else(|| {
            anyhow::anyhow!(
                "no such request reached the model within {timeout:?}; it saw: {:#?}",
                self.script.requests.summary()
            )
        })
    }

    /// Waits until exactly `count` answers are being streamed.
    pub async fn wait_for_open_streams(&self, count: usize, timeout: Duration) -> anyhow::Result<()> {
        let reached = || (self.open_streams() == count).then_some(());
        self.wait_until(reached, timeout).await.ok_or_else(|| {
            anyhow::anyhow!("{} streams are open after {timeout:?}, expected {count}", self.open_streams())
        })
    }

    async fn wait_until<T>(&self, look: impl Fn() -> Option<T>, timeout: Duration) -> Option<T> {
        let mut changes = self.script.requests.changes();
        let waiting = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = look() {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, waiting).await.ok().flatten()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
