//! The tool's process and its pipes.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::lines::Lines;
use super::spec::RunSpec;
use crate::harness::launch::{Launch, SYSTEM_PROMPT};
use crate::process::ProcessId;

/// The longest line of a tool that is read.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// A running tool.
pub struct Tool {
    /// Who it is.
    pub id: ProcessId,
    /// Its protocol.
    pub stdout: Lines<BufReader<ChildStdout>>,
    /// Its grumbling.
    pub stderr: Lines<BufReader<ChildStderr>>,
    /// The process; waiting for it may be dropped half-way.
    pub child: Child,
    stdin: Option<mpsc::UnboundedSender<Vec<u8>>>,
    writer: JoinHandle<()>,
}

impl Tool {
    /// Executes it, in a process group of its own and without a terminal.
    pub fn spawn(spec: &RunSpec, launch: &Launch) -> io::Result<Self> {
        if let Some(text) = &launch.prompt_file {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(spec.run_dir.join(SYSTEM_PROMPT))?;
            file.write_all(text.as_bytes())?;
        }
        let mut child = Command::new(&spec.program)
            .args(&launch.args)
            .env_clear()
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.working_dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("the process has no pipes");
        let stdin = child.stdin.take().ok_or_else(gone)?;
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let stderr = child.stderr.take().ok_or_else(gone)?;
        let id = child.id().and_then(ProcessId::of).ok_or_else(gone)?;
        let (send, receive) = mpsc::unbounded_channel();
        Ok(Self {
            id,
            stdout: Lines::new(BufReader::new(stdout), MAX_LINE),
            stderr: Lines::new(BufReader::new(stderr), MAX_LINE),
            child,
            stdin: Some(send),
            writer: tokio::spawn(write(stdin, receive)),
        })
    }

    /// Gives it a line. Nothing here waits: a tool that does not read must not hold up the rest.
    pub fn send(&self, line: &Value) {
        if let Some(stdin) = &self.stdin {
            // Closed means the tool is gone, which its exit tells.
            let _ = stdin.send(format!("{line}\n").into_bytes());
        }
    }

    /// Closes its stdin, after what was given before.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}
