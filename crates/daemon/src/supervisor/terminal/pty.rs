//! The tool's process in a terminal of its own.

use std::io;
use std::time::Duration;

use chatroom_protocol::api::terminal::TerminalSize;
use pty_process::{Command, OwnedReadPty, OwnedWritePty, Size};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::harness::launch::Launch;
use crate::process::ProcessId;
use crate::supervisor::spec::RunSpec;

/// How many pieces of what is typed may wait for a tool that does not read. Then it is lost, as in any terminal.
const WAITING: usize = 64;

/// Something for the tool's keyboard.
#[derive(Debug)]
pub enum Keys {
    /// These bytes.
    Type(Vec<u8>),
    /// Nothing for a moment, so that what follows is not taken for a part of what came before.
    Pause(Duration),
}

/// A running tool in a terminal.
pub struct Tool {
    /// Who it is.
    pub id: ProcessId,
    /// Its screen; reading may be dropped half-way.
    pub screen: OwnedReadPty,
    /// The process; waiting for it may be dropped half-way.
    pub child: Child,
    keys: mpsc::Sender<Keys>,
    size: watch::Sender<TerminalSize>,
    writer: JoinHandle<()>,
}

impl Tool {
    /// Executes it, in a session of its own whose terminal is a new one.
    pub fn spawn(spec: &RunSpec, launch: &Launch, size: TerminalSize) -> io::Result<Self> {
        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        pty.resize(in_characters(size)).map_err(io::Error::other)?;
        let child = Command::new(&spec.program)
            .args(&launch.args)
            .env_clear()
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.working_dir)
            .kill_on_drop(true)
            .spawn(pts)
            .map_err(|error| match error {
                pty_process::Error::Io(error) => error,
                other => io::Error::other(other),
            })?;
        let id = child.id().and_then(ProcessId::of).ok_or_else(|| io::Error::other("the process is gone"))?;
        let (screen, keyboard) = pty.into_split();
        let (keys, typed) = mpsc::channel(WAITING);
        let (size, sizes) = watch::channel(size);
        Ok(Self { id, screen, child, keys, size, writer: tokio::spawn(write(keyboard, typed, sizes)) })
    }

    /// Types. Nothing here waits: a tool that does not read must not hold up the rest.
    pub fn press(&self, keys: Keys) {
        if self.keys.try_send(keys).is_err() {
            tracing::debug!("what was typed is lost: the agent program does not read");
        }
    }

    /// Gives its terminal another size, which the tool is told.
    pub fn resize(&self, size: TerminalSize) {
        self.size.send_replace(size);
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

async fn write(mut keyboard: OwnedWritePty, mut typed: mpsc::Receiver<Keys>, mut sizes: watch::Receiver<TerminalSize>) {
    let mut pending: Vec<u8> = Vec::new();
    loop {
        tokio::select! {
            changed = sizes.changed() => {
                if changed.is_err() {
                    return;
                }
                let size = *sizes.borrow_and_update();
                if let Err(error) = keyboard.resize(in_characters(size)) {
                    tracing::warn!(%error, "a terminal did not take its size");
                }
            }
            keys = typed.recv(), if pending.is_empty() => match keys {
                Some(Keys::Type(bytes)) => pending = bytes,
                Some(Keys::Pause(pause)) => sleep(pause).await,
                None => return,
            },
            written = keyboard.write(&pending), if !pending.is_empty() => match written {
                Ok(count) => drop(pending.drain(..count)),
                // The tool is gone, which its exit tells.
                Err(_) => return,
            },
        }
    }
}

fn in_characters(size: TerminalSize) -> Size {
    Size::new(size.rows, size.columns)
}
