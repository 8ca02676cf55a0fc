//! The two servers, each a process with a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use super::wire::{Wire, request};
use crate::server::{end, free_port};

/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs.
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Served {
    /// Starts `chatroom streams serve`.
    pub async fn ours(program: &Path) -> anyhow::Result<Self> {
        Self::start(program, |command, port, folder| {
            command.args(["streams", "serve"]).arg(folder).args(["--port", port]);
        })
        .await
    }

    /// Starts the server of the protocol's authors, with its durable log.
    pub async fn theirs(program: &Path) -> anyhow::Result<Self> {
        Self::start(program, |command, port, folder| {
            command.args([
                "--host",
                "127.0.0.1",
                "--port",
                port,
                "--durability",
                "wal",
                "--long-poll-timeout-ms",
                "700",
            ]);
            command.arg("--data-dir").arg(folder);
        })
        .await
    }

    async fn start(program: &Path, set: impl FnOnce(&mut Command, &str, &Path)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = Command::new(program);
        set(&mut command, &port.to_string(), &folder.path().join("data"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let served = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), child, _folder: folder };
        let until = Instant::now() + PATIENCE;
        while Wire::open(served.address).await.is_err() {
            anyhow::ensure!(Instant::now() < until, "{} does not answer", program.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(served)
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes a stream of JSON messages and returns its path.
    pub async fn stream(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/v1/stream/{name}");
        let put = format!(
            "PUT {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"
        );
        Wire::open(self.address).await?.expect(put.as_bytes(), &[201]).await.context("a stream was not made")?;
        Ok(path)
    }

    /// Begins to read a stream live, from its end.
    pub async fn follow(&self, path: &str) -> anyhow::Result<Wire> {
        let mut wire = Wire::open(self.address).await?;
        let head = wire.ask(&request("GET", &format!("{path}?offset=now&live=sse"), None)).await?;
        anyhow::ensure!(head.status == 200, "a reader was answered {}", head.status);
        Ok(wire)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = end(&mut self.child);
    }
}
