//! A computer of a person: a home of its own, the real binary, a real daemon process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chatroom_testkit::model::Model;
use chatroom_testkit::world::User;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long anything may take before a story fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A registered computer with its daemon running.
pub struct Laptop {
    folder: TempDir,
    env: Vec<(String, String)>,
    daemon: Option<Child>,
    pub id: String,
}

impl Laptop {
    /// Registers a computer of `user` with the printed line's code and starts its daemon.
    pub async fn start(user: &User, model: &Model) -> Self {
        let mut laptop = Self::registered(user, model).await;
        laptop.start_daemon(user).await;
        laptop
    }

    /// Registers a computer without starting its daemon.
    pub async fn registered(user: &User, model: &Model) -> Self {
        let enrolment = user.post("/api/enrolments", json!({})).await;
        Self::joined(user.base(), enrolment.text("code"), model).await
    }

    /// Registers a computer at the server at `url`, with the code of a line that somebody was shown.
    pub async fn joined(url: &str, code: &str, model: &Model) -> Self {
        let folder = tempfile::Builder::new().prefix("cr").tempdir().expect("a folder");
        let mut env = Vec::new();
        for setup in chatroom_testkit::agents::all(folder.path(), model) {
            setup.write().expect("the agent's own settings");
            env.extend(setup.env);
        }
        let path = chatroom_testkit::agents::path().expect("the agent programs");
        env.push(("PATH".into(), path.into_string().expect("a PATH of text")));
        let mut laptop = Self { folder, env, daemon: None, id: String::new() };
        std::fs::create_dir_all(laptop.work_dir()).expect("a working directory");
        laptop.cli_ok(&["machine", "join", "--url", url, code], None).await;
        let identity = std::fs::read_to_string(laptop.home().join("machine.json")).expect("machine.json");
        let identity: Value = serde_json::from_str(&identity).expect("JSON");
        laptop.id = identity["machineId"].as_str().expect("an id").to_owned();
        let dir = laptop.work_dir();
        laptop.cli_ok(&["machine", "allow", dir.to_str().expect("text")], None).await;
        laptop
    }

    /// Starts the daemon and waits until the server sees it.
    pub async fn start_daemon(&mut self, user: &User) {
        self.spawn_daemon();
        let path = format!("/api/machines/{}", self.id);
        self.until("the machine is online", async || user.get(&path).await.body["daemonConnected"] == json!(true))
            .await;
    }

    /// Starts the daemon in the foreground of its own process.
    pub fn spawn_daemon(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("daemon.log")).expect("a log");
        let child = self
            .command(&["machine", "daemon", "start", "--foreground"])
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the daemon");
        self.daemon = Some(child);
    }

    /// Kills the daemon; its agents live on.
    pub async fn crash_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().await.expect("it is killed");
    }

    /// Puts a program before all others on this computer's PATH.
    pub fn program(&mut self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let bin = self.folder.path().join("bin");
        std::fs::create_dir_all(&bin).expect("a folder of programs");
        std::fs::write(bin.join(name), text).expect("a program");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("its mode");
        for (_, path) in self.env.iter_mut().filter(|(variable, _)| variable == "PATH") {
            *path = format!("{}:{path}", bin.display());
        }
    }

    /// Moves everything this computer's shell would set into the machine's own `env` file, as for a daemon that a
    /// service manager starts without a login shell.
    pub fn without_login_shell(&mut self) {
        let lines: Vec<_> = self.env.drain(..).map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(self.home().join("env"), lines.concat()).expect("the env file");
    }

    /// Where the machine keeps its files.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where its agents work.
    pub fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Everything the machine wrote, the agents' own folders included.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the daemon wrote to its terminal.
    pub fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatroom"));
        command
            .args(args)
            .env_clear()
            .envs(self.env.iter().cloned())
            .env("HOME", self.folder.path())
            .env("CHATROOM_HOME", self.home())
            .current_dir(self.work_dir())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a verb and returns its exit code, stdout and stderr.
    pub async fn cli(&self, args: &[&str], stdin: Option<&str>) -> (i32, String, String) {
        use tokio::io::AsyncWriteExt as _;
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("the binary");
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).await.expect("stdin");
        }
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("{args:?} did not end"))
            .expect("output");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Runs a verb that must succeed and returns its stdout.
    pub async fn cli_ok(&self, args: &[&str], stdin: Option<&str>) -> String {
        let (code, out, err) = self.cli(args, stdin).await;
        assert_eq!(code, 0, "{args:?}\nstdout: {out}\nstderr: {err}\ndaemon: {}", self.daemon_log());
        out
    }

    /// Waits until something holds, and shows the daemon's log if it never does.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}\ndaemon: {}", self.daemon_log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns the live processes that carry the mark of a run.
    pub fn processes_of(run: &str) -> Vec<i32> {
        let mark = format!("CHATROOM_RUN={run}");
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
            if environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                found.push(pid);
            }
        }
        found
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        // Ends the daemon so that it ends its agents; a killed one would leave their supervisors.
        if let Some(mut child) = self.daemon.take()
            && let Some(pid) = child.id()
        {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let until = Instant::now() + Duration::from_secs(15);
            while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A room with one agent on a laptop.
pub struct Desk<'a> {
    pub user: &'a User,
    pub laptop: &'a Laptop,
    pub room: String,
}

impl<'a> Desk<'a> {
    /// Makes a room with these roles, and configures each on the laptop.
    pub async fn new(user: &'a User, laptop: &'a Laptop, tool: &str, mode: &str, roles: &[&str]) -> Self {
        let room = user.post("/api/chatrooms", json!({ "name": "desk", "roles": roles })).await;
        assert_eq!(room.status, 201, "{}", room.body);
        let room = room.body["chatroomId"].as_str().expect("an id").to_owned();
        let desk = Self { user, laptop, room };
        for role in roles {
            desk.configure(role, tool, mode).await;
        }
        desk
    }

    /// Saves what a role runs.
    pub async fn configure(&self, role: &str, tool: &str, mode: &str) {
        self.configure_in(role, tool, mode, &self.laptop.work_dir()).await;
    }

    /// Saves what a role runs in a terminal.
    pub async fn configure_in_terminal(&self, role: &str, tool: &str, mode: &str) {
        let path = format!("/api/machines/{}/agents/{}/{role}", self.laptop.id, self.room);
        let folder = self.laptop.work_dir();
        let body = json!({ "agentType": tool, "workingDir": folder, "form": "terminal", "mode": mode });
        let saved = self.user.put(&path, body).await;
        assert_eq!(saved.status, 200, "{}", saved.raw);
    }

    /// Saves what a role runs, and where.
    pub async fn configure_in(&self, role: &str, tool: &str, mode: &str, folder: &Path) {
        let path = format!("/api/machines/{}/agents/{}/{role}", self.laptop.id, self.room);
        let body = json!({
            "agentType": tool,
            "workingDir": folder,
            "mode": mode,
            "model": model_of(tool),
        });
        let saved = self.user.put(&path, body).await;
        assert_eq!(saved.status, 200, "{}", saved.body);
    }

    /// Sends a command about a role and waits for its outcome.
    pub async fn command(&self, kind: &str, role: &str) -> Value {
        let path = format!("/api/machines/{}/commands", self.laptop.id);
        let body = json!({ "type": kind, "chatroomId": self.room, "role": role });
        let sent = self.user.post(&path, body).await;
        assert_eq!(sent.status, 201, "{}", sent.body);
        let path = format!("{path}/{}", sent.body["commandId"].as_str().expect("an id"));
        let mut last = Value::Null;
        self.laptop
            .until(&format!("{kind} of {role} has an outcome"), async || {
                last = self.user.get(&path).await.body;
                ["completed", "failed", "expired"].contains(&last["status"].as_str().unwrap_or_default())
            })
            .await;
        last
    }

    /// Starts a role's agent; it must succeed. Returns the run's id.
    pub async fn start(&self, role: &str) -> String {
        let outcome = self.command("start-agent", role).await;
        assert_eq!(outcome["status"], "completed", "{outcome}\n{}", self.laptop.daemon_log());
        outcome["runId"].as_str().expect("a run").to_owned()
    }

    /// Says something in the room.
    pub async fn say(&self, text: &str) {
        let sent = self.user.post(&format!("/api/chatrooms/{}/messages", self.room), json!({ "content": text })).await;
        assert_eq!(sent.status, 201, "{}", sent.body);
    }

    /// Returns an agent as the room shows it.
    pub async fn agent(&self, role: &str) -> Value {
        let agents = self.user.get(&format!("/api/chatrooms/{}/agents", self.room)).await.body;
        let agents = agents["agents"].as_array().cloned().unwrap_or_default();
        agents.into_iter().find(|agent| agent["role"] == role).unwrap_or_default()
    }

    /// Waits until an agent shows a status.
    pub async fn until_status(&self, role: &str, status: &str) -> Value {
        let mut last = Value::Null;
        self.laptop
            .until(&format!("{role} shows {status}"), async || {
                last = self.agent(role).await;
                last["status"] == status
            })
            .await;
        last
    }

    /// Waits until a role has handed on a result that begins with this text, and returns the message.
    pub async fn until_handoff(&self, sender: &str, text: &str) -> Value {
        let mut found = Value::Null;
        let path = format!("/api/chatrooms/{}/messages?limit=200&senderRole={sender}", self.room);
        self.laptop
            .until(&format!("{sender} hands on {text:?}"), async || {
                let history = self.user.get(&path).await.body;
                let messages = history["messages"].as_array().cloned().unwrap_or_default();
                let fits = |message: &Value| {
                    message["kind"] == "handoff"
                        && message["content"].as_str().is_some_and(|said| said.starts_with(text))
                };
                found = messages.into_iter().find(fits).unwrap_or_default();
                !found.is_null()
            })
            .await;
        found
    }

    /// Answers every permission request of a role until `done` holds.
    pub async fn answer_until(&self, role: &str, decision: &str, mut done: impl AsyncFnMut() -> bool) -> usize {
        let mut answered = Vec::new();
        self.laptop
            .until(&format!("{decision} answered to all of {role}"), async || {
                if done().await {
                    return true;
                }
                let agent = self.agent(role).await;
                for asked in agent["permissions"].as_array().cloned().unwrap_or_default() {
                    let id = asked["permissionId"].as_str().expect("an id").to_owned();
                    if answered.contains(&id) {
                        continue;
                    }
                    assert_eq!(agent["status"], "needs-you", "{agent}");
                    let path = format!("/api/chatrooms/{}/agents/{role}/permissions/{id}", self.room);
                    let body = json!({ "decision": decision, "digest": asked["digest"] });
                    let answer = self.user.post(&path, body).await;
                    assert!(answer.status == 200, "{} {}", answer.status, answer.body);
                    answered.push(id);
                }
                false
            })
            .await;
        answered.len()
    }
}

/// The scripted model in each tool's own spelling.
fn model_of(tool: &str) -> Option<&'static str> {
    match tool {
        "claude" => Some("scripted-1"),
        "opencode" | "pi" => Some("scripted/scripted-1"),
        _ => None,
    }
}
