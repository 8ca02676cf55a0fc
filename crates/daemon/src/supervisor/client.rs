//! The daemon's end of a supervisor.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::api::agents::PermissionScope;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{PromptFrom, Steerer};
use chatroom_protocol::api::terminal::JoinTerminal;
use chatroom_protocol::{PermissionId, PromptId};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::event::{RunEvent, Sequenced};
use super::lines::{Lines, Piece};
use super::spec::RunSpec;
use super::wire::{Ask, Done, Hello, Line, MAX_LINE, Question, Refused};
use super::{SUPERVISE, socket};
use crate::process::ProcessId;

/// How long a new supervisor may take to answer.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take. Only `go` does real work before it answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why a supervisor could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("cannot start the run's supervisor: {0}")]
    Spawn(#[source] io::Error),
    /// It ended before it answered.
    #[error("the run's supervisor ended at once ({status}): {log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of what it wrote to its log.
        log: String,
    },
    /// It did not answer in time.
    #[error("the run's supervisor did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It is gone, or a newer attachment took its place.
    #[error("the connection to the run's supervisor is closed")]
    Closed,
    /// It refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its socket or folder could not be used.
    #[error("cannot talk to the run's supervisor: {0}")]
    Io(#[from] io::Error),
}

/// A supervisor this daemon is attached to.
#[derive(Debug)]
pub struct Supervised {
    control: Control,
    events: Events,
    child: Option<Child>,
}

/// What can be asked of a supervisor; cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    id: ProcessId,
    last_seq: u64,
    shared: Arc<Shared>,
}

/// What happens in the run.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Sequenced<RunEvent>>);

#[derive(Debug)]
struct Shared {
    writer: Mutex<Writer>,
    waiting: Arc<Waiting>,
}

#[derive(Debug)]
struct Writer {
    half: OwnedWriteHalf,
    next_id: u64,
}

type Answer = Result<Done, Refused>;

/// Questions without an answer yet; `None` once the connection is closed.
#[derive(Debug)]
struct Waiting(std::sync::Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl Waiting {
    fn add(&self, id: u64) -> Option<oneshot::Receiver<Answer>> {
        let (send, receive) = oneshot::channel();
        self.0.lock().ok()?.as_mut()?.insert(id, send);
        Some(receive)
    }

    fn answer(&self, id: u64, answer: Answer) {
        let asked = self.0.lock().ok().and_then(|mut open| open.as_mut()?.remove(&id));
        if let Some(asked) = asked {
            // Nobody listens any more when the question timed out.
            let _ = asked.send(answer);
        }
    }

    fn close(&self) {
        if let Ok(mut open) = self.0.lock() {
            *open = None;
        }
    }
}

/// Starts a supervisor (`EXE supervise RUN_DIR`) and waits until it answers. It executes nothing before [`Control::go`].
pub async fn spawn(exe: &Path, run_dir: &Path) -> Result<Supervised, Error> {
    let log_path = run_dir.join(socket::LOG);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&log_path)?;
    let mut command = Command::new(exe);
    command.arg(SUPERVISE).arg(run_dir).current_dir(run_dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // The mark belongs on the tool's tree only: a supervisor that carried one would end itself.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHATROOM_") {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().map_err(Error::Spawn)?;
    let until = Instant::now() + HELLO_WITHIN;
    loop {
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            let from = log.len().saturating_sub(2_000);
            let log = log.get(from..).unwrap_or(&log).trim().to_owned();
            return Err(Error::Ended { status, log });
        }
        match connect(run_dir, None, 0).await {
            Ok(Some((control, events))) => {
                return Ok(Supervised { control, events, child: Some(child) });
            }
            Ok(None) if Instant::now() < until => sleep(Duration::from_millis(10)).await,
            Ok(None) => {
                child.kill().await?;
                return Err(Error::Silent(HELLO_WITHIN));
            }
            Err(error) => {
                child.kill().await?;
                return Err(error);
            }
        }
    }
}

/// Attaches to the supervisor of a run that was started earlier, and gets every event after `after_seq`.
///
/// `None`: it is not alive, or what lives there is not `expected`.
pub async fn attach(run_dir: &Path, expected: ProcessId, after_seq: u64) -> Result<Option<Supervised>, Error> {
    if !expected.is_alive() {
        return Ok(None);
    }
    let connected = connect(run_dir, Some(expected), after_seq).await?;
    Ok(connected.map(|(control, events)| Supervised { control, events, child: None }))
}

/// A viewer's way to a run's terminal: frames both ways.
#[derive(Debug)]
pub struct Viewer {
    /// What the terminal says.
    pub read: BufReader<OwnedReadHalf>,
    /// What the viewer says.
    pub write: OwnedWriteHalf,
}

/// Joins the terminal of a run. `None`: its supervisor is not alive, or what lives there is not `expected`.
pub async fn view(run_dir: &Path, expected: ProcessId, join: JoinTerminal) -> Result<Option<Viewer>, Error> {
    let Some(Greeted { mut lines, mut half, .. }) = greet(run_dir, Some(expected)).await? else {
        return Ok(None);
    };
    let mut question = serde_json::to_vec(&Question { id: 1, body: Ask::View { join } }).map_err(io::Error::other)?;
    question.push(b'\n');
    half.write_all(&question).await.map_err(|_| Error::Closed)?;
    let line = match timeout(ANSWER_WITHIN, lines.next()).await {
        Err(_) => return Err(Error::Silent(ANSWER_WITHIN)),
        Ok(Ok(Some(Piece::Line(line)))) => line,
        Ok(_) => return Err(Error::Closed),
    };
    match serde_json::from_slice(&line).map_err(io::Error::other)? {
        Line::Answer { .. } => Ok(Some(Viewer { read: lines.into_source(), write: half })),
        Line::Refusal { why, .. } => Err(why.into()),
        Line::Event { .. } | Line::Unknown => Err(Error::Closed),
    }
}

/// A supervisor that said who it is.
struct Greeted {
    id: ProcessId,
    last_seq: u64,
    lines: Lines<BufReader<OwnedReadHalf>>,
    half: OwnedWriteHalf,
}

/// `None`: nobody listens there, or not who was expected.
async fn greet(run_dir: &Path, expected: Option<ProcessId>) -> Result<Option<Greeted>, Error> {
    let Some(path) = socket::find(run_dir) else {
        return Ok(None);
    };
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let peer = stream.peer_cred()?;
    let (read, half) = stream.into_split();
    let mut lines = Lines::new(BufReader::new(read), MAX_LINE);
    let hello = match timeout(HELLO_WITHIN, lines.next()).await {
        Err(_) => return Err(Error::Silent(HELLO_WITHIN)),
        Ok(Ok(Some(Piece::Line(line)))) => serde_json::from_slice::<Hello>(&line).ok(),
        Ok(_) => None,
    };
    let Some(hello) = hello else {
        return Ok(None);
    };
    let id = hello.supervisor;
    // The kernel says whose socket this is; a copied or guessed greeting does not count.
    let is_its_own = peer.pid().is_none_or(|pid| u32::try_from(pid).is_ok_and(|pid| pid == id.pid));
    if !is_its_own || !id.is_alive() || expected.is_some_and(|expected| expected != id) {
        return Ok(None);
    }
    Ok(Some(Greeted { id, last_seq: hello.last_seq, lines, half }))
}

/// `None`: nobody listens there, or not who was expected.
async fn connect(
    run_dir: &Path,
    expected: Option<ProcessId>,
    after_seq: u64,
) -> Result<Option<(Control, Events)>, Error> {
    let Some(Greeted { id, last_seq, lines, half }) = greet(run_dir, expected).await? else {
        return Ok(None);
    };
    let waiting = Arc::new(Waiting(std::sync::Mutex::new(Some(HashMap::new()))));
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(read_lines(lines, send, Arc::clone(&waiting)));
    let writer = Mutex::new(Writer { half, next_id: 1 });
    let control = Control { id, last_seq, shared: Arc::new(Shared { writer, waiting }) };
    control.ask(Ask::Attach { after_seq }).await?;
    Ok(Some((control, Events(receive))))
}

/// Ends with the connection, so nobody has to wait for it.
async fn read_lines(
    mut lines: Lines<BufReader<OwnedReadHalf>>,
    events: mpsc::UnboundedSender<Sequenced<RunEvent>>,
    waiting: Arc<Waiting>,
) {
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = events.closed() => break,
        };
        let Ok(Some(Piece::Line(line))) = line else {
            break;
        };
        match serde_json::from_slice(&line) {
            Ok(Line::Event { event }) => {
                if events.send(event).is_err() {
                    break;
                }
            }
            Ok(Line::Answer { id, done }) => waiting.answer(id, Ok(done)),
            Ok(Line::Refusal { id, why }) => waiting.answer(id, Err(why)),
            Ok(Line::Unknown) => {}
            Err(error) => tracing::warn!(%error, "a supervisor sent a line that cannot be read"),
        }
    }
    waiting.close();
}

impl Supervised {
    /// Returns who the supervisor is.
    pub fn id(&self) -> ProcessId {
        self.control.id
    }

    /// Returns a handle for asking, which can be kept apart from the events.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Takes the two halves apart. The child, if this daemon started it, must be waited for.
    pub fn split(self) -> (Control, Events, Option<Child>) {
        (self.control, self.events, self.child)
    }

    /// Returns the next event; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Sequenced<RunEvent>> {
        self.events.next().await
    }

    /// See [`Control::go`].
    pub async fn go(&self, spec: RunSpec) -> Result<(), Error> {
        self.control.go(spec).await
    }

    /// See [`Control::prompt`]; nobody is named.
    pub async fn prompt(&self, prompt_id: PromptId, text: impl Into<String>) -> Result<Done, Error> {
        self.control.prompt(prompt_id, text, None).await
    }

    /// See [`Control::interrupt`]; nobody is named.
    pub async fn interrupt(&self) -> Result<Done, Error> {
        self.control.interrupt(None).await
    }

    /// See [`Control::decide`]; it holds once, and nobody is named.
    pub async fn decide(&self, permission_id: PermissionId, decision: Decision) -> Result<(), Error> {
        self.control.decide(permission_id, decision, PermissionScope::Once, None).await
    }

    /// See [`Control::stop`]; nobody is named.
    pub async fn stop(&self) -> Result<Done, Error> {
        self.control.stop(None).await
    }
}

impl Events {
    /// Returns the next event; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Sequenced<RunEvent>> {
        self.0.recv().await
    }
}

impl Control {
    /// Returns who the supervisor is.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Returns the number of the last event at the time of this attachment.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Executes the tool. To be called once the supervisor's id is in the journal.
    ///
    /// Refused with [`Refused::CannotStart`]: nothing was executed, and the supervisor leaves.
    pub async fn go(&self, spec: RunSpec) -> Result<(), Error> {
        self.ask(Ask::Go { spec: Box::new(spec) }).await.map(drop)
    }

    /// Gives a prompt to the tool. One that was given before is not given again ([`Done::Nothing`]).
    ///
    /// Refused with [`Refused::Busy`] while the tool starts or is in a turn: the queue is the daemon's.
    pub async fn prompt(
        &self,
        prompt_id: PromptId,
        text: impl Into<String>,
        from: Option<PromptFrom>,
    ) -> Result<Done, Error> {
        self.ask(Ask::Prompt { prompt_id, text: text.into(), from }).await
    }

    /// Ends the turn, if there is one ([`Done::Nothing`] otherwise). That it ended comes as an event.
    pub async fn interrupt(&self, by: Option<Steerer>) -> Result<Done, Error> {
        self.ask(Ask::Interrupt { by }).await
    }

    /// Answers a question of the tool. The caller has compared the digest.
    pub async fn decide(
        &self,
        permission_id: PermissionId,
        decision: Decision,
        scope: PermissionScope,
        by: Option<Steerer>,
    ) -> Result<(), Error> {
        self.ask(Ask::Decide { permission_id, decision, scope, by }).await.map(drop)
    }

    /// Ends the run: answered at once, done when [`RunEvent::Exited`] comes. [`Done::Nothing`]: it is ending already.
    pub async fn stop(&self, by: Option<Steerer>) -> Result<Done, Error> {
        self.ask(Ask::Stop { by }).await
    }

    async fn ask(&self, body: Ask) -> Result<Done, Error> {
        let answer = {
            let mut writer = self.shared.writer.lock().await;
            let id = writer.next_id;
            writer.next_id += 1;
            let answer = self.shared.waiting.add(id).ok_or(Error::Closed)?;
            let mut line = serde_json::to_vec(&Question { id, body }).map_err(io::Error::other)?;
            line.push(b'\n');
            writer.half.write_all(&line).await.map_err(|_| Error::Closed)?;
            answer
        };
        match timeout(ANSWER_WITHIN, answer).await {
            Err(_) => Err(Error::Silent(ANSWER_WITHIN)),
            Ok(Err(_)) => Err(Error::Closed),
            Ok(Ok(answer)) => Ok(answer?),
        }
    }
}
