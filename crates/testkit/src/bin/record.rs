//! Records the talks with the real programs that the tests of the harnesses replay: `cargo xtask record`.
//!
//! Each program is driven by its own harness against the scripted model. A recording has a line per line of the
//! talk: `<` went to the program, `>` came from it, and first of all the program's version. Names of folders and
//! addresses are made the same each time, and lists too long to matter are left out; nothing is made up.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use chatroom_daemon::harness::launch::compose;
use chatroom_daemon::harness::{Harness, Out, Signal, driver, feed, spec};
use chatroom_daemon::supervisor::RunSpec;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::{RunId, Timestamp, Tool};
use chatroom_testkit::agents::{self, Setup};
use chatroom_testkit::model::{Model, Reply, Rule};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// How long a program may take for anything.
const PATIENCE: Duration = Duration::from_secs(90);
/// A list that is longer than this, as JSON, is left out.
const LONG_LIST: usize = 1_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    for tool in [Tool::Claude, Tool::Opencode, Tool::Pi] {
        session(tool).await.with_context(|| format!("the session of {tool}"))?;
        dead_token(tool).await.with_context(|| format!("the dead token of {tool}"))?;
    }
    Ok(())
}

/// What every tool does: talk, ask, be interrupted, and go on.
async fn session(tool: Tool) -> anyhow::Result<()> {
    let mut talk = Talk::begin(tool, Model::start().await).await?;
    talk.tell("say something").await?;
    talk.asked("[[run: echo hello > out.txt && echo wrote]]", Decision::Allow).await?;
    talk.asked("[[run: echo no > denied.txt]]", Decision::Deny).await?;
    let began = talk.work().join("began");
    talk.prompt("[[run: touch began && python3 -c \"import time; time.sleep(300)\"]]").await?;
    if talk.asks() {
        let key = talk.question().await?;
        talk.decide(&key, Decision::Allow).await?;
    }
    while !began.exists() {
        talk.listen().await?;
    }
    talk.interrupt().await?;
    talk.prompt("[[say: thinking]] [[hang]]").await?;
    while talk.model.open_streams() == 0 {
        talk.listen().await?;
    }
    talk.interrupt().await?;
    if talk.asks() {
        talk.prompt("[[run: echo pending > pending.txt]]").await?;
        talk.question().await?;
        talk.interrupt().await?;
    }
    talk.tell("[[say: still here]]").await?;
    talk.save("session").await
}

/// What a tool does whose model refuses its token.
async fn dead_token(tool: Tool) -> anyhow::Result<()> {
    let model = Model::start().await;
    model.rule(Rule::when(|_| true).then(Reply::error(403)));
    let mut talk = Talk::begin(tool, model).await?;
    talk.tell("hello").await?;
    talk.save("dead-token").await
}

/// A talk with a program, as it is written down.
struct Talk {
    tool: Tool,
    folder: TempDir,
    model: Model,
    /// Where the programs are installed.
    installed: String,
    version: String,
    harness: Box<dyn Harness>,
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// What the program meant and nobody has taken note of.
    signals: Vec<Signal>,
    written: String,
}

impl Talk {
    async fn begin(tool: Tool, model: Model) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("record-")?;
        let dir = folder.path().canonicalize()?;
        let setup = match tool {
            Tool::Claude => agents::claude(&dir, &model),
            Tool::Opencode => agents::opencode(&dir, &model),
            Tool::Pi => agents::pi(&dir, &model),
            Tool::Cursor => bail!("the real Cursor needs its vendor's service; a stand-in is no recording"),
        };
        setup.write()?;
        let run = run(tool, &dir, &setup)?;
        let installed = run.program.ancestors().nth(2).context("the program is in no folder")?.display().to_string();
        let version = version(tool, &run).await?;
        let launch = compose(&run)?;
        let mut child = Command::new(&run.program)
            .args(&launch.args)
            .env_clear()
            .envs(launch.env)
            .current_dir(&run.working_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let harness = driver(&run);
        let (signals, written) = (Vec::new(), String::new());
        let mut talk =
            Self { tool, folder, model, installed, version, harness, child, stdin, stdout, signals, written };
        let mut out = Out::default();
        talk.harness.begin(&mut out);
        talk.take(out).await?;
        talk.until(|signal| matches!(signal, Signal::Ready)).await?;
        Ok(talk)
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn asks(&self) -> bool {
        self.tool.can_ask()
    }

    /// Gives a prompt and waits for the end of its turn.
    async fn tell(&mut self, text: &str) -> anyhow::Result<()> {
        self.prompt(text).await?;
        self.turn_ended().await
    }

    /// Gives a prompt, and answers what is asked about it, where the tool asks.
    async fn asked(&mut self, text: &str, decision: Decision) -> anyhow::Result<()> {
        self.prompt(text).await?;
        if self.asks() {
            let key = self.question().await?;
            self.decide(&key, decision).await?;
        }
        self.turn_ended().await
    }

    async fn prompt(&mut self, text: &str) -> anyhow::Result<()> {
        let mut out = Out::default();
        self.harness.prompt(text, &mut out);
        self.take(out).await
    }

    async fn decide(&mut self, key: &str, decision: Decision) -> anyhow::Result<()> {
        let mut out = Out::default();
        self.harness.decide(key, decision, &mut out);
        self.take(out).await
    }

    async fn interrupt(&mut self) -> anyhow::Result<()> {
        let mut out = Out::default();
        self.harness.interrupt(&mut out);
        self.take(out).await?;
        self.turn_ended().await
    }

    async fn question(&mut self) -> anyhow::Result<String> {
        match self.until(|signal| matches!(signal, Signal::Asked { .. })).await? {
            Signal::Asked { key, .. } => Ok(key),
            other => bail!("{other:?} is no question"),
        }
    }

    async fn turn_ended(&mut self) -> anyhow::Result<()> {
        self.until(|signal| matches!(signal, Signal::TurnEnded { .. })).await.map(drop)
    }

    async fn until(&mut self, wanted: impl Fn(&Signal) -> bool) -> anyhow::Result<Signal> {
        let heard = async {
            loop {
                while !self.signals.is_empty() {
                    let signal = self.signals.remove(0);
                    if wanted(&signal) {
                        return anyhow::Ok(signal);
                    }
                }
                self.hear().await?;
            }
        };
        timeout(PATIENCE, heard).await.context("it never came")?
    }

    /// Listens for a moment, while something else is waited for.
    async fn listen(&mut self) -> anyhow::Result<()> {
        // A line that is half read when time is up stays in the reader.
        match timeout(Duration::from_millis(50), self.hear()).await {
            Ok(heard) => heard,
            Err(_) => Ok(()),
        }
    }

    async fn hear(&mut self) -> anyhow::Result<()> {
        let line = self.stdout.next_line().await?.context("the program ended")?;
        self.write('>', &line);
        let out = feed(self.harness.as_mut(), line.as_bytes());
        self.take(out).await
    }

    async fn take(&mut self, out: Out) -> anyhow::Result<()> {
        for line in out.send {
            let line = line.to_string();
            self.write('<', &line);
            self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        }
        self.signals.extend(out.signals);
        Ok(())
    }

    fn write(&mut self, side: char, line: &str) {
        let line = match serde_json::from_str::<Value>(line) {
            Ok(mut value) => {
                leave_out_long_lists(&mut value);
                value.to_string()
            }
            Err(_) => line.to_owned(),
        };
        // Writing into a text cannot fail.
        let _ = writeln!(self.written, "{side} {}", self.common(&line));
    }

    /// The line with names that are the same in every recording.
    fn common(&self, line: &str) -> String {
        let dir = self.folder.path().display().to_string();
        let (work, model) = (format!("{dir}/work"), self.model.url().to_owned());
        let dashed = |path: &str| path.replace('/', "-");
        let names = [
            (dashed(&work), "-srv-project".to_owned()),
            (work, "/srv/project".to_owned()),
            (dashed(&dir), "-home-me".to_owned()),
            (dir, "/home/me".to_owned()),
            (self.installed.clone(), "/opt/agents".to_owned()),
            (model, "http://model".to_owned()),
        ];
        names.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
    }

    async fn save(mut self, name: &str) -> anyhow::Result<()> {
        drop(self.stdin);
        if timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../daemon/tests/transcripts")
            .join(self.tool.as_str())
            .join(format!("{name}.txt"));
        tokio::fs::write(&file, format!("# {} {}\n{}", self.tool, self.version, self.written)).await?;
        println!("{} {}: {name}, {} lines", self.tool, self.version, self.written.lines().count());
        // Whatever it left running goes with its folder.
        sleep(Duration::from_millis(100)).await;
        Ok(())
    }
}

fn run(tool: Tool, dir: &Path, setup: &Setup) -> anyhow::Result<RunSpec> {
    let [work, home, run_dir] = ["work", "home", "run"].map(|name| dir.join(name));
    for folder in [&work, &home, &run_dir] {
        std::fs::create_dir_all(folder)?;
    }
    let found = agents::folders()?.into_iter().map(|folder| folder.join(setup.program)).find(|path| path.exists());
    let path = agents::path()?.into_string().ok().context("PATH is not text")?;
    let mut env = setup.env.clone();
    env.extend([("PATH".to_owned(), path), ("HOME".to_owned(), home.display().to_string())]);
    let now = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    Ok(RunSpec {
        run_id: RunId::from_parts(Timestamp(i64::try_from(now)?), 1),
        tool,
        program: found.context("the program is not installed; run cargo xtask bring")?,
        model: None,
        conversation: None,
        working_dir: work,
        mode: if tool.can_ask() { PermissionMode::Ask } else { PermissionMode::Auto },
        without_project_settings: false,
        form: RunForm::Managed,
        system_prompt: String::new(),
        env,
        run_token: String::new(),
        other_secrets: Vec::new(),
        run_dir,
    })
}

async fn version(tool: Tool, run: &RunSpec) -> anyhow::Result<String> {
    let envs = run.env.iter().map(|(name, value)| (name, value));
    let output = Command::new(&run.program).args(spec(tool).version_args).env_clear().envs(envs).output().await?;
    let version = String::from_utf8(output.stdout)?;
    let version = version.split_whitespace().next().context("it tells no version")?;
    Ok(version.to_owned())
}

/// Leaves out lists of what a program can do, which are long and change with each version.
fn leave_out_long_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !(value.is_array() && value.to_string().len() > LONG_LIST));
            fields.values_mut().for_each(leave_out_long_lists);
        }
        Value::Array(values) => values.iter_mut().for_each(leave_out_long_lists),
        _ => {}
    }
}
