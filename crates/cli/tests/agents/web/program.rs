//! The program itself as the server: a process of its own, which can be killed without a word.

use std::process::Stdio;
use std::time::Duration;

use chatroom_protocol::api::auth::SignUp;
use chatroom_testkit::world::{PASSWORD, User};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// `chatroom server`, with a folder of its own.
pub struct Program {
    folder: TempDir,
    url: String,
    port: u16,
    running: Option<(Child, Lines<BufReader<ChildStdout>>)>,
}

impl Program {
    /// Starts it; returns it with the secret it prints for the first account.
    pub async fn start() -> (Self, String) {
        // Tests speak to it themselves; whoever comes second finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let mut program = Self { folder, url: String::new(), port: 0, running: None };
        program.resume().await;
        let (_, lines) = program.running.as_mut().expect("it runs");
        let secret = loop {
            let line = lines.next_line().await.expect("its output").expect("a secret");
            if let Some((_, secret)) = line.split_once("/sign-up?code=") {
                break secret.to_owned();
            }
        };
        (program, secret)
    }

    /// Starts it, and signs the first account up.
    pub async fn with(name: &str) -> (Self, User) {
        let (program, secret) = Self::start().await;
        let (email, password) = (format!("{name}@example.org"), PASSWORD.to_owned());
        let body = SignUp { email, name: name.to_owned(), password, code: Some(secret) };
        let user = User::sign_up(program.url.clone(), body).await;
        (program, user)
    }

    /// Returns the address it prints.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it, as a computer that loses its power would.
    pub async fn kill(&mut self) {
        let (mut child, _) = self.running.take().expect("it runs");
        child.kill().await.expect("it is killed");
    }

    /// Starts it where it was before, with what is on its disk.
    pub async fn resume(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("server.log"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatroom"))
            .args(["server", "--port", &self.port.to_string(), "--data-dir"])
            .arg(self.folder.path().join("data"))
            .env_clear()
            .env("HOME", self.folder.path())
            .env("CHATROOM_HOME", self.folder.path().join("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it answers in time");
        let first = first.expect("its output").unwrap_or_else(|| panic!("it ended: {}", self.log()));
        let url = first.strip_prefix("The server runs at ").unwrap_or_else(|| panic!("{first}\n{}", self.log()));
        url.trim_end_matches('/').clone_into(&mut self.url);
        self.port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        self.running = Some((child, lines));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}
