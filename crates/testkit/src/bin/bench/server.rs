//! The server under test: the release program in a process of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How to start it, again and again.
#[derive(Debug, Clone)]
pub struct Place {
    /// The program.
    pub program: PathBuf,
    /// Where its data lies; beside it goes what it logs.
    pub data: PathBuf,
    /// The database, if it is not in `data`.
    pub database: Option<String>,
    /// Its port.
    pub port: u16,
}

/// One that runs.
pub struct Server {
    /// How it was started.
    pub place: Place,
    child: Child,
}

/// Returns a port nobody has.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Server {
    /// Starts it and returns once it answers.
    pub fn start(place: Place) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(place.data.with_extension("log"))?;
        let mut command = Command::new(&place.program);
        command.args(["server", "--open-sign-up", "--port", &place.port.to_string(), "--data-dir"]).arg(&place.data);
        if let Some(database) = &place.database {
            command.args(["--database", database]);
        }
        let mut child = command
            .env("CHATROOM_HOME", place.data.with_extension("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", place.program.display()))?;
        let out = child.stdout.take().context("its output is not piped")?;
        let server = Self { place, child };
        let mut first = String::new();
        BufReader::new(out).read_line(&mut first)?;
        anyhow::ensure!(first.contains("runs at"), "the server did not start; see {}", server.log().display());
        Ok(server)
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.place.port)
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log(&self) -> PathBuf {
        self.place.data.with_extension("log")
    }

    /// Asks it to stop and starts it again; returns it and when it answered again.
    pub fn restart(mut self) -> anyhow::Result<(Self, Instant)> {
        end(&mut self.child)?;
        let again = Self::start(self.place.clone())?;
        Ok((again, Instant::now()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = end(&mut self.child);
    }
}

/// Asks a process to end, and ends it if it does not.
pub fn end(child: &mut Child) -> anyhow::Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    let until = Instant::now() + Duration::from_secs(20);
    while child.try_wait()?.is_none() {
        if Instant::now() > until {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Returns how many tunnels a server has.
pub async fn tunnels(http: &reqwest::Client, url: &str) -> anyhow::Result<usize> {
    let text = http.get(format!("{url}/metrics")).send().await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("chatroom_tunnels_open "));
    line.and_then(|count| count.parse().ok()).context("the server counts no tunnels")
}

/// Waits until a server has so many tunnels.
pub async fn until_tunnels(http: &reqwest::Client, url: &str, count: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        // A server that is just coming back refuses to connect.
        let open = tunnels(http, url).await.unwrap_or(0);
        if open >= count {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < Duration::from_mins(3), "only {open} of {count} machines came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
