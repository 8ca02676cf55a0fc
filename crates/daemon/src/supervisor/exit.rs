//! How a tool ended, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// Says how a tool ended that nobody asked to; `grumble` is the last thing it printed to stderr.
pub fn in_words(status: Option<ExitStatus>, grumble: &str) -> String {
    let code = status.and_then(|status| status.code());
    let signal = status.and_then(|status| status.signal());
    let words = match (code, signal) {
        (Some(0), _) => return "the agent program ended by itself".to_owned(),
        (Some(code), _) => format!("the agent program ended with exit code {code}"),
        (None, Some(signal)) => format!("the agent program was ended by {}", name(signal)),
        (None, None) => "the agent program is gone".to_owned(),
    };
    if grumble.is_empty() { words } else { format!("{words}: {grumble}") }
}

fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned())
}
