//! A server and a daemon as processes of their own, and somebody who brings back whichever dies.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chatroom_protocol::api::auth::SignUp;
use chatroom_testkit::world::{PASSWORD, User};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long anything may take: less than any command's deadline.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(25);

/// Which database the server uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// The processes, and a person who uses them.
pub struct Plant {
    folder: TempDir,
    database: Option<String>,
    port: u16,
    server: Option<Child>,
    daemon: Option<Child>,
    pub user: User,
    pub machine: String,
    room: String,
    watch: Watch,
}

/// Counts the agent's processes all the time.
struct Watch {
    most: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Plant {
    /// Starts both, signs somebody up, and makes a room whose builder is to run on the machine.
    pub async fn new(database: Database) -> Self {
        // Whoever comes second finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("cr").tempdir().expect("a folder");
        for name in ["home", "work", "bin", "data"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        let standin = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testkit/standins/cursor-agent");
        std::os::unix::fs::symlink(standin, folder.path().join("bin/cursor-agent")).expect("the agent program");
        let database = match database {
            Database::Sqlite => None,
            Database::Postgres => {
                Some(chatroom_testkit::postgres::fresh_database().await.expect("a database").to_string())
            }
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let url = format!("http://127.0.0.1:{port}");
        let server = serve(&folder, port, database.as_deref());
        let secret = sign_up_secret(&folder).await;
        let body = SignUp {
            email: "ada@example.org".into(),
            name: "ada".into(),
            password: PASSWORD.into(),
            code: Some(secret),
        };
        let user = User::sign_up(url.clone(), body).await;
        let room = user.post("/api/chatrooms", json!({ "name": "plant", "roles": ["builder"] })).await;
        let room = room.text("chatroomId").to_owned();
        let code = user.post("/api/enrolments", json!({})).await;
        run(&folder, &["machine", "join", "--url", &url, code.text("code")]).await;
        run(&folder, &["machine", "allow", folder.path().join("work").to_str().expect("text")]).await;
        run(&folder, &["machine", "allow", "--auto"]).await;
        let identity = std::fs::read(folder.path().join("home/machine.json")).expect("machine.json");
        let identity: Value = serde_json::from_slice(&identity).expect("JSON");
        let machine = identity["machineId"].as_str().expect("an id").to_owned();
        let watch = Watch::over(room.clone());
        let mut plant = Self { folder, database, port, server: Some(server), daemon: None, user, machine, room, watch };
        plant.daemon = Some(plant.start_daemon());
        let config = json!({ "agentType": "cursor", "workingDir": plant.folder.path().join("work"), "mode": "auto" });
        let configure = format!("/api/machines/{}/agents/{}/builder", plant.machine, plant.room);
        let saved = plant.user.put(&configure, config).await;
        assert_eq!(saved.status, 200, "{}", saved.raw);
        plant.until("the machine is online with its tool", |look| look.is_online).await;
        plant
    }

    fn start_daemon(&self) -> Child {
        let mut daemon = command(&self.folder, &["machine", "daemon", "start", "--foreground"]);
        logged(&self.folder, "daemon.log", &mut daemon).spawn().expect("the daemon")
    }

    /// The file whose content is the place where a process dies.
    fn armed(&self) -> PathBuf {
        self.folder.path().join("armed")
    }

    /// Makes the process that comes to this place die there.
    pub fn arm(&self, place: &str) {
        let beside = self.folder.path().join("arming");
        std::fs::write(&beside, place).expect("a file");
        std::fs::rename(beside, self.armed()).expect("armed");
    }

    /// Returns the file in which the machine has the transcript of a run.
    pub fn transcript(&self, run: &str) -> PathBuf {
        self.folder.path().join("home/runs").join(run).join("events.jsonl")
    }

    /// Returns the entries the machine has of its journal, as they lie on the disk.
    pub fn history(&self) -> Vec<String> {
        let parts = chatroom_streams::Part::all(&self.folder.path().join("home/journal/history")).expect("its parts");
        let text = parts.iter().map(|part| std::fs::read_to_string(&part.path).expect("a part"));
        text.collect::<String>().lines().map(str::to_owned).collect()
    }

    /// Where its agents work.
    pub fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Takes an arming back; returns whether nothing came to that place.
    pub fn disarm(&self) -> bool {
        std::fs::remove_file(self.armed()).is_ok()
    }

    /// Kills the daemon or the server from outside.
    pub async fn kill(&mut self, what: &str) {
        let child = if what == "server" { &mut self.server } else { &mut self.daemon };
        if let Some(child) = child {
            child.kill().await.expect("a process that can be killed");
        }
    }

    /// Starts again what died.
    pub fn mend(&mut self) {
        let is_dead =
            |child: &mut Option<Child>| child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
        if is_dead(&mut self.server) {
            self.server = Some(serve(&self.folder, self.port, self.database.as_deref()));
        }
        if is_dead(&mut self.daemon) {
            self.daemon = Some(self.start_daemon());
        }
    }

    /// Asks the server; `None` while it is away.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let mut request = self.user.request(method, path).timeout(Duration::from_secs(10));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    /// Lists the commands of the machine.
    async fn commands(&self) -> Option<Vec<Value>> {
        let path = format!("/api/machines/{}/commands?limit=500", self.machine);
        let (status, body) = self.ask(Method::GET, &path, None).await?;
        (status == 200).then(|| body["commands"].as_array().cloned().unwrap_or_default())
    }

    /// Sends a command as a person does who looks before sending it again. Returns its id.
    pub async fn send(&mut self, kind: &str) -> String {
        let ids = |commands: &[Value]| -> Vec<String> {
            let own = commands.iter().filter(|command| command["type"] == kind);
            own.map(|command| command["commandId"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let before = loop {
            self.mend();
            match self.commands().await {
                Some(commands) => break ids(&commands),
                None => tokio::time::sleep(LOOK).await,
            }
        };
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "{kind} was never taken\n{}", self.logs());
            self.mend();
            if let Some(commands) = self.commands().await {
                if let Some(taken) = ids(&commands).into_iter().find(|id| !before.contains(id)) {
                    return taken;
                }
                let path = format!("/api/machines/{}/commands", self.machine);
                let body = json!({ "type": kind, "chatroomId": self.room, "role": "builder" });
                if let Some((status, body)) = self.ask(Method::POST, &path, Some(body)).await {
                    assert_eq!(status, 201, "{body}");
                    return body["commandId"].as_str().expect("an id").to_owned();
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks at everything at once; `None` while the server is away.
    async fn look(&self) -> Option<Look> {
        let commands = self.commands().await?;
        let (status, agents) = self.ask(Method::GET, &format!("/api/chatrooms/{}/agents", self.room), None).await?;
        let (_, machine) = self.ask(Method::GET, &format!("/api/machines/{}", self.machine), None).await?;
        let agent = (status == 200).then(|| agents["agents"][0].clone())?;
        let has_tool = machine["availableTools"].as_array().is_some_and(|tools| tools.contains(&json!("cursor")));
        Some(Look {
            status: agent["status"].as_str().unwrap_or_default().to_owned(),
            run: agent["run"]["runId"].as_str().unwrap_or_default().to_owned(),
            processes: processes_in(&self.room),
            is_online: machine["daemonConnected"] == true && has_tool,
            is_armed: self.armed().exists(),
            commands,
        })
    }

    /// Waits until something holds, and brings back what dies meanwhile.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Look) -> bool) -> Look {
        let until = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            self.mend();
            if let Some(look) = self.look().await {
                if holds(&look) {
                    return look;
                }
                last = Some(look);
            }
            assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}\n{last:#?}\n{}", self.logs());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The most processes of the agent there ever were at once.
    pub fn most_processes(&self) -> usize {
        self.watch.most.load(Ordering::Relaxed)
    }

    /// Every outcome that was ever written, by command; each must be there once.
    pub async fn outcomes(&mut self) -> HashMap<String, Vec<String>> {
        self.until("the server answers", |_| true).await;
        let mut outcomes: HashMap<String, Vec<String>> = HashMap::new();
        let mut after = 0;
        loop {
            let page = self.user.get(&format!("/api/events?after={after}&limit=500")).await;
            assert_eq!(page.status, 200, "{}", page.raw);
            let events = page.body["events"].as_array().cloned().unwrap_or_default();
            for event in &events {
                let kind = event["kind"].as_str().unwrap_or_default();
                if ["command.completed", "command.failed", "command.expired"].contains(&kind) {
                    let subject = event["subject"].as_str().unwrap_or_default().to_owned();
                    outcomes.entry(subject).or_default().push(kind.to_owned());
                }
            }
            let next = page.body["next"].as_i64().unwrap_or_default();
            if events.is_empty() || next == after {
                return outcomes;
            }
            after = next;
        }
    }

    pub fn logs(&self) -> String {
        let end = |name: &str| {
            let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            let told = text.lines().filter(|line| !line.contains("request answered"));
            let lines: Vec<&str> = told.collect::<Vec<_>>().into_iter().rev().take(30).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        format!("--- server\n{}\n--- daemon\n{}", end("server.log"), end("daemon.log"))
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.disarm();
        // The daemon first, gently: it ends its agents. One that is dead is not there to end them.
        if self.daemon.as_mut().is_none_or(|daemon| !matches!(daemon.try_wait(), Ok(None))) {
            self.daemon = Some(self.start_daemon());
        }
        for child in [self.daemon.take(), self.server.take()].into_iter().flatten() {
            end(child);
        }
    }
}

fn end(mut child: Child) {
    let Some(pid) = child.id() else { return };
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(LOOK);
    }
}

/// What there is at one moment.
#[derive(Debug)]
pub struct Look {
    pub status: String,
    pub run: String,
    pub processes: usize,
    pub is_online: bool,
    pub is_armed: bool,
    pub commands: Vec<Value>,
}

impl Look {
    /// Whether every command has its outcome.
    pub fn is_settled(&self) -> bool {
        let outcome =
            |command: &Value| ["completed", "failed", "expired"].iter().any(|word| command["status"] == *word);
        self.commands.iter().all(outcome)
    }

    /// Returns the status of a command.
    pub fn status_of(&self, id: &str) -> &str {
        let command = self.commands.iter().find(|command| command["commandId"] == id);
        command.and_then(|command| command["status"].as_str()).unwrap_or("lost")
    }
}

impl Watch {
    fn over(room: String) -> Self {
        let (most, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (most, over) = (Arc::clone(&most), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(processes_in(&room), Ordering::Relaxed);
                    std::thread::sleep(LOOK);
                }
            }
        });
        Self { most, over, thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Counts the live agent programs of a room.
fn processes_in(room: &str) -> usize {
    let mark = format!("CHATROOM_ROOM={room}");
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let programs = processes.flatten().filter(|process| {
        let read = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
        let is_program = read("cmdline").split(|byte| *byte == 0).any(|word| word.ends_with(b"cursor-agent"));
        is_program && read("environ").split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    });
    programs.count()
}

fn serve(folder: &TempDir, port: u16, database: Option<&str>) -> Child {
    let data = folder.path().join("data");
    let mut server =
        command(folder, &["server", "--port", &port.to_string(), "--data-dir", data.to_str().expect("text")]);
    if let Some(database) = database {
        server.env("CHATROOM_DATABASE_URL", database);
    }
    logged(folder, "server.log", &mut server).spawn().expect("the server")
}

async fn sign_up_secret(folder: &TempDir) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
        if let Some((_, rest)) = said.split_once("/sign-up?code=") {
            return rest.split_whitespace().next().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < until, "the server never printed its secret\n{said}");
        tokio::time::sleep(LOOK).await;
    }
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatroom"));
    command
        .args(args)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().join("bin").display()))
        .env("HOME", folder.path())
        .env("CHATROOM_HOME", folder.path().join("home"))
        .env("CHATROOM_FAILPOINT_FILE", folder.path().join("armed"))
        .current_dir(folder.path().join("work"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn logged<'a>(folder: &TempDir, name: &str, command: &'a mut Command) -> &'a mut Command {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join(name)).expect("a log");
    command.stdout(log.try_clone().expect("a log")).stderr(log)
}

async fn run(folder: &TempDir, args: &[&str]) {
    let output = command(folder, args).output().await.expect("the program");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
