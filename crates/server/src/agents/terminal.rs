//! The terminal of a run, through its machine's tunnel.
//!
//! One request carries it: what a viewer types is its body, what the terminal
//! shows is the answer's. It lives in memory alone; whoever lost it joins again.

use axum::body::{Body, BodyDataStream, Bytes};
use chatroom_domain::agents::Run;
use chatroom_protocol::api::terminal::{Frame, Frames, JoinTerminal, TerminalSays};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::app::App;
use crate::error::{AgentError, Error};
use crate::machines::bulk::{self, Place};
use crate::rooms;

/// How many messages of a viewer may be under way.
const UNDER_WAY: usize = 16;

/// One viewer of a run.
pub struct Viewer {
    /// What comes.
    pub shown: Shown,
    /// What goes.
    pub typed: Typed,
}

/// What the terminal says.
pub struct Shown {
    body: BodyDataStream,
    frames: Frames,
    /// Whether its last word was said.
    said_all: bool,
    _place: Place,
}

/// What the viewer says.
pub struct Typed(mpsc::Sender<Bytes>);

/// What came from a terminal.
#[derive(Debug)]
pub enum Heard {
    /// Something.
    Frame(Frame),
    /// Nothing comes any more.
    End {
        /// Whether the run said so itself.
        said_all: bool,
    },
}

/// Joins the terminal of a live run.
pub async fn join(app: &App, run: &Run, how: JoinTerminal) -> Result<Viewer, Error> {
    let (peer, place) = bulk::peer(app, run.machine).await?;
    let path = format!("/agents/{}/terminal?{}", run.id, how.query());
    let (send, receive) = mpsc::channel(UNDER_WAY);
    let body = stream::unfold(receive, async |mut receive: mpsc::Receiver<Bytes>| {
        receive.recv().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), receive))
    });
    let answer = peer.exchange(&path, Body::from_stream(body)).await?;
    let shown = Shown {
        body: answer.into_body().into_data_stream(),
        frames: Frames::default(),
        said_all: false,
        _place: place,
    };
    note(app, run).await?;
    Ok(Viewer { shown, typed: Typed(send) })
}

/// Writes down that somebody looks: what is typed there is nobody's record.
async fn note(app: &App, run: &Run) -> Result<(), Error> {
    let mut work = app.begin().await?;
    let room = rooms::of(&work.tx, run.room).await?;
    super::tell_by(&mut work, run.user, &room, &run.role, "agent.attached", None).await?;
    work.commit().await
}

impl Shown {
    /// Returns the next thing the terminal says. May be dropped half-way.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.frames.take() {
                Ok(Some(frame)) => {
                    self.said_all |= is_last(&frame);
                    return Heard::Frame(frame);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a machine broke off a terminal");
                    return Heard::End { said_all: false };
                }
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.frames.push(&piece),
                Some(Err(_)) | None => return Heard::End { said_all: self.said_all },
            }
        }
    }
}

impl Typed {
    /// Passes a message on.
    pub async fn send(&self, frame: &Frame) -> Result<(), AgentError> {
        self.0.send(frame.encode().into()).await.map_err(|_| AgentError::NotRunning)
    }
}

fn is_last(frame: &Frame) -> bool {
    let Frame::Text(text) = frame else { return false };
    matches!(serde_json::from_str(text), Ok(TerminalSays::Exited | TerminalSays::TooSlow))
}
