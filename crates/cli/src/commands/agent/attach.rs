//! `chatroom agent attach`: this terminal becomes a viewer of the one an agent runs in.
//!
//! A newcomer would get wrong: nothing that happens here ends the agent. A lost
//! connection is joined again where it broke off, and leaving is only leaving.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use chatroom_protocol::api::agents::{AgentView, RunForm};
use chatroom_protocol::api::terminal::{Frame, JoinTerminal, TerminalSays, Typing, ViewerSays};
use chatroom_protocol::{ErrorCode, Role, RunId};
use clap::Args;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Upgraded;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::find;
use crate::client::Client;
use crate::commands::{DONE, InRole};
use crate::screen::{self, Lent};
use crate::shell::Shell;
use crate::{failure, output};

/// Ctrl-], as terminals send it: plainly, or in one of two newer ways some programs ask for.
const DETACH: [&[u8]; 3] = [b"\x1d", b"\x1b[93;5u", b"\x1b[27;5;93~"];
/// How long joining again is tried.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Which agent, and whether to type.
#[derive(Debug, Args)]
pub struct Attach {
    #[command(flatten)]
    place: InRole,
    /// Only watch.
    #[arg(long, conflicts_with = "take")]
    read_only: bool,
    /// Type in the place of whoever does; they go on watching.
    #[arg(long)]
    take: bool,
}

/// How it came to an end.
enum End {
    /// By the person here.
    Detached,
    /// By a signal to this process.
    Signalled(&'static str),
    /// With the agent's program.
    Exited,
}

/// Attaches to an agent.
pub async fn run(verb: &Attach, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let client = Client::person(shell)?;
    let agent = find(&client, room, &role).await?;
    let run = attachable(&agent, &role, room)?;
    if !screen::is_there() {
        bail!("`agent attach` lends your terminal to the agent, so stdin and stdout must be one");
    }
    let typing = match (verb.read_only, verb.take) {
        (true, _) => Typing::Never,
        (_, true) => Typing::Take,
        _ => Typing::Free,
    };
    output::talk(format!("Attaching to `{role}` ({run}). Ctrl-] detaches; the agent goes on."));
    let mut attached = Attached {
        signals: Signals::listen()?,
        keys: screen::keys(),
        lent: None,
        watches: typing == Typing::Never,
        typing,
        at: None,
        drawn: 0,
        viewer: None,
        client,
        run,
    };
    let end = attached.stay().await;
    let types = attached.typing != Typing::Never && !attached.watches;
    // Only now may be talked again.
    drop(attached);
    match end? {
        End::Exited => output::talk(format!("The program of `{role}` ended.")),
        End::Detached => output::talk(format!("Detached from `{role}`; it goes on.")),
        End::Signalled(name) => output::talk(format!("Detached from `{role}` by {name}; it goes on.")),
    }
    if !verb.read_only && !types {
        output::talk(format!(
            "Somebody else typed there. To type yourself: chatroom agent attach --chatroom-id={room} --role={role} --take"
        ));
    }
    Ok(DONE)
}

/// Returns the run one can attach to.
fn attachable(agent: &AgentView, role: &Role, room: chatroom_protocol::RoomId) -> Result<RunId> {
    let live = agent.run.as_ref().filter(|run| run.exited_at.is_none());
    match live {
        Some(run) if run.form == RunForm::Terminal => Ok(run.run_id),
        Some(_) => bail!(
            "`{role}` runs without a terminal; `chatroom agent logs --chatroom-id={room} --role={role} --follow` shows \
             what it does. To run it in one: chatroom agent start --chatroom-id={room} --role={role} --form=terminal, \
             then chatroom agent restart (no_terminal)"
        ),
        None => bail!(
            "`{role}` is not running; start it with: chatroom agent start --chatroom-id={room} --role={role} \
             --form=terminal (not_running)"
        ),
    }
}

struct Attached {
    client: Client,
    run: RunId,
    typing: Typing,
    /// Whether somebody else types, or nobody here wants to.
    watches: bool,
    lent: Option<Lent>,
    /// What is typed here; none once this terminal is gone.
    keys: mpsc::Receiver<Vec<u8>>,
    signals: Signals,
    /// How many bytes of the terminal were shown.
    at: Option<u64>,
    /// The number of this viewer.
    viewer: Option<u64>,
    /// How many of those that come draw the screen, and do not count.
    drawn: u64,
}

impl Attached {
    /// Stays until the person leaves or the program is over, through whatever happens to the connection.
    async fn stay(&mut self) -> Result<End> {
        let mut lost_since: Option<Instant> = None;
        loop {
            let how = JoinTerminal { typing: self.typing, size: screen::size(), from: self.at, replaces: self.viewer };
            let joined = {
                let joining = self.client.terminal(self.run, how);
                tokio::pin!(joining);
                loop {
                    tokio::select! {
                        joined = &mut joining => break joined,
                        left = left(&mut self.signals, &mut self.keys) => {
                            if let Some(end) = left { return Ok(end) }
                        }
                    }
                }
            };
            let why = match joined {
                Ok(socket) => {
                    lost_since = None;
                    if self.lent.is_none() {
                        self.lent = Some(Lent::now()?);
                    }
                    match self.look(socket).await? {
                        ControlFlow::Break(end) => return Ok(end),
                        ControlFlow::Continue(why) => why,
                    }
                }
                Err(error) if self.at.is_some() && error.code() == Some(ErrorCode::NotRunning) => {
                    return Ok(End::Exited);
                }
                Err(error) => {
                    let may_pass = error.is_transient()
                        || error.code() == Some(ErrorCode::MachineOffline)
                        || error.code() == Some(ErrorCode::MachineFailed);
                    let is_early = lost_since.is_none_or(|since| since.elapsed() < PATIENCE);
                    if self.at.is_none() || !may_pass || !is_early {
                        return Err(error.into());
                    }
                    failure::chain(&error.into())
                }
            };
            // Silence: the screen was only too fast for this terminal.
            if self.lent.is_some() && !why.is_empty() && lost_since.is_none() {
                let why = output::one_line(&why);
                screen::show(format!("\r\n\x1b[m[{why}; joining again, Ctrl-] leaves]\r\n").as_bytes())?;
            }
            lost_since.get_or_insert_with(Instant::now);
            let pause = sleep(if why.is_empty() { Duration::ZERO } else { PAUSE });
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    left = left(&mut self.signals, &mut self.keys) => if let Some(end) = left { return Ok(end) },
                }
            }
        }
    }

    /// Shows one connection. Goes on with why it ended.
    async fn look(&mut self, mut socket: WebSocketStream<Upgraded>) -> Result<ControlFlow<End, String>> {
        loop {
            tokio::select! {
                message = socket.next() => {
                    let frame = match message {
                        Some(Ok(Message::Binary(bytes))) => Frame::Bytes(bytes.to_vec()),
                        Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => {
                            return Ok(ControlFlow::Continue("the connection was lost".to_owned()));
                        }
                        // A ping is answered with what is sent or read next.
                        Some(Ok(_)) => {
                            let _ = socket.flush().await;
                            continue;
                        }
                    };
                    if let Some(over) = self.heard(frame)? {
                        return Ok(over);
                    }
                }
                keys = self.keys.recv() => {
                    // A terminal that is gone has no keys any more.
                    let Some(keys) = keys.filter(|keys| !is_detach(keys)) else {
                        let _ = socket.close(None).await;
                        return Ok(ControlFlow::Break(End::Detached));
                    };
                    if !self.watches && socket.send(Message::Binary(keys.into())).await.is_err() {
                        return Ok(ControlFlow::Continue("the connection was lost".to_owned()));
                    }
                }
                told = self.signals.next() => match told {
                    Told::Resized => {
                        if let Some(size) = screen::size() {
                            let says = serde_json::to_string(&ViewerSays::Resize { size })?;
                            // A connection that is lost shows when it is read.
                            let _ = socket.send(Message::Text(says.into())).await;
                        }
                    }
                    Told::Continued => {
                        if let Some(lent) = &self.lent {
                            lent.again()?;
                        }
                        // The shell wrote over the screen meanwhile.
                        self.at = None;
                        let _ = socket.close(None).await;
                        return Ok(ControlFlow::Continue(String::new()));
                    }
                    Told::End(name) => {
                        let _ = socket.close(None).await;
                        return Ok(ControlFlow::Break(End::Signalled(name)));
                    }
                },
            }
        }
    }

    fn heard(&mut self, frame: Frame) -> Result<Option<ControlFlow<End, String>>> {
        match frame {
            Frame::Bytes(bytes) => {
                let drawn = self.drawn.min(bytes.len() as u64);
                self.drawn -= drawn;
                self.at = self.at.map(|at| at + bytes.len() as u64 - drawn);
                if self.lent.is_some() {
                    screen::show(&bytes)?;
                }
                Ok(None)
            }
            Frame::Text(text) => match serde_json::from_str(&text)? {
                TerminalSays::Joined { viewer, typing, at, drawn, .. } => {
                    self.viewer = Some(viewer);
                    (self.watches, self.at, self.drawn) = (!typing, Some(at), drawn);
                    // Whoever took the keyboard once is not to take it again by coming back.
                    if self.typing == Typing::Take {
                        self.typing = Typing::Free;
                    }
                    Ok(None)
                }
                TerminalSays::Changed { typing, .. } => {
                    self.watches = !typing;
                    Ok(None)
                }
                TerminalSays::TooSlow => {
                    self.at = None;
                    Ok(Some(ControlFlow::Continue(String::new())))
                }
                TerminalSays::Exited => Ok(Some(ControlFlow::Break(End::Exited))),
                TerminalSays::Lost { reason } => Ok(Some(ControlFlow::Continue(reason))),
                TerminalSays::Unknown => Ok(None),
            },
        }
    }
}

/// Waits for the person or a signal to leave, while there is no connection. `None`: it was something else.
async fn left(signals: &mut Signals, keys: &mut mpsc::Receiver<Vec<u8>>) -> Option<End> {
    tokio::select! {
        told = signals.next() => match told {
            Told::End(name) => Some(End::Signalled(name)),
            Told::Resized | Told::Continued => None,
        },
        // What is typed meanwhile was not seen by anybody, and is not given to the agent.
        keys = keys.recv() => keys.is_none_or(|keys| is_detach(&keys)).then_some(End::Detached),
    }
}

fn is_detach(keys: &[u8]) -> bool {
    DETACH.iter().any(|key| keys.windows(key.len()).any(|window| window == *key))
}

/// What this process is told.
enum Told {
    Resized,
    Continued,
    End(&'static str),
}

struct Signals {
    resized: Signal,
    continued: Signal,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let continued = SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32);
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            continued: signal(continued)?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.resized.recv() => Told::Resized,
            _ = self.continued.recv() => Told::Continued,
            _ = self.interrupt.recv() => Told::End("Ctrl+C"),
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.hang_up.recv() => Told::End("SIGHUP"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detach_key_is_known_however_it_is_sent() {
        for (keys, leaves) in [
            (&b"\x1d"[..], true),
            (b"text\x1d", true),
            (b"\x1b[93;5u", true),
            (b"\x1b[27;5;93~", true),
            (b"]", false),
            (b"\x1b]0;x\x07", false),
        ] {
            assert_eq!(is_detach(keys), leaves, "{keys:?}");
        }
    }
}
