//! An agent in a terminal, and people at terminals of their own.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use chatroom_testkit::world::{User, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::desk::{Desk, PATIENCE, until};

/// A claude that does what is typed.
const CLAUDE: &str = r#"#!/bin/sh
case "$1" in --version) echo '2.1.0 (Claude Code)'; exit;; esac
printf '%s\n' "$#" "$1" > args.txt
echo "$$" > pid.txt
trap 'stty size' WINCH
echo "ready $(stty size)"
room="--chatroom-id=$CHATROOM_ROOM --role=$CHATROOM_ROLE"
while :; do
    read -r line || continue
    case "$line" in
        quit) exit 0 ;;
        later) sleep 3; echo "it is later" ;;
        wait) chatroom wait-for-task $room > task.txt 2>&1; echo "has a task" ;;
        handoff) echo "the result" | chatroom handoff $room --next-role=user > handoff.txt 2>&1; echo "handed on" ;;
    esac
    echo "got <$line>"
done
"#;

struct Story {
    world: World,
    ada: User,
    desk: Desk,
    room: String,
}

impl Story {
    /// A laptop with a daemon, where an agent runs in a terminal.
    async fn begin() -> Self {
        let world = World::start().await;
        let ada = world.user("ada").await;
        let desk = Desk::of(&world, &ada).await;
        desk.program("claude", CLAUDE);
        desk.run("machine daemon start").await.exits(0);
        until("the machine is online", async || {
            ada.get("/api/machines").await.body["machines"][0]["daemonConnected"] == true
        })
        .await;
        let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
        let story = Self { world, ada, desk, room };
        story.desk.run(&format!("machine allow {}", story.desk.work_dir().display())).await.exits(0);
        story
    }

    async fn started() -> Self {
        let story = Self::begin().await;
        story.desk.run("machine allow --terminal").await.exits(0);
        story.desk.run(&story.start()).await.exits(0);
        story
    }

    fn line(&self, verb: &str, more: &str) -> String {
        format!("agent {verb} --chatroom-id={} --role=builder {more}", self.room).trim_end().to_owned()
    }

    fn start(&self) -> String {
        self.line("start", &format!("--tool=claude --form=terminal --working-dir={}", self.desk.work_dir().display()))
    }

    fn attach(&self, more: &str, columns: u16, rows: u16) -> Terminal {
        Terminal::open(&self.desk, &self.line("attach", more), columns, rows)
    }

    async fn agent(&self) -> Value {
        self.ada.get(&format!("/api/chatrooms/{}/agents", self.room)).await.body["agents"][0].clone()
    }

    async fn until_status(&self, wanted: &str) {
        until(wanted, async || self.agent().await["status"] == wanted).await;
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.desk.work_dir().join(name)).unwrap_or_default()
    }
}

/// A person's terminal, in which a verb runs.
struct Terminal {
    child: Child,
    keys: OwnedWritePty,
    emulated: Arc<Mutex<vt100::Parser>>,
    reading: JoinHandle<()>,
}

impl Terminal {
    fn open(desk: &Desk, line: &str, columns: u16, rows: u16) -> Self {
        let (pty, pts) = pty_process::open().expect("a terminal");
        pty.resize(Size::new(rows, columns)).expect("a size");
        let args: Vec<&str> = line.split(' ').collect();
        let command = pty_process::Command::from(desk.command(&args));
        let child = command.env("TERM", "xterm-256color").spawn(pts).expect("the program");
        let (read, keys) = pty.into_split();
        let emulated = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let reading = tokio::spawn(look(read, Arc::clone(&emulated)));
        Self { child, keys, emulated, reading }
    }

    fn screen(&self) -> String {
        self.emulated.lock().expect("a screen").screen().contents()
    }

    async fn sees(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(Instant::now() < until, "never seen: {text}\n{}", self.screen());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.expect("typed");
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.keys.resize(Size::new(rows, columns)).expect("a size");
        self.emulated.lock().expect("a screen").screen_mut().set_size(rows, columns);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it runs").cast_signed();
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    /// The verb ends with this code, and leaves the terminal as it was.
    async fn ends(mut self, code: i32) -> String {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it did not end\n{}", self.screen())).expect("a status");
        assert_eq!(status.code(), Some(code), "{}", self.screen());
        tokio::time::timeout(PATIENCE, &mut self.reading).await.expect("all is read").expect("the reader");
        let emulated = self.emulated.lock().expect("a screen");
        let screen = emulated.screen();
        assert!(!screen.hide_cursor() && !screen.alternate_screen() && !screen.bracketed_paste());
        screen.contents()
    }
}

/// Shows what comes, until nobody has the terminal open.
async fn look(mut read: OwnedReadPty, emulated: Arc<Mutex<vt100::Parser>>) {
    let mut buffer = vec![0; 8192];
    while let Ok(count) = read.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        emulated.lock().expect("a screen").process(&buffer[..count]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_join_an_agent_s_terminal_and_one_types() {
    let story = Story::begin().await;
    let refused = story.desk.run(&story.start()).await.exits(1);
    assert!(refused.out.contains("chatroom machine allow --terminal"), "{}", refused.all());
    let nothing = story.desk.run(&story.line("attach", "")).await.exits(1);
    assert!(nothing.err.contains("not_running"), "{}", nothing.all());
    story.desk.run("machine allow --terminal").await.exits(0);
    story.desk.run(&story.start()).await.exits(0);
    let pipe = story.desk.run(&story.line("attach", "")).await.exits(1);
    assert!(pipe.err.contains("stdin and stdout must be one"), "{}", pipe.all());

    // Exactly the seed's form: the prompt is the one argument.
    until("it began", async || story.file("args.txt").contains("builder")).await;
    assert!(story.file("args.txt").starts_with("1\nYou are `builder`"), "{}", story.file("args.txt"));
    assert!(story.file("args.txt").contains("chatroom wait-for-task"), "{}", story.file("args.txt"));

    let mut first = story.attach("", 100, 30);
    first.sees("ready 24 80").await;
    first.sees("30 100").await;
    first.types("hello\r").await;
    first.sees("got <hello>").await;
    let list = story.desk.run(&format!("agent list --chatroom-id={}", story.room)).await.exits(0).out;
    assert!(list.contains("claude · terminal") && list.contains("Working"), "{list}");

    let mut watcher = story.attach("--read-only", 100, 30);
    watcher.sees("got <hello>").await;
    watcher.types("unheard\r").await;
    let mut second = story.attach("--take", 90, 20);
    second.sees("20 90").await;
    first.types("too late\r").await;
    second.types("mine now\r").await;
    for seen in [&first, &watcher, &second] {
        seen.sees("got <mine now>").await;
        assert!(!seen.screen().contains("too late") && !seen.screen().contains("unheard"), "{}", seen.screen());
    }
    second.resize(95, 25);
    second.sees("25 95").await;

    // Words for a program that may be asking something are not typed for anybody.
    let follow_up = format!("/api/chatrooms/{}/agents/builder/follow-up", story.room);
    let told = story.ada.post(&follow_up, json!({ "text": "go on" })).await;
    assert_eq!((told.status, told.text("code")), (409, "in_terminal"), "{}", told.raw);
    // Nobody else looks.
    let run = story.agent().await["run"]["runId"].as_str().expect("a run").to_owned();
    let bob = story.world.user("bob").await;
    let looked = bob.get(&format!("/api/runs/{run}/terminal")).await;
    assert_eq!(looked.status, 404, "{}", looked.raw);

    second.types("\x1d").await;
    let said = second.ends(0).await;
    assert!(said.contains("Detached from `builder`; it goes on."), "{said}");
    watcher.signal(Signal::SIGTERM);
    let said = watcher.ends(0).await;
    assert!(said.contains("Detached from `builder` by SIGTERM"), "{said}");
    first.types("\x1d").await;
    let said = first.ends(0).await;
    assert!(said.contains("--take"), "{said}");
    let mut back = story.attach("--take", 100, 30);
    back.sees("got <mine now>").await;
    back.types("still there\r").await;
    back.sees("got <still there>").await;

    let pid = story.file("pid.txt").trim().to_owned();
    story.desk.run(&story.line("stop", "")).await.exits(0);
    let said = back.ends(0).await;
    assert!(said.contains("The program of `builder` ended."), "{said}");
    assert!(!std::path::Path::new("/proc").join(pid).exists(), "the program is left");
    story.until_status("stopped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_survives_its_server_and_misses_nothing() {
    let mut story = Story::started().await;
    let mut viewer = story.attach("", 80, 24);
    viewer.sees("ready").await;
    viewer.types("one\r").await;
    viewer.sees("got <one>").await;
    viewer.types("later\r").await;
    viewer.sees("later").await;
    story.world.restart().await;
    viewer.sees("it is later").await;
    viewer.types("two\r").await;
    viewer.sees("got <two>").await;
    for line in ["got <one>", "it is later", "got <later>", "got <two>"] {
        assert_eq!(viewer.screen().matches(line).count(), 1, "{line}\n{}", viewer.screen());
    }
    assert!(viewer.screen().contains("joining again"), "{}", viewer.screen());

    // The same when the daemon is the one that goes: the terminal is its supervisor's.
    story.desk.run("machine daemon status").await.exits(0);
    let pid: i32 = story.desk.file("daemon.pid")["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a signal");
    until("it is gone", async || story.desk.run("machine daemon status").await.code == 3).await;
    story.desk.run("machine daemon start").await.exits(0);
    until("the viewer is back", async || {
        viewer.types("x").await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        viewer.screen().contains("xx")
    })
    .await;
    viewer.types("\x1d").await;
    viewer.ends(0).await;
    story.desk.run(&story.line("stop", "")).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_in_a_terminal_waits_for_its_tasks_itself() {
    let story = Story::started().await;
    let mut viewer = story.attach("", 100, 30);
    viewer.sees("ready").await;
    story.until_status("working").await;
    viewer.types("wait\r").await;
    story.until_status("waiting").await;
    let say = json!({ "content": "Add rate limiting." });
    let sent = story.ada.post(&format!("/api/chatrooms/{}/messages", story.room), say).await;
    assert_eq!(sent.status, 201, "{}", sent.raw);
    viewer.sees("has a task").await;
    assert!(story.file("task.txt").contains("> Add rate limiting."), "{}", story.file("task.txt"));
    story.until_status("working").await;
    viewer.types("handoff\r").await;
    viewer.sees("handed on").await;
    assert!(story.file("handoff.txt").contains("chatroom wait-for-task"), "{}", story.file("handoff.txt"));
    let tasks = story.ada.get(&format!("/api/chatrooms/{}/tasks", story.room)).await.body;
    assert_eq!(tasks["tasks"][0]["state"], "completed", "{tasks}");

    // Whoever quits the program wants it ended.
    viewer.types("quit\r").await;
    let said = viewer.ends(0).await;
    assert!(said.contains("The program of `builder` ended."), "{said}");
    story.until_status("stopped").await;
    assert_eq!(story.agent().await["run"]["exit"], "ended in its terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_terminal_showed_is_printed_as_a_recording() {
    let story = Story::started().await;
    until("it begins", async || story.desk.run(&story.line("logs", "--cast")).await.out.contains("ready 24 80")).await;
    story.desk.run(&story.line("stop", "")).await.exits(0);
    let cast = story.desk.run(&story.line("logs", "--cast")).await.exits(0);
    let lines: Vec<Value> = cast.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["version"], &lines[0]["width"], &lines[0]["height"]), (&json!(2), &json!(80), &json!(24)));
    assert!(lines[0]["timestamp"].is_i64(), "{}", lines[0]);
    assert!(lines.len() > 1 && lines[1..].iter().all(|frame| frame[0].is_f64() && frame[1] == "o"), "{}", cast.all());
    let log = story.desk.run(&story.line("logs", "")).await.exits(0);
    let told: Vec<_> = log.out.lines().filter(|line| line.contains("terminal   ")).collect();
    assert!(told.len() == 1 && told[0].contains("80x24") && !log.out.contains("ready 24"), "{}", log.all());
    assert!(log.out.contains("stop       asked by ada"), "{}", log.all());
}
