//! How a wait ends without a task, in words.

use std::time::Duration;

use chatroom_protocol::Timestamp;

use crate::{output, times};

/// Why a wait ended without a task.
#[derive(Debug)]
pub enum Ending {
    /// A newer waiter has the role.
    Superseded(Option<Timestamp>),
    /// The server closed it.
    Closed(String),
    /// `--duration` is over.
    TimeUp(Duration),
    /// Somebody ended it here.
    Stopped(&'static str),
}

impl Ending {
    /// Says what happened, when, what it means, what to do, and how to come back.
    pub fn text(&self, now: Timestamp, come_back: &str) -> String {
        let (event, at, means, to_do) = match self {
            Self::Superseded(at) => (
                "superseded",
                at.unwrap_or(now),
                "Another process waits for this role now; a role has one waiter. No task was lost.".to_owned(),
                "Let that one go on. Only if it should be you, come back, and it will end in its turn.",
            ),
            Self::Closed(reason) => (
                "closed",
                now,
                format!("The server ended this wait: {}.", output::one_line(reason).trim_end_matches('.')),
                "Look at the room with a person; if the role is still there, come back.",
            ),
            Self::TimeUp(limit) => (
                "time-up",
                now,
                format!("No task came within {} s. That is not the end of the session.", limit.as_secs_f64()),
                "Wait again, in the foreground.",
            ),
            Self::Stopped(signal) => (
                "stopped",
                now,
                format!("This wait was ended by {signal}. No task was lost."),
                "If your shell cut it off, wait again, in the foreground.",
            ),
        };
        format!(
            "Event: {event}\nTime: {}\nWhat it means: {means}\nWhat to do: {to_do}\nCome back with:\n\n    {come_back}\n",
            times::utc(at)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_says_how_to_come_back() {
        let texts: Vec<_> = [
            Ending::Superseded(Some(Timestamp(1_700_000_000_000))),
            Ending::Closed("the role is gone.".into()),
            Ending::TimeUp(Duration::from_millis(1500)),
            Ending::Stopped("SIGTERM"),
        ]
        .iter()
        .map(|ending| ending.text(Timestamp(0), "chatroom wait-for-task --chatroom-id=X --role=builder"))
        .collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
