//! A run from the start of its tool to the end of its last process.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::daemon::Steerer;
use chatroom_protocol::api::reports::TurnOutcome;
use chatroom_protocol::{PermissionId, RunId};
use sha2::{Digest, Sha256};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::conversation::{Conversation, Effect, MAX_QUESTION, done};
use super::daemons::{Daemons, Request};
use super::event::RunEvent;
use super::exit;
use super::lines::Piece;
use super::log::{EventLog, MAX_INPUT, OutputLog, Source, now};
use super::redact::Redactor;
use super::saying::Saying;
use super::socket::Listening;
use super::spec::RunSpec;
use super::tool::{MAX_LINE, Tool};
use super::wire::{Ask, Done, Refused};
use crate::harness;
use crate::hex::hex;
use crate::policy::quoted;
use crate::process::ProcessId;
use crate::process::orphans;
use crate::process::tree::{self, Root};

/// How long a tool may take until it takes prompts. A slow machine's first start is within it.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// How long a turn may take to end after it was interrupted, when the run is to stop.
const INTERRUPT_WITHIN: Duration = Duration::from_secs(3);
/// How long a tool may take to leave by itself once its stdin is closed.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take to leave after SIGTERM.
pub(super) const TERM_WITHIN: Duration = Duration::from_secs(5);
/// How long its last words are waited for, once no process is left to say any.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(500);

/// How far the end of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Not begun.
    Running,
    /// The turn was interrupted.
    Interrupted,
    /// Stdin is closed.
    Closed,
    /// Now the processes are ended.
    Over,
}

/// One live run.
pub struct Run<'a> {
    own: ProcessId,
    id: RunId,
    log: &'a mut EventLog,
    output: OutputLog,
    conversation: Conversation,
    saying: Saying,
    tool: Tool,
    step: Step,
    /// When the present step is over: until the tool is ready, that must be before this.
    until: Option<Instant>,
    requested: bool,
    /// Why the supervisor ended it, where nobody asked.
    failure: Option<String>,
    status: Option<ExitStatus>,
    /// The last thing the tool grumbled.
    grumble: String,
    stdout_open: bool,
    stderr_open: bool,
}

impl<'a> Run<'a> {
    /// Takes over a tool that was just started.
    pub fn new(own: ProcessId, spec: &RunSpec, tool: Tool, log: &'a mut EventLog) -> io::Result<Self> {
        let redactor = Redactor::new(spec.secrets());
        log.keep_out(redactor.clone());
        let mut run = Self {
            own,
            id: spec.run_id,
            output: OutputLog::create(&spec.run_dir, &redactor)?,
            conversation: Conversation::new(harness::driver(spec), mint),
            saying: Saying::new(redactor),
            log,
            step: Step::Running,
            until: Some(Instant::now() + READY_WITHIN),
            requested: false,
            failure: None,
            status: None,
            grumble: String::new(),
            stdout_open: true,
            stderr_open: true,
            tool,
        };
        let ProcessId { pid, start_time } = run.tool.id;
        run.write(RunEvent::ToolStarted { pid, start_time });
        if spec.without_project_settings {
            let text = format!(
                "what this project brings along for {} (settings, hooks, plugins, and with them its instructions) is \
                 left out; to use it, run on this machine: chatroom machine allow --trust {}",
                spec.tool,
                quoted(&spec.working_dir.display().to_string())
            );
            run.write(RunEvent::Notice { text });
        }
        let effects = run.conversation.begin();
        run.apply(effects);
        Ok(run)
    }

    /// Lives until no process of the run is left, and that is written down.
    pub async fn live(
        mut self,
        listening: &mut Listening,
        daemons: &mut Daemons,
        requests: &mut mpsc::Receiver<Request>,
        terminate: &mut SignalStream,
    ) {
        let mut children = signal(SignalKind::child()).ok();
        while self.step != Step::Over {
            let (until, said) = (self.until, self.saying.due());
            tokio::select! {
                line = self.tool.stdout.next(), if self.stdout_open => self.stdout(line),
                line = self.tool.stderr.next(), if self.stderr_open => self.stderr(line),
                status = self.tool.child.wait() => {
                    self.status = status.ok();
                    self.step = Step::Over;
                }
                connection = listening.listener.accept() => {
                    if let Ok((stream, _)) = connection {
                        daemons.add(stream);
                    }
                }
                Some(request) = requests.recv() => self.request(request),
                _ = terminate.recv() => {
                    self.stop(None);
                }
                () = next(children.as_mut()) => orphans::collect(self.tool.id),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => self.too_long(),
                () = sleep_until(said.unwrap_or_else(Instant::now)), if said.is_some() => self.catch_up(),
            }
            self.advance();
        }
        self.end(listening, daemons, requests).await;
    }

    /// Ends every process, while what they still say is read and daemons get answers.
    async fn end(mut self, listening: &mut Listening, daemons: &mut Daemons, requests: &mut mpsc::Receiver<Request>) {
        let (own, tool) = (self.own, self.tool.id);
        let first = self.status.is_none().then_some(tool);
        let left = {
            let mut ending = pin!(tree::end(Root::Below(own), first, self.id, TERM_WITHIN, || {
                orphans::collect(tool);
            }));
            loop {
                tokio::select! {
                    left = &mut ending => break left,
                    line = self.tool.stdout.next(), if self.stdout_open => self.stdout(line),
                    line = self.tool.stderr.next(), if self.stderr_open => self.stderr(line),
                    status = self.tool.child.wait(), if self.status.is_none() => self.status = status.ok(),
                    connection = listening.listener.accept() => {
                        if let Ok((stream, _)) = connection {
                            daemons.add(stream);
                        }
                    }
                    Some(request) = requests.recv() => self.request(request),
                }
            }
        };
        orphans::collect(tool);
        if self.status.is_none() {
            self.status = timeout(LAST_WORDS, self.tool.child.wait()).await.ok().and_then(Result::ok);
        }
        let until = Instant::now() + LAST_WORDS;
        while self.stdout_open || self.stderr_open {
            tokio::select! {
                line = self.tool.stdout.next(), if self.stdout_open => self.stdout(line),
                line = self.tool.stderr.next(), if self.stderr_open => self.stderr(line),
                () = sleep_until(until) => break,
            }
        }
        self.farewell(&left);
    }

    fn farewell(mut self, left: &[ProcessId]) {
        let code = self.status.and_then(|status| status.code());
        let signal = self.status.and_then(|status| status.signal());
        let mut reason = match &self.failure {
            Some(failure) => failure.clone(),
            None if self.requested => "stopped".to_owned(),
            None => exit::in_words(self.status, &self.grumble),
        };
        if !left.is_empty() {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            reason = format!("{reason}; these processes could not be ended: {}", pids.join(", "));
        }
        let outcome = if self.requested { TurnOutcome::Interrupted } else { TurnOutcome::Error };
        self.apply(vec![Effect::Said]);
        let effects = self.conversation.finish(outcome, &reason);
        self.apply(effects);
        if let Err(error) = self.output.finish() {
            tracing::warn!(%error, "the end of a run's output could not be written");
        }
        self.write(RunEvent::Activity { activity: RunActivity::Exited });
        let requested = self.requested;
        self.write(RunEvent::Exited { code, signal, reason, requested });
    }

    fn stdout(&mut self, line: io::Result<Option<Piece>>) {
        match line {
            Ok(Some(Piece::Line(line))) => {
                let (effects, partial) = self.conversation.line(&line);
                if !partial {
                    self.keep(Source::Stdout, &line);
                }
                self.apply(effects);
            }
            Ok(Some(Piece::Cut(start))) => {
                self.keep(Source::Stdout, &start[..start.len().min(MAX_INPUT)]);
                let text = format!("the agent printed a line of more than {MAX_LINE} bytes, which was skipped");
                self.write(RunEvent::Notice { text });
            }
            Ok(None) | Err(_) => self.stdout_open = false,
        }
    }

    fn stderr(&mut self, line: io::Result<Option<Piece>>) {
        match line {
            Ok(Some(Piece::Line(line) | Piece::Cut(line))) => {
                self.keep(Source::Stderr, &line[..line.len().min(MAX_INPUT)]);
                let words = String::from_utf8_lossy(&line[..line.len().min(500)]);
                let words = words.trim();
                if !words.is_empty() {
                    words.clone_into(&mut self.grumble);
                }
            }
            Ok(None) | Err(_) => self.stderr_open = false,
        }
    }

    fn keep(&mut self, source: Source, line: &[u8]) {
        if let Err(error) = self.output.line(source, line) {
            tracing::warn!(%error, "a line of a run's output could not be written");
        }
    }

    fn request(&mut self, request: Request) {
        let (ask, answer) = match request {
            Request::Ask { ask, answer } => (ask, answer),
            Request::View { answer, .. } => {
                // Whoever asked may be gone.
                let _ = answer.send(Err(Refused::NoTerminal));
                return;
            }
            Request::Viewer { .. } | Request::Gone => return,
        };
        let result = match ask {
            Ask::Stop { by } => Ok(if self.stop(by) { Done::Done } else { Done::Nothing }),
            Ask::Unknown => Err(Refused::Unknown),
            // A go that is repeated finds it done.
            Ask::Go { .. } | Ask::Attach { .. } | Ask::View { .. } => Ok(Done::Nothing),
            _ if self.step != Step::Running => Err(Refused::Over),
            Ask::Prompt { prompt_id, text, from } => {
                self.conversation.prompt(prompt_id, text, from).map(|effects| self.apply_all(effects))
            }
            Ask::Interrupt { by } => {
                let effects = self.conversation.interrupt(by);
                Ok(self.apply_all(effects))
            }
            Ask::Decide { permission_id, decision, scope, by } => self
                .conversation
                .decide(permission_id, decision, scope, by.as_ref())
                .map(|effects| self.apply_all(effects)),
        };
        // Whoever asked may be gone.
        let _ = answer.send(result);
    }

    fn apply_all(&mut self, effects: Vec<Effect>) -> Done {
        let done = done(&effects);
        self.apply(effects);
        done
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // Once it is to stop, that is what it does.
                Effect::Write(RunEvent::Activity { .. }) if self.step != Step::Running => {}
                Effect::Say { words, text } => {
                    if let Some(part) = self.saying.part(words, &text) {
                        self.append(part);
                    }
                }
                Effect::Said => {
                    if let Some(rest) = self.saying.end() {
                        self.append(rest);
                    }
                }
                Effect::Write(event) => {
                    if !self.write(event) {
                        // What is not written down must not happen.
                        return;
                    }
                }
                Effect::Ask { id, title, input, always } => {
                    let title = self.log.shown(&title, MAX_INPUT);
                    let input = self.log.shown(&input, 2 * MAX_QUESTION);
                    let always = self.log.shown(&always, MAX_INPUT);
                    let digest = digest([&title, &input, &always]);
                    let always = Some(always);
                    self.write(RunEvent::PermissionAsked { permission_id: id, title, input, always, digest });
                }
                Effect::Send(line) => self.tool.send(&line),
                Effect::Fail(reason) => self.fail(reason),
            }
        }
    }

    /// Writes what was said so far.
    fn catch_up(&mut self) {
        if let Some(part) = self.saying.flush() {
            self.append(part);
        }
    }

    /// Writes an event behind what was said before it; returns whether that was possible.
    fn write(&mut self, event: RunEvent) -> bool {
        self.catch_up();
        self.append(event)
    }

    /// Returns whether it was written; a log that cannot be written ends the run.
    fn append(&mut self, event: RunEvent) -> bool {
        match self.log.append(event) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the log of a run cannot be written");
                self.fail(format!("the log of the run cannot be written: {error}"));
                false
            }
        }
    }

    fn fail(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
        if self.step == Step::Running {
            self.close();
        }
    }

    /// Begins the end of the run; false when it had begun before.
    fn stop(&mut self, by: Option<Steerer>) -> bool {
        if self.step != Step::Running {
            return false;
        }
        self.requested = true;
        self.write(RunEvent::StopAsked { by });
        self.write(RunEvent::Activity { activity: RunActivity::Stopping });
        if self.conversation.is_working() {
            self.step = Step::Interrupted;
            self.until = Some(Instant::now() + INTERRUPT_WITHIN);
            let effects = self.conversation.leave_turn();
            self.apply(effects);
        } else {
            self.close();
        }
        true
    }

    fn close(&mut self) {
        self.step = Step::Closed;
        self.until = Some(Instant::now() + LEAVE_WITHIN);
        self.tool.close_stdin();
    }

    fn too_long(&mut self) {
        match self.step {
            Step::Running => {
                self.fail(format!("the agent program did not become ready within {} s", READY_WITHIN.as_secs()));
            }
            Step::Interrupted => self.close(),
            Step::Closed | Step::Over => self.step = Step::Over,
        }
    }

    /// Goes on where the step that is waited for was taken.
    fn advance(&mut self) {
        match self.step {
            Step::Running if self.conversation.is_ready() => self.until = None,
            Step::Interrupted if !self.conversation.is_working() => self.close(),
            _ => {}
        }
    }
}

fn mint() -> PermissionId {
    PermissionId::from_parts(now(), Uuid::new_v4().as_u128())
}

/// Returns the hash of exactly what a person is shown.
fn digest(shown: [&str; 3]) -> String {
    let hash = shown.into_iter().fold(Sha256::new(), |hash, text| hash.chain_update(text).chain_update([0]));
    hex(&hash.finalize())
}

pub(super) async fn next(signals: Option<&mut SignalStream>) {
    match signals {
        Some(signals) => {
            signals.recv().await;
        }
        None => std::future::pending().await,
    }
}
