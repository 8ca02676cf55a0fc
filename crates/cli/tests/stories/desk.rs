//! A desk: a home of its own and a shell in which the real program runs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chatroom_testkit::world::{User, World};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How long anything may take before a story fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A home, a folder to work in, and an environment with nothing else in it.
pub struct Desk {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// How a verb ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Both outputs and the code, for a snapshot or a failure.
    pub fn all(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.out, self.err)
    }

    /// The verb must have ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{}", self.all()))
    }
}

impl Desk {
    /// A new computer nobody is signed in on. Its PATH holds one agent program: a `claude` that tells a version.
    pub fn new() -> Self {
        // Tests speak to the server themselves as well; whoever comes second finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("cr").tempdir().expect("a folder");
        let desk = Self { folder, env: Vec::new() };
        std::fs::create_dir_all(desk.work_dir()).expect("a folder to work in");
        std::fs::create_dir_all(desk.path("bin")).expect("a folder of programs");
        desk.program("claude", "#!/bin/sh\necho '2.1.0 (Claude Code)'\n");
        let path = format!("{}:/usr/bin:/bin", desk.path("bin").display());
        desk.with("PATH", &path)
    }

    /// A new computer with this person's CLI signed in, by the real device flow.
    pub async fn of(world: &World, user: &User) -> Self {
        let desk = Self::new().with("CHATROOM_URL", &world.url());
        desk.sign_in(user).await;
        desk
    }

    /// The same with one more variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a program on the desk's PATH.
    pub fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("bin").join(name);
        std::fs::write(&path, text).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the program keeps what it knows.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// The folder the verbs run in.
    pub fn work_dir(&self) -> PathBuf {
        self.path("work")
    }

    /// A file of the home as JSON.
    pub fn file(&self, name: &str) -> Value {
        let path = self.home().join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
    }

    /// The program with these words, as this desk runs it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatroom"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("CHATROOM_HOME", self.home())
            .envs(self.env.iter().cloned())
            .current_dir(self.work_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a verb; the line is split at spaces.
    pub async fn run(&self, line: &str) -> Ended {
        self.run_with(line, None).await
    }

    /// Runs a verb with a text on stdin.
    pub async fn pipe(&self, line: &str, stdin: impl AsRef<[u8]>) -> Ended {
        self.run_with(line, Some(stdin.as_ref())).await
    }

    async fn run_with(&self, line: &str, stdin: Option<&[u8]>) -> Ended {
        let args: Vec<&str> = line.split(' ').collect();
        let mut command = self.command(&args);
        if stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("the program");
        let input = child.stdin.take().zip(stdin.map(<[u8]>::to_vec));
        let writing = tokio::spawn(async move {
            if let Some((mut pipe, text)) = input {
                // A verb may refuse before it has read everything.
                let _ = pipe.write_all(&text).await;
            }
        });
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
        let output = output.await.unwrap_or_else(|_| panic!("`{line}` did not end")).expect("its output");
        writing.await.expect("stdin");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts a verb that stays.
    pub fn start(&self, line: &str) -> Running {
        let args: Vec<&str> = line.split(' ').collect();
        let mut child = self.command(&args).spawn().expect("the program");
        let out = collect(child.stdout.take().expect("stdout"));
        let err = collect(child.stderr.take().expect("stderr"));
        Running { line: line.to_owned(), child, out, err }
    }

    /// Signs in: runs `auth login`, and allows what it asks for as `user`'s browser would.
    pub async fn sign_in(&self, user: &User) -> Ended {
        let login = self.start("auth login");
        login.until("the link is shown", |out, _| out.contains("The code there must be")).await;
        let text = login.out();
        let code =
            text.split("The code there must be ").nth(1).and_then(|rest| rest.split('.').next()).expect("a code");
        let allowed = user
            .send(user.browser(Method::POST, &format!("/api/auth/device/{code}")).json(&json!({ "decision": "allow" })))
            .await;
        assert_eq!(allowed.status, 200, "{}", allowed.raw);
        login.ended().await.exits(0)
    }
}

impl Drop for Desk {
    /// A story that failed must not leave its daemon behind.
    fn drop(&mut self) {
        if self.home().join("daemon.pid").exists() {
            let mut stop = std::process::Command::new(env!("CARGO_BIN_EXE_chatroom"));
            let _ = stop.args(["machine", "daemon", "stop"]).env_clear().env("CHATROOM_HOME", self.home()).output();
        }
    }
}

/// A verb that runs.
pub struct Running {
    line: String,
    child: Child,
    out: Collected,
    err: Collected,
}

struct Collected {
    text: std::sync::Arc<std::sync::Mutex<String>>,
    reading: JoinHandle<()>,
}

fn collect(pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Collected {
    let text = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let kept = text.clone();
    let reading = tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = kept.lock().expect("the text");
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    Collected { text, reading }
}

impl Running {
    /// What it printed until now.
    pub fn out(&self) -> String {
        self.out.text.lock().expect("the text").clone()
    }

    /// What it said until now.
    pub fn err(&self) -> String {
        self.err.text.lock().expect("the text").clone()
    }

    /// Waits until what it printed and said fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&str, &str) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !fits(&self.out(), &self.err()) {
            assert!(Instant::now() < until, "`{}`: {what}\n{}\n{}", self.line, self.out(), self.err());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.pid();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal).expect("a signal");
    }

    /// Closes its stdout, as a reader that goes away does.
    pub async fn close_stdout(&mut self) {
        // The pipe is closed once the task that reads it is gone.
        self.out.reading.abort();
        until("stdout is closed", async || self.out.reading.is_finished()).await;
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = status else { panic!("`{}` did not end\n{}\n{}", self.line, self.out(), self.err()) };
        let status = status.expect("a status");
        until("its outputs are read", async || self.out.reading.is_finished() && self.err.reading.is_finished()).await;
        Ended { code: status.code().unwrap_or(-1), out: self.out(), err: self.err() }
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the mode bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}
