//! This process's own terminal, lent to a program elsewhere.
//!
//! While it is lent every key goes through as it is, and it is given back on every
//! way out: the old settings, and none of the modes the other program chose.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, Result};
use chatroom_protocol::api::terminal::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// Takes back what a program may have switched on: another screen, a hidden cursor, the mouse, pasting, focus, keys of
/// other kinds, colours.
const PLAIN: &str = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\
                     \x1b[?2026l\x1b[<u\x1b[>4;0m\x1b[?1l\x1b>\x1b[m\r\n";

/// A terminal that is lent. Dropping it gives it back.
pub struct Lent {
    before: Termios,
}

/// Returns whether this process has a terminal to lend.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Returns its size.
pub fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(TerminalSize { columns: size.ws_col, rows: size.ws_row })
}

/// Returns what is typed here. Reading goes on until this process ends, which does not wait for it.
pub fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (send, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = io::stdin().lock().read(&mut buffer)
            && count > 0
            && send.blocking_send(buffer[..count].to_vec()).is_ok()
        {}
    });
    keys
}

impl Lent {
    /// Lends it.
    pub fn now() -> Result<Self> {
        let before = tcgetattr(io::stdin()).context("the settings of this terminal cannot be read")?;
        let lent = Self { before };
        lent.again()?;
        Ok(lent)
    }

    /// Lends it once more, after this process was stopped and went on.
    pub fn again(&self) -> Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).context("this terminal cannot be lent")
    }
}

/// Shows what the other program printed.
pub fn show(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("this terminal takes nothing any more")
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = show(PLAIN.as_bytes());
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
