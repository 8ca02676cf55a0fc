//! What the model answers, before it is put into a vendor's words.

use std::time::Duration;

use serde_json::{Value, json};

use super::turn::Turn;

/// How often a hanging answer shows that it is still there.
const STILL_THERE: Duration = Duration::from_millis(200);

/// One scripted answer.
#[derive(Clone, Debug)]
pub struct Reply {
    chunks: Vec<String>,
    every: Duration,
    call: Option<Call>,
    ending: Ending,
    input_tokens: u64,
    output_tokens: u64,
}

#[derive(Clone, Debug)]
enum Call {
    Shell { command: String },
    Named { name: String, input: Value },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    Never,
    Refused(u16),
}

impl Reply {
    fn new(chunks: Vec<String>) -> Self {
        Self {
            chunks,
            every: Duration::ZERO,
            call: None,
            ending: Ending::Complete,
            input_tokens: 100,
            output_tokens: 20,
        }
    }

    /// Says `text` at once, streamed word by word.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::new(words(text.as_ref()))
    }

    /// Says `chunks` one by one with a pause before each, then ends.
    pub fn slow_text<C: Into<String>>(chunks: impl IntoIterator<Item = C>, every: Duration) -> Self {
        Self { every, ..Self::new(chunks.into_iter().map(Into::into).collect()) }
    }

    /// Calls the agent's own shell tool, whatever that is named.
    pub fn tool_shell(command: impl Into<String>) -> Self {
        Self { call: Some(Call::Shell { command: command.into() }), ..Self::new(Vec::new()) }
    }

    /// Calls the tool `name` with `input`.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self { call: Some(Call::Named { name: name.into(), input }), ..Self::new(Vec::new()) }
    }

    /// Begins an answer and streams keep-alives for ever, until the client hangs up.
    pub fn hang() -> Self {
        Self { ending: Ending::Never, ..Self::new(Vec::new()) }
    }

    /// Refuses the request with this HTTP status, in the vendor's words.
    pub fn error(status: u16) -> Self {
        Self { ending: Ending::Refused(status), ..Self::new(Vec::new()) }
    }

    /// Says `text` first; an empty text adds nothing.
    #[must_use]
    pub fn saying(mut self, text: impl AsRef<str>) -> Self {
        self.chunks = words(text.as_ref());
        self
    }

    /// Reports this usage instead of 100 tokens in and 20 out.
    #[must_use]
    pub fn usage(mut self, input_tokens: u64, output_tokens: u64) -> Self {
        self.input_tokens = input_tokens;
        self.output_tokens = output_tokens;
        self
    }

    /// Fills in what depends on the request, or says why this reply does not fit it.
    pub(super) fn answer(self, turn: &Turn) -> Result<Answer, String> {
        let call = match self.call {
            None => None,
            Some(Call::Named { name, input }) => Some((name, input)),
            Some(Call::Shell { command }) => {
                let shell = turn.shell.as_ref().ok_or_else(|| {
                    format!("the script calls a shell tool, the request offers only {:?}", turn.tools)
                })?;
                let mut input = json!({ "command": command });
                if shell.described {
                    input["description"] = json!("Scripted command");
                }
                Some((shell.name.clone(), input))
            }
        };
        Ok(Answer {
            model: turn.model.clone(),
            chunks: self.chunks,
            every: self.every,
            call,
            ending: self.ending,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
        })
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// A reply that fits one request.
pub(super) struct Answer {
    pub(super) model: String,
    pub(super) chunks: Vec<String>,
    pub(super) every: Duration,
    pub(super) call: Option<(String, Value)>,
    pub(super) ending: Ending,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        self.chunks.concat()
    }
}

/// One step of a streamed answer.
pub(super) enum Step {
    Send(String),
    Wait(Duration),
    Forever { keep_alive: String, every: Duration },
}

impl Step {
    pub(super) fn hang(keep_alive: impl Into<String>) -> Self {
        Self::Forever { keep_alive: keep_alive.into(), every: STILL_THERE }
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }
}
