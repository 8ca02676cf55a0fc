//! The seed's spawn forms, and pi's own, in a terminal that several people look at.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use chatroom_daemon::supervisor::client::{self, Error, Viewer};
use chatroom_daemon::supervisor::event::RunEvent;
use chatroom_daemon::supervisor::wire::{Done, Refused};
use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::api::terminal::{Frame, Frames, JoinTerminal, TerminalSays, TerminalSize, Typing, ViewerSays};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{CANARY, RUN_TOKEN, Run, World, eventually, prompt_id};

const PATIENCE: Duration = Duration::from_secs(90);

/// Somebody who looks at a run's terminal, as on a terminal of their own.
struct Eyes {
    viewer: Viewer,
    frames: Frames,
    emulated: vt100::Parser,
    /// How many bytes of the terminal came.
    at: u64,
    drawn: u64,
    number: u64,
    typing: bool,
    size: TerminalSize,
    over: Option<TerminalSays>,
}

impl Eyes {
    async fn join(run: &Run, join: JoinTerminal) -> Self {
        let supervisor = run.supervised.id();
        let viewer = client::view(&run.spec.run_dir, supervisor, join).await.expect("let in").expect("alive");
        let mut eyes = Self {
            viewer,
            frames: Frames::default(),
            emulated: vt100::Parser::new(24, 80, 0),
            at: 0,
            drawn: 0,
            number: 0,
            typing: false,
            size: TerminalSize::default(),
            over: None,
        };
        assert!(eyes.next().await, "the first word says how it is");
        eyes
    }

    /// Takes the next frame in; returns whether it was the first word.
    async fn next(&mut self) -> bool {
        loop {
            if let Some(frame) = self.frames.take().expect("frames") {
                return self.take(frame);
            }
            let mut piece = vec![0; 8192];
            let count = tokio::time::timeout(PATIENCE, self.viewer.read.read(&mut piece)).await;
            let count = count.unwrap_or_else(|_| panic!("nothing comes; the screen is:\n{}", self.screen()));
            match count.expect("reads") {
                0 => panic!("the connection ended; the screen is:\n{}", self.screen()),
                count => self.frames.push(&piece[..count]),
            }
        }
    }

    fn take(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Bytes(bytes) => {
                self.emulated.process(&bytes);
                let drawn = self.drawn.min(bytes.len() as u64);
                self.drawn -= drawn;
                self.at += bytes.len() as u64 - drawn;
                false
            }
            Frame::Text(text) => match serde_json::from_str(&text).expect("a word") {
                TerminalSays::Joined { viewer, typing, size, at, drawn } => {
                    (self.number, self.typing, self.at, self.drawn) = (viewer, typing, at, drawn);
                    self.resized(size);
                    true
                }
                TerminalSays::Changed { typing, size, .. } => {
                    self.typing = typing;
                    self.resized(size);
                    false
                }
                other => {
                    self.over = Some(other);
                    false
                }
            },
        }
    }

    fn resized(&mut self, size: TerminalSize) {
        self.size = size;
        self.emulated.screen_mut().set_size(size.rows, size.columns);
    }

    fn screen(&self) -> String {
        self.emulated.screen().contents()
    }

    async fn until(&mut self, what: &str, seen: impl Fn(&Self) -> bool) {
        while !seen(self) {
            assert!(self.over.is_none(), "{:?} before: {what}\n{}", self.over, self.screen());
            self.next().await;
        }
    }

    async fn sees(&mut self, text: &str) {
        self.until(text, |eyes| eyes.screen().contains(text)).await;
    }

    async fn says(&mut self, frame: &Frame) {
        self.viewer.write.write_all(&frame.encode()).await.expect("heard");
    }

    async fn types(&mut self, keys: &str) {
        self.says(&Frame::Bytes(keys.as_bytes().to_vec())).await;
    }
}

fn size(columns: u16, rows: u16) -> TerminalSize {
    TerminalSize { columns, rows }
}

fn as_large(columns: u16, rows: u16) -> JoinTerminal {
    JoinTerminal { size: Some(size(columns, rows)), ..JoinTerminal::default() }
}

fn watching() -> JoinTerminal {
    JoinTerminal { typing: Typing::Never, ..JoinTerminal::default() }
}

/// A run of a script instead of the tool: what a terminal does is the same for each program.
async fn script(world: &World, text: &str) -> Run {
    let mut spec = world.spec(Tool::Claude, PermissionMode::Ask);
    spec.form = RunForm::Terminal;
    spec.program = world.dir.path().canonicalize().expect("exists").join("script");
    std::fs::write(&spec.program, format!("#!/bin/sh\n{text}\n")).expect("a script");
    std::fs::set_permissions(&spec.program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    Run::start_as(spec, RunActivity::Working).await
}

#[tokio::test]
async fn several_look_and_one_types() {
    let world = World::new().await;
    let mut run = script(
        &world,
        "trap 'stty size' WINCH; stty size; test -t 0 && echo a terminal; echo \"$TERM\"; ps -o sid= -o pgid= -p $$\n\
         echo \"token $CHATROOM_RUN_TOKEN.\"; while :; do read -r line && echo \"got <$line>\"; done",
    )
    .await;
    let mut first = Eyes::join(&run, watching()).await;
    first.sees("a terminal").await;
    first.sees("24 80").await;
    first.sees("xterm-256color").await;
    first.sees("token [redacted].").await;
    assert!(!first.typing, "who only watches does not type");
    first.types("nobody hears this\r").await;

    let mut second = Eyes::join(&run, as_large(100, 30)).await;
    second.until("the keyboard", |eyes| eyes.typing).await;
    second.sees("24 80").await;
    second.sees("30 100").await;
    second.types("hello\r").await;
    second.sees("got <hello>").await;
    first.sees("got <hello>").await;
    first.until("the new size", |eyes| eyes.size == size(100, 30)).await;

    // A third is let in to watch, until it takes over, with its own size.
    let mut third = Eyes::join(&run, as_large(120, 40)).await;
    assert!(!third.typing);
    assert_eq!(third.size, size(100, 30));
    third.types("not yet\r").await;
    third.says(&Frame::says(&ViewerSays::Take)).await;
    third.until("the keyboard", |eyes| eyes.typing).await;
    third.sees("40 120").await;
    second.until("it was taken", |eyes| !eyes.typing).await;
    second.types("too late\r").await;
    third.types("now\r").await;
    third.sees("got <now>").await;
    third.says(&Frame::says(&ViewerSays::Resize { size: size(90, 20) })).await;
    third.sees("20 90").await;
    for eyes in [&mut first, &mut second, &mut third] {
        eyes.sees("got <now>").await;
        for unheard in ["nobody hears", "not yet", "too late"] {
            assert!(!eyes.screen().contains(unheard), "{}", eyes.screen());
        }
    }

    // Once it is gone, the next who comes may type at once; those who watch stay as they are.
    drop(third);
    let mut fourth = eventually_types(&run).await;
    fourth.types("again\r").await;
    first.sees("got <again>").await;
    assert!(!first.typing);
    assert!(!run.output().contains(RUN_TOKEN));

    let exit = run.stop().await;
    assert_eq!((exit.2.as_str(), exit.3), ("stopped", true));
    while first.over.is_none() {
        first.next().await;
    }
    assert_eq!(first.over, Some(TerminalSays::Exited));
}

async fn eventually_types(run: &Run) -> Eyes {
    for _ in 0..200 {
        let mut eyes = Eyes::join(run, JoinTerminal::default()).await;
        if eyes.typing {
            eyes.over = None;
            return eyes;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the keyboard never became free");
}

#[tokio::test]
async fn who_comes_back_goes_on_where_they_were() {
    let world = World::new().await;
    let mut run = script(&world, "while read -r line; do echo \"got <$line>\"; done").await;
    let mut typist = Eyes::join(&run, JoinTerminal::default()).await;
    let mut away = Eyes::join(&run, watching()).await;
    typist.types("one\r").await;
    away.sees("got <one>").await;
    let (seen, at) = (away.emulated, away.at);
    drop(away.viewer);
    typist.types("two\r").await;
    typist.sees("got <two>").await;

    let mut back = Eyes::join(&run, JoinTerminal { from: Some(at), ..watching() }).await;
    assert_eq!((back.at, back.drawn), (at, 0), "nothing is drawn anew");
    back.emulated = seen;
    back.sees("got <two>").await;
    assert_eq!(back.screen().matches("got <one>").count(), 1, "{}", back.screen());
    assert_eq!(back.screen().matches("got <two>").count(), 1, "{}", back.screen());

    // Who typed keeps the keyboard, though their old connection is not known to be lost.
    let mut again = Eyes::join(&run, JoinTerminal { replaces: Some(typist.number), ..JoinTerminal::default() }).await;
    assert!(again.typing);
    typist.types("from the grave\r").await;
    again.types("three\r").await;
    again.sees("got <three>").await;
    assert!(!again.screen().contains("grave"), "{}", again.screen());

    // What is beyond all that is kept is drawn instead.
    let late = Eyes::join(&run, JoinTerminal { from: Some(u64::MAX), ..watching() }).await;
    assert!(late.drawn > 0 && late.at < u64::MAX);
    run.stop().await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_and_the_run_goes_on() {
    let world = World::new().await;
    let mut run = script(
        &world,
        "n=0; while read -r go; do yes 0123456789abcdef | head -c 200000; n=$((n+1)); echo; echo \"done $n\"; done",
    )
    .await;
    let mut slow = Eyes::join(&run, watching()).await;
    let mut typist = Eyes::join(&run, JoinTerminal::default()).await;
    for n in 1..=15 {
        typist.types("go\r").await;
        typist.sees(&format!("done {n}")).await;
    }
    while slow.over.is_none() {
        slow.next().await;
    }
    assert_eq!(slow.over, Some(TerminalSays::TooSlow));
    assert!(slow.at < typist.at);
    let mut again = Eyes::join(&run, watching()).await;
    again.sees("done 15").await;
    run.stop().await;
}

#[tokio::test]
async fn a_program_its_person_ends_is_over_and_one_that_fails_crashed() {
    for (ending, code, reason, requested) in [
        ("exit 0", Some(0), "ended in its terminal", true),
        ("exit 3", Some(3), "the agent program ended with exit code 3", false),
    ] {
        let world = World::new().await;
        let mut run = script(&world, &format!("(sleep 300 &); read -r line; echo bye; {ending}")).await;
        let mut eyes = Eyes::join(&run, JoinTerminal::default()).await;
        eyes.types("quit\r").await;
        while eyes.over.is_none() {
            eyes.next().await;
        }
        assert!(eyes.screen().contains("bye"), "{}", eyes.screen());
        let exit = run.exited().await;
        assert_eq!((exit.0, exit.2.as_str(), exit.3), (code, reason, requested));
        run.nothing_is_left();
        run.log_is_whole();
    }
}

#[tokio::test]
async fn a_run_in_a_terminal_is_steered_there() {
    let world = World::new().await;
    let mut run = script(&world, "stty raw -echo; printf 'ready\\r\\n'; od -An -tx1 -N1; read -r stay").await;
    let mut eyes = Eyes::join(&run, watching()).await;
    eyes.sees("ready").await;
    let told = run.supervised.prompt(prompt_id(), "do it").await;
    assert!(matches!(told, Err(Error::Refused(Refused::InTerminal))), "{told:?}");
    assert_eq!(run.supervised.interrupt().await.expect("keys"), Done::Done);
    // Claude's key is Escape.
    eyes.sees("1b").await;
    run.stop().await;
    assert!(run.has(|event| matches!(event, RunEvent::Activity { activity: RunActivity::Working })));
    assert!(!run.has(|event| matches!(event, RunEvent::Activity { activity: RunActivity::Idle })));
}

#[tokio::test]
async fn a_managed_run_has_no_terminal() {
    let world = World::new().await;
    let mut run = world.start(Tool::Cursor, PermissionMode::Ask).await;
    let refused = client::view(&run.spec.run_dir, run.supervised.id(), watching()).await;
    assert!(matches!(refused, Err(Error::Refused(Refused::NoTerminal))), "{refused:?}");
    run.stop().await;
}

#[tokio::test]
async fn claude_runs_in_a_terminal() {
    real(Tool::Claude, PermissionMode::Ask, |work| {
        // What its person answered when they first started it here.
        let trusted = json!({ "hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true });
        vec![(
            "claude/.claude.json",
            json!({ "hasCompletedOnboarding": true, "theme": "dark", "projects": { work: trusted } }).to_string(),
        )]
    })
    .await;
}

#[tokio::test]
async fn opencode_runs_in_a_terminal() {
    real(Tool::Opencode, PermissionMode::Ask, |_| Vec::new()).await;
}

#[tokio::test]
async fn pi_runs_in_a_terminal() {
    real(Tool::Pi, PermissionMode::Auto, |_| Vec::new()).await;
}

/// The real program gets the role prompt, answers, hears a person who joins, and leaves nothing when it is stopped.
async fn real(tool: Tool, mode: PermissionMode, files: impl Fn(&str) -> Vec<(&'static str, String)>) {
    let world = World::new().await;
    let mut spec = world.spec(tool, mode);
    spec.form = RunForm::Terminal;
    "You are the builder.\n[[say: the builder is here]]".clone_into(&mut spec.system_prompt);
    let dir = world.dir.path().canonicalize().expect("exists");
    for (name, text) in files(spec.working_dir.to_str().expect("text")) {
        std::fs::create_dir_all(dir.join(name).parent().expect("a folder")).expect("a folder");
        std::fs::write(dir.join(name), text).expect("a file");
    }
    let mut run = Run::start_as(spec, RunActivity::Working).await;
    let pid = run.events.iter().find_map(|event| match event.event {
        RunEvent::ToolStarted { pid, .. } => Some(pid),
        _ => None,
    });
    let words = format!("/proc/{}/cmdline", pid.expect("a process"));
    // While one program makes room for the next, as `env` does for node, there are none.
    let words =
        eventually("its words", || std::fs::read_to_string(&words).ok().filter(|words| !words.is_empty())).await;
    let words: Vec<&str> = words.trim_end_matches('\0').split('\0').collect();
    match tool {
        Tool::Opencode => assert!(words.last().is_some_and(|word| word.ends_with("opencode")), "{words:?}"),
        // It writes its title over its words; that it was given the prompt shows in what the model hears, too.
        Tool::Pi if words == ["pi"] => {}
        _ => assert_eq!(words.last(), Some(&run.spec.system_prompt.as_str())),
    }
    let mut eyes = Eyes::join(&run, as_large(100, 30)).await;
    eventually_heard(&world, &mut eyes, "You are the builder.").await;
    eyes.sees("the builder is here").await;
    eyes.types("[[say: the second answer]]").await;
    eyes.sees("[[say: the second answer]]").await;
    eyes.types("\r").await;
    eventually_heard(&world, &mut eyes, "the second answer").await;
    eyes.until("the answer", |eyes| eyes.screen().matches("the second answer").count() >= 2).await;
    let exit = run.stop().await;
    assert!(exit.3, "{exit:?}");
}

/// Looks on until the model heard a text.
async fn eventually_heard(world: &World, eyes: &mut Eyes, text: &str) {
    let heard = || world.model.requests().iter().any(|request| request.body.to_string().contains(text));
    eyes.until(text, |_| heard()).await;
}

#[tokio::test]
async fn looking_on_ends_with_whoever_looks() {
    let world = World::new().await;
    let mut run = script(&world, "read -r stay").await;
    for _ in 0..40 {
        drop(Eyes::join(&run, watching()).await);
    }
    eventually("room for one more", || run.spec.run_dir.exists().then_some(())).await;
    run.stop().await;
}

#[tokio::test]
async fn secrets_that_are_printed_in_pieces_are_shown_and_written_nowhere() {
    let world = World::new().await;
    let mut run = script(
        &world,
        "for it in $CANARY $CHATROOM_RUN_TOKEN; do printf '<%s' \"$(echo $it | cut -c1-9)\"; sleep 0.3\n\
         printf '%s>' \"$(echo $it | cut -c10-)\"; done; read -r stay",
    )
    .await;
    let mut eyes = Eyes::join(&run, watching()).await;
    eyes.until("both", |eyes| eyes.screen().matches("[redacted]>").count() == 2).await;
    for secret in [CANARY, RUN_TOKEN] {
        assert!(!eyes.screen().contains(secret), "{}", eyes.screen());
    }
    // Nothing below the run's folder has them, which the end of every run makes sure of.
    run.stop().await;
    assert!(frames(&run).iter().any(|(_, code, data)| code == "o" && data.contains("[redacted]>")));
}

/// The recording of a run, frame by frame.
fn frames(run: &Run) -> Vec<(u64, String, String)> {
    let frames = run.events.iter().filter_map(|event| match &event.event {
        RunEvent::TerminalFrame { frame } => {
            let (_, code, data) = frame.clone().into();
            Some((frame.millis, code, data))
        }
        _ => None,
    });
    frames.collect()
}

#[tokio::test]
async fn what_a_terminal_showed_is_a_recording() {
    let world = World::new().await;
    let mut run = script(
        &world,
        "stty -echo; for n in $(seq 300); do printf '%s ' $n; done; printf 'ma\\303'; sleep 0.4\n\
         printf '\\261ana\\n'; until [ \"$(stty size)\" = '30 100' ]; do sleep 0.02; done; stty size\n\
         while read -r line || :; do printf '\\033[1m%s\\033[m\\n' \"$line\"; done",
    )
    .await;
    let mut eyes = Eyes::join(&run, as_large(100, 30)).await;
    eyes.sees("mañana").await;
    eyes.sees("30 100").await;
    eyes.types("hello\r").await;
    eyes.sees("hello").await;
    run.stop().await;
    let opened = |event: &RunEvent| matches!(event, RunEvent::TerminalOpened { width: 80, height: 24 });
    assert!(run.has(opened), "{:#?}", run.story());
    let frames = frames(&run);
    let shown: String = frames.iter().filter(|(_, code, _)| code == "o").map(|(.., data)| data.as_str()).collect();
    assert_eq!(shown, run.output(), "all of it, and no character in two");
    assert!(shown.contains("299 300 mañana\r\n") && shown.contains("\u{1b}[1mhello\u{1b}[m\r\n"), "{shown:?}");
    let sizes: Vec<_> = frames.iter().filter(|(_, code, _)| code == "r").map(|(.., data)| data.as_str()).collect();
    assert_eq!(sizes, ["100x30"]);
    let texts: Vec<_> = frames.iter().filter(|(_, code, _)| code == "o").collect();
    let is_apart = |pair: &[&(u64, String, String)]| pair[1].0 - pair[0].0 >= 99;
    // A size of another kind in between ends a frame early.
    let early = texts.windows(2).filter(|pair| !is_apart(pair)).count();
    assert!(early <= 1, "{texts:?}");
    assert!(frames.is_sorted_by_key(|(millis, ..)| *millis), "{frames:?}");
    run.log_is_whole();
}
