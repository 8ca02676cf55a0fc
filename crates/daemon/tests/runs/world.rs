//! A run in a world of its own: a folder, a scripted model, and the user's settings that point at it.

use std::fmt::Debug;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chatroom_daemon::process::tree::{self, Root};
use chatroom_daemon::supervisor::client::{self, Supervised};
use chatroom_daemon::supervisor::event::{Fold, RunEvent, Sequenced};
use chatroom_daemon::supervisor::{RunSpec, read_events};
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::api::reports::TurnOutcome;
use chatroom_protocol::{PermissionId, PromptId, RunId, Timestamp, Tool};
use chatroom_testkit::agents;
use chatroom_testkit::model::Model;
use tempfile::TempDir;

/// What no file of a run may contain.
pub const RUN_TOKEN: &str = "crr_5ecretSecretSecretSecretSecretSecretSecret00";
/// Another secret of the machine, which no file of a run may contain either.
pub const CANARY: &str = "canary-of-this-machine";
/// How long anything may take; a slow machine's first start of opencode is well within it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Returns a number no other test has.
fn unique() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(std::process::id()) << 32 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("before the end of time"))
}

pub fn prompt_id() -> PromptId {
    PromptId::from_parts(now(), unique())
}

/// The program that supervises, built beside the tests.
pub fn supervisor() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(2).expect("tests lie in target/…/deps");
    let program = target.join("examples/supervise");
    assert!(
        program.exists(),
        "{} is missing: build it with `cargo build --examples -p chatroom-daemon`",
        program.display()
    );
    program
}

pub struct World {
    pub dir: TempDir,
    pub model: Model,
}

impl World {
    pub async fn new() -> Self {
        let dir = TempDir::with_prefix("runs-").expect("a folder");
        Self { dir, model: Model::start().await }
    }

    pub fn work(&self) -> PathBuf {
        let work = self.dir.path().canonicalize().expect("exists").join("work");
        std::fs::create_dir_all(&work).expect("a folder");
        work
    }

    /// A run of `tool`, as a daemon would describe it.
    pub fn spec(&self, tool: Tool, mode: PermissionMode) -> RunSpec {
        let run_id = RunId::from_parts(now(), unique());
        let dir = self.dir.path().canonicalize().expect("exists");
        let run_dir = dir.join("runs").join(run_id.to_string());
        std::fs::create_dir_all(&run_dir).expect("a folder");
        std::fs::set_permissions(&run_dir, std::fs::Permissions::from_mode(0o700)).expect("a mode");
        let home = dir.join("home");
        let bin = dir.join("bin");
        std::fs::create_dir_all(&home).expect("a folder");
        std::fs::create_dir_all(&bin).expect("a folder");
        let (program, mut env) = match tool {
            Tool::Cursor => (standin(), Vec::new()),
            Tool::Claude => settings(agents::claude(&dir, &self.model)),
            Tool::Opencode => settings(agents::opencode(&dir, &self.model)),
            Tool::Pi => settings(agents::pi(&dir, &self.model)),
        };
        let path = agents::path().expect("the agent programs are installed");
        let path = format!("{}:{}", bin.display(), path.to_str().expect("text"));
        for (name, value) in [
            ("PATH", path.as_str()),
            ("HOME", home.to_str().expect("text")),
            ("CHATROOM_RUN", &run_id.to_string()),
            ("CHATROOM_RUN_TOKEN", RUN_TOKEN),
            ("CANARY", CANARY),
        ] {
            env.push((name.to_owned(), value.to_owned()));
        }
        RunSpec {
            run_id,
            tool,
            program,
            model: None,
            conversation: None,
            working_dir: self.work(),
            mode,
            without_project_settings: false,
            form: RunForm::Managed,
            system_prompt: "You are the builder. -- Reply in one line.".to_owned(),
            env,
            run_token: RUN_TOKEN.to_owned(),
            other_secrets: vec![CANARY.to_owned()],
            run_dir,
        }
    }

    pub async fn start(&self, tool: Tool, mode: PermissionMode) -> Run {
        Run::start(self.spec(tool, mode)).await
    }
}

fn settings(setup: agents::Setup) -> (PathBuf, Vec<(String, String)>) {
    setup.write().expect("settings can be written");
    let program = agents::folders()
        .expect("the agent programs are installed")
        .into_iter()
        .map(|folder| folder.join(setup.program))
        .find(|program| program.exists())
        .expect("the program is there");
    (program, setup.env)
}

/// The stand-in for Cursor's program.
pub fn standin() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/standins/cursor-agent");
    program.canonicalize().expect("the stand-in is in the repository")
}

/// A live run, and everything it said.
pub struct Run {
    pub spec: RunSpec,
    pub supervised: Supervised,
    pub events: Vec<Sequenced<RunEvent>>,
    /// How many of them the story has passed.
    pub passed: usize,
}

impl Run {
    pub async fn start(spec: RunSpec) -> Self {
        Self::start_as(spec, RunActivity::Idle).await
    }

    /// Starts a run and waits until it does that.
    pub async fn start_as(spec: RunSpec, first: RunActivity) -> Self {
        let supervised = client::spawn(&supervisor(), &spec.run_dir).await.expect("a supervisor");
        supervised.go(spec.clone()).await.expect("the tool starts");
        let mut run = Self { spec, supervised, events: Vec::new(), passed: 0 };
        run.until_activity(first).await;
        run
    }

    /// Waits for the next event for which `found` has something.
    pub async fn until<T>(&mut self, what: &str, found: impl Fn(&RunEvent) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            while self.passed < self.events.len() {
                self.passed += 1;
                if let Some(value) = found(&self.events[self.passed - 1].event) {
                    return value;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.supervised.next()).await {
                Ok(Some(event)) => self.events.push(event),
                Ok(None) => panic!("the supervisor left before: {what}\n{:#?}\n{}", self.story(), self.output()),
                Err(error) => panic!("{error}; never came: {what}\n{:#?}\n{}", self.story(), self.output()),
            }
        }
    }

    pub async fn until_activity(&mut self, wanted: RunActivity) {
        self.until(&format!("{wanted:?}"), |event| {
            matches!(event, RunEvent::Activity { activity } if *activity == wanted).then_some(())
        })
        .await;
    }

    /// Waits for the end of the turn of `id`.
    pub async fn turn_of(&mut self, id: PromptId) -> (TurnOutcome, Option<String>) {
        self.until("the turn's end", |event| match event {
            RunEvent::TurnEnded { prompt_id, outcome, detail } if *prompt_id == id => Some((*outcome, detail.clone())),
            _ => None,
        })
        .await
    }

    pub async fn asked(&mut self) -> (PermissionId, String, String, String) {
        self.until("a question", |event| match event {
            RunEvent::PermissionAsked { permission_id, title, input, digest, .. } => {
                Some((*permission_id, title.clone(), input.clone(), digest.clone()))
            }
            _ => None,
        })
        .await
    }

    pub async fn exited(&mut self) -> (Option<i32>, Option<i32>, String, bool) {
        self.until("the exit", |event| match event {
            RunEvent::Exited { code, signal, reason, requested } => Some((*code, *signal, reason.clone(), *requested)),
            _ => None,
        })
        .await
    }

    pub async fn say(&mut self, text: &str) -> PromptId {
        let id = prompt_id();
        self.supervised.prompt(id, text).await.expect("the prompt is taken");
        id
    }

    /// Gives a prompt and waits until its turn is over and the agent idle.
    pub async fn tell(&mut self, text: &str) -> TurnOutcome {
        let id = self.say(text).await;
        let (outcome, detail) = self.turn_of(id).await;
        assert!(outcome != TurnOutcome::Error, "{detail:?}\n{:#?}", self.story());
        self.until_activity(RunActivity::Idle).await;
        outcome
    }

    /// Stops the run and waits until nothing is left.
    pub async fn stop(&mut self) -> (Option<i32>, Option<i32>, String, bool) {
        self.supervised.stop().await.expect("it can be stopped");
        let exit = self.exited().await;
        self.nothing_is_left();
        exit
    }

    pub fn nothing_is_left(&self) {
        let left = tree::find(Root::Nowhere, self.spec.run_id);
        let left: Vec<String> = left.into_iter().map(|process| command_of(process.pid)).collect();
        assert!(left.is_empty(), "left alive: {left:#?}");
        self.secrets_are_nowhere();
    }

    /// No file of the run has a secret.
    pub fn secrets_are_nowhere(&self) {
        for entry in std::fs::read_dir(&self.spec.run_dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let text = String::from_utf8_lossy(&std::fs::read(&path).expect("reads")).into_owned();
                for secret in [RUN_TOKEN, CANARY] {
                    assert!(!text.contains(secret), "{} holds {secret}", path.display());
                }
                let mode = path.metadata().expect("exists").permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", path.display());
            }
        }
    }

    pub fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.spec.working_dir.join(name)).ok()
    }

    /// Everything that was said, as short lines.
    pub fn story(&self) -> Vec<String> {
        self.events.iter().map(|event| format!("{} {:?}", event.seq, event.event)).collect()
    }

    /// What the tool printed, for a failure.
    pub fn output(&self) -> String {
        let text = std::fs::read_to_string(self.spec.run_dir.join("output.log")).unwrap_or_default();
        text.chars().rev().take(6_000).collect::<Vec<_>>().into_iter().rev().collect()
    }

    pub fn has(&self, wanted: impl Fn(&RunEvent) -> bool) -> bool {
        self.events.iter().any(|event| wanted(&event.event))
    }

    /// What happened, with every text in one piece.
    pub fn folded(&self) -> Vec<Sequenced<RunEvent>> {
        let mut fold = Fold::default();
        let mut whole: Vec<_> = self.events.iter().cloned().flat_map(|event| fold.push(event)).collect();
        whole.extend(fold.finish());
        whole
    }

    /// Returns whether the agent said something.
    pub fn says(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.folded().iter().any(|event| matches!(&event.event, RunEvent::Message { text, .. } if wanted(text)))
    }

    /// The log on disk is what was told, without a gap or a double.
    pub fn log_is_whole(&self) {
        let log = read_events(&self.spec.run_dir, 0).expect("the log reads");
        assert_eq!(log, self.events);
        let numbers: Vec<u64> = log.iter().map(|event| event.seq).collect();
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected);
    }
}

pub fn command_of(pid: u32) -> String {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .map(|line| format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")))
        .unwrap_or_default()
}

/// Looks again until `done`, for a bounded time.
pub async fn eventually<T: Debug>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < until, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
