//! A run in a terminal, from the start of its tool to the end of its last process.
//!
//! The tool is started as a person would start it, and people join what it shows.
//! What it does is theirs to see: its screen is never read for decisions, and a
//! terminal that is quiet tells nothing. So the run is working from its first
//! moment to its last, and nothing is ever typed into it that would answer a
//! question the tool might ask; only the role prompt is, before the first turn,
//! for a tool that takes none on its command line.

mod pty;
mod screen;
mod viewer;

use std::collections::HashMap;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::RunId;
use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::daemon::Steerer;
use chatroom_protocol::api::terminal::{JoinTerminal, TerminalSize, Typing};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::cast::Film;
use super::daemons::{Daemons, Request};
use super::event::RunEvent;
use super::exit;
use super::log::{EventLog, OutputLog};
use super::redact::{Redactor, Stream};
use super::run::{LAST_WORDS, TERM_WITHIN, next};
use super::socket::Listening;
use super::spec::RunSpec;
use super::wire::{Ask, Done, Refused};
use crate::harness;
use crate::harness::launch::Launch;
use crate::process::ProcessId;
use crate::process::orphans;
use crate::process::tree::{self, Root};
use pty::Keys;
pub use pty::Tool;
use screen::Screen;
pub use viewer::{Said, Viewing, serve as view};

/// How many viewers a run may have at once.
const VIEWERS: usize = 32;
/// How long a beginning of the run's token is waited for, before it is shown as what it then is.
const QUIET: Duration = Duration::from_millis(40);
/// Between two keys that a tool must not take for one.
const BETWEEN_KEYS: Duration = Duration::from_millis(150);
/// A text between these is pasted, not typed.
const PASTE: (&str, &str) = ("\x1b[200~", "\x1b[201~");

/// One live run in a terminal.
pub struct TerminalRun<'a> {
    own: ProcessId,
    id: RunId,
    log: &'a mut EventLog,
    output: OutputLog,
    tool: Tool,
    screen: Arc<Screen>,
    redact: Stream,
    film: Film,
    /// When what is held back is shown.
    show_at: Option<Instant>,
    /// What the tool is told first, once it takes it.
    first_words: Option<String>,
    interrupt: &'static [&'static str],
    viewers: HashMap<u64, Option<TerminalSize>>,
    next_viewer: u64,
    requested: bool,
    failure: Option<String>,
    status: Option<ExitStatus>,
    is_over: bool,
    screen_open: bool,
}

impl<'a> TerminalRun<'a> {
    /// Takes over a tool that was just started.
    pub fn new(own: ProcessId, spec: &RunSpec, launch: Launch, tool: Tool, log: &'a mut EventLog) -> io::Result<Self> {
        let redactor = Redactor::new(spec.secrets());
        log.keep_out(redactor.clone());
        let mut run = Self {
            own,
            id: spec.run_id,
            output: OutputLog::create(&spec.run_dir, &redactor)?,
            log,
            screen: Screen::new(TerminalSize::default()),
            redact: Stream::new(redactor),
            film: Film::open(),
            show_at: None,
            first_words: launch.first_words,
            interrupt: harness::spec(spec.tool).terminal.interrupt,
            viewers: HashMap::new(),
            next_viewer: 1,
            requested: false,
            failure: None,
            status: None,
            is_over: false,
            screen_open: true,
            tool,
        };
        let ProcessId { pid, start_time } = run.tool.id;
        run.write(RunEvent::ToolStarted { pid, start_time });
        let TerminalSize { columns: width, rows: height } = run.screen.now().size;
        run.write(RunEvent::TerminalOpened { width, height });
        run.write(RunEvent::Activity { activity: RunActivity::Working });
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
        let mut buffer = vec![0; 16 * 1024];
        while !self.is_over {
            let (show_at, framed_at) = (self.show_at, self.film.due());
            tokio::select! {
                count = self.tool.screen.read(&mut buffer), if self.screen_open => self.printed(count.ok(), &buffer),
                status = self.tool.child.wait() => {
                    self.status = status.ok();
                    self.is_over = true;
                }
                connection = listening.listener.accept() => {
                    if let Ok((stream, _)) = connection {
                        daemons.add(stream);
                    }
                }
                Some(request) = requests.recv() => self.request(request),
                _ = terminate.recv() => drop(self.stop(None)),
                () = next(children.as_mut()) => orphans::collect(self.tool.id),
                () = sleep_until(show_at.unwrap_or_else(Instant::now)), if show_at.is_some() => self.show_held(),
                () = sleep_until(framed_at.unwrap_or_else(Instant::now)), if framed_at.is_some() => {
                    let frame = self.film.flush();
                    self.write_all(frame);
                }
            }
        }
        self.end(listening, daemons, requests, &mut buffer).await;
    }

    /// Ends every process, while what they still print is read and daemons and viewers are served.
    async fn end(
        mut self,
        listening: &mut Listening,
        daemons: &mut Daemons,
        requests: &mut mpsc::Receiver<Request>,
        buffer: &mut [u8],
    ) {
        let (own, tool) = (self.own, self.tool.id);
        let first = self.status.is_none().then_some(tool);
        let left = {
            let mut ending = pin!(tree::end(Root::Below(own), first, self.id, TERM_WITHIN, || {
                orphans::collect(tool);
            }));
            loop {
                tokio::select! {
                    left = &mut ending => break left,
                    count = self.tool.screen.read(buffer), if self.screen_open => self.printed(count.ok(), buffer),
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
        while self.screen_open {
            tokio::select! {
                count = self.tool.screen.read(buffer) => self.printed(count.ok(), buffer),
                () = sleep_until(until) => break,
            }
        }
        self.farewell(&left);
    }

    fn farewell(mut self, left: &[ProcessId]) {
        let rest = self.redact.finish();
        self.show(&rest);
        let frame = self.film.end();
        self.write_all(frame);
        if let Err(error) = self.output.finish() {
            tracing::warn!(%error, "the end of a run's output could not be written");
        }
        let code = self.status.and_then(|status| status.code());
        let signal = self.status.and_then(|status| status.signal());
        // Whoever ends a program in good order wants it ended: it is not started again.
        let was_quit = self.failure.is_none() && code == Some(0);
        let requested = self.requested || was_quit;
        let mut reason = match &self.failure {
            Some(failure) => failure.clone(),
            None if self.requested => "stopped".to_owned(),
            None if was_quit => "ended in its terminal".to_owned(),
            None => exit::in_words(self.status, ""),
        };
        if !left.is_empty() {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            reason = format!("{reason}; these processes could not be ended: {}", pids.join(", "));
        }
        self.write(RunEvent::Activity { activity: RunActivity::Exited });
        self.write(RunEvent::Exited { code, signal, reason, requested });
        self.screen.end();
    }

    fn printed(&mut self, count: Option<usize>, buffer: &[u8]) {
        match count {
            // The last process that had the terminal open is gone.
            Some(0) | None => self.screen_open = false,
            Some(count) => {
                let clean = self.redact.push(&buffer[..count]);
                self.show_at = self.redact.is_holding().then(|| Instant::now() + QUIET);
                self.show(&clean);
            }
        }
    }

    /// Somebody may look at a letter with which the run's token begins as well.
    fn show_held(&mut self) {
        self.show_at = None;
        let held = self.redact.peek();
        self.show(&held);
    }

    fn show(&mut self, clean: &[u8]) {
        if clean.is_empty() {
            return;
        }
        if let Err(error) = self.output.shown(clean) {
            tracing::warn!(%error, "what a terminal showed could not be written");
        }
        let frame = self.film.show(clean);
        self.write_all(frame);
        self.screen.show(clean);
        if self.first_words.is_some() && self.screen.takes_text() {
            self.say_first_words();
        }
    }

    fn say_first_words(&mut self) {
        if let Some(words) = self.first_words.take() {
            let (begin, end) = PASTE;
            self.tool.press(Keys::Type(format!("{begin}{words}{end}").into_bytes()));
            self.tool.press(Keys::Pause(BETWEEN_KEYS));
            self.tool.press(Keys::Type(b"\r".to_vec()));
        }
    }

    fn request(&mut self, request: Request) {
        // Whoever asked may be gone.
        match request {
            Request::Gone => {}
            Request::Viewer { id, said } => self.viewer(id, said),
            Request::View { join, answer } => drop(answer.send(self.join(join))),
            Request::Ask { ask, answer } => drop(answer.send(self.asked(ask))),
        }
    }

    fn asked(&mut self, ask: Ask) -> Result<Done, Refused> {
        match ask {
            Ask::Stop { by } => Ok(self.stop(by)),
            Ask::Unknown => Err(Refused::Unknown),
            Ask::Go { .. } | Ask::Attach { .. } | Ask::View { .. } => Ok(Done::Nothing),
            _ if self.is_over => Err(Refused::Over),
            Ask::Prompt { .. } => Err(Refused::InTerminal),
            Ask::Decide { .. } => Err(Refused::PermissionClosed),
            Ask::Interrupt { by } => {
                self.write(RunEvent::InterruptAsked { by });
                for key in self.interrupt {
                    self.tool.press(Keys::Type(key.as_bytes().to_vec()));
                    self.tool.press(Keys::Pause(BETWEEN_KEYS));
                }
                Ok(Done::Done)
            }
        }
    }

    fn join(&mut self, join: JoinTerminal) -> Result<Viewing, Refused> {
        if self.is_over {
            return Err(Refused::Over);
        }
        if let Some(former) = join.replaces {
            // It may not be known yet that its connection was lost.
            self.viewer(former, Said::Gone);
        }
        if self.viewers.len() >= VIEWERS {
            return Err(Refused::TooManyViewers { most: VIEWERS });
        }
        let id = self.next_viewer;
        self.next_viewer += 1;
        self.viewers.insert(id, join.size.map(TerminalSize::within_limits));
        let is_free = self.screen.now().typist.is_none();
        if join.typing == Typing::Take || (join.typing == Typing::Free && is_free) {
            self.give_keyboard(id);
        }
        Ok(Viewing { id, screen: Arc::clone(&self.screen) })
    }

    fn viewer(&mut self, id: u64, said: Said) {
        let types = self.screen.now().typist == Some(id);
        match said {
            Said::Keys(keys) if types => {
                // What a terminal answers by itself begins with an escape; anything else is a person, who begins.
                if keys.first().is_some_and(|key| *key != 0x1b) {
                    self.first_words = None;
                }
                self.tool.press(Keys::Type(keys));
            }
            Said::Keys(_) => {}
            Said::Resize(size) => {
                if let Some(known) = self.viewers.get_mut(&id) {
                    *known = Some(size.within_limits());
                }
                if types {
                    self.fit(id);
                }
            }
            Said::Take => self.give_keyboard(id),
            Said::Gone => {
                self.viewers.remove(&id);
                if types {
                    self.screen.set_typist(None);
                }
            }
        }
    }

    fn give_keyboard(&mut self, id: u64) {
        if self.viewers.contains_key(&id) {
            self.screen.set_typist(Some(id));
            self.fit(id);
        }
    }

    /// Gives the terminal the size of a viewer.
    fn fit(&mut self, id: u64) {
        let size = self.viewers.get(&id).copied().flatten();
        if let Some(size) = size.filter(|size| *size != self.screen.now().size) {
            let frames = self.film.resize(size);
            self.write_all(frames);
            self.screen.resize(size);
            self.tool.resize(size);
        }
    }

    fn write_all(&mut self, events: impl IntoIterator<Item = RunEvent>) {
        for event in events {
            self.write(event);
        }
    }

    /// A log that cannot be written ends the run.
    fn write(&mut self, event: RunEvent) {
        if let Err(error) = self.log.append(event) {
            tracing::error!(%error, "the log of a run cannot be written");
            self.failure.get_or_insert(format!("the log of the run cannot be written: {error}"));
            self.is_over = true;
        }
    }

    fn stop(&mut self, by: Option<Steerer>) -> Done {
        if self.requested || self.is_over {
            return Done::Nothing;
        }
        self.requested = true;
        self.write(RunEvent::StopAsked { by });
        self.write(RunEvent::Activity { activity: RunActivity::Stopping });
        self.is_over = true;
        Done::Done
    }
}
