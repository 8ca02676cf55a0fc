//! `chatroom agent logs --cast`: what a terminal showed, in the form asciinema plays.

use anyhow::{Result, bail};
use chatroom_protocol::transcript::{RunEvent, Sequenced};
use serde_json::json;

use crate::output;

/// Prints a recording event by event.
#[derive(Debug, Default)]
pub struct Cast {
    is_open: bool,
}

impl Cast {
    /// Takes a line of the log.
    pub fn line(&mut self, line: &str) -> Result<()> {
        // What a newer version wrote tells nothing here.
        let Ok(event) = serde_json::from_str::<Sequenced<RunEvent>>(line) else { return Ok(()) };
        let line = match event.event {
            RunEvent::TerminalOpened { width, height } => {
                self.is_open = true;
                json!({ "version": 2, "width": width, "height": height, "timestamp": event.at.0 / 1000 }).to_string()
            }
            RunEvent::TerminalFrame { frame } => serde_json::to_string(&frame)?,
            _ => return Ok(()),
        };
        output::data(&output::printable_json(&line))
    }

    /// The log is over.
    pub fn end(&self) -> Result<()> {
        if !self.is_open {
            bail!("this run was in no terminal, so there is no recording; leave --cast away (no_terminal)");
        }
        Ok(())
    }
}
