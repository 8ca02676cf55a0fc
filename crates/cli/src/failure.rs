//! How a verb that did not do its work tells so: one sentence, and an exit code.

use std::process::ExitCode;

use crate::output::{self, ReaderGone};

/// Exit code: what was asked for was not done.
pub const REFUSED: u8 = 1;
/// Exit code: the command itself was wrong.
pub const USAGE: u8 = 2;

/// The command was wrong; this is the nearest right one.
#[derive(Debug, thiserror::Error)]
#[error("{what}\n\nThis is the form:\n\n{form}")]
pub struct Usage {
    what: String,
    form: String,
}

impl Usage {
    /// Says what was wrong and shows the right form.
    pub fn new(what: impl Into<String>, form: impl Into<String>) -> Self {
        Self { what: what.into(), form: form.into() }
    }
}

/// Writes an error and its causes, without those that only repeat what was said.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Tells a failure and returns its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        // As in `chatroom messages | head`: whoever asked has seen enough.
        return ExitCode::SUCCESS;
    }
    output::talk(format!("error: {}", chain(error)));
    ExitCode::from(if error.is::<Usage>() { USAGE } else { REFUSED })
}
