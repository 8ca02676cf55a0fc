//! One viewer of a run's terminal: a connection that turned from questions to frames.
//!
//! It reads the screen by itself, so a viewer who stands still holds up nothing
//! but its own connection. One that falls behind what is kept is told so and ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::api::terminal::{
    Frame, Frames, JoinTerminal, MAX_FRAME, TerminalSays, TerminalSize, ViewerSays,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::screen::{News, Screen};
use crate::supervisor::daemons::Request;

/// How long a viewer may take nothing.
const STALLED: Duration = Duration::from_secs(30);

/// A viewer that was let in.
pub struct Viewing {
    /// Its number, which no other of the run ever has.
    pub id: u64,
    /// What it sees.
    pub screen: Arc<Screen>,
}

/// What a viewer does.
#[derive(Debug)]
pub enum Said {
    /// It types this.
    Keys(Vec<u8>),
    /// It is of this size now.
    Resize(TerminalSize),
    /// It wants to type.
    Take,
    /// It is gone.
    Gone,
}

/// Serves a viewer until it, or the run, is gone.
pub async fn serve(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    viewing: Viewing,
    join: JoinTerminal,
    requests: &mpsc::Sender<Request>,
) {
    let Viewing { id, screen } = viewing;
    // A broken connection ends both ways, whichever notices.
    tokio::select! {
        _ = hear(reader, id, requests) => {}
        _ = tell(writer, id, &screen, join) => {}
    }
    // Nobody listens once the run is over.
    let _ = requests.send(Request::Viewer { id, said: Said::Gone }).await;
}

async fn hear(reader: &mut (impl AsyncRead + Unpin), id: u64, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        while let Some(frame) = frames.take().map_err(io::Error::other)? {
            let said = match frame {
                Frame::Bytes(bytes) => Said::Keys(bytes),
                Frame::Text(text) => match serde_json::from_str(&text)? {
                    ViewerSays::Resize { size } => Said::Resize(size),
                    ViewerSays::Take => Said::Take,
                    ViewerSays::Unknown => continue,
                },
            };
            requests.send(Request::Viewer { id, said }).await.map_err(io::Error::other)?;
        }
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        frames.push(&buffer[..count]);
    }
}

async fn tell(writer: &mut (impl AsyncWrite + Unpin), id: u64, screen: &Screen, join: JoinTerminal) -> io::Result<()> {
    let mut news = screen.watch();
    let (mut at, drawn) = match join.from.filter(|from| screen.after(*from, 0).is_some()) {
        Some(from) => (from, Vec::new()),
        None => screen.drawn(),
    };
    let told = |news: News| (news.typist == Some(id), news.typist.is_some(), news.size);
    let first = *news.borrow_and_update();
    let mut last = told(first);
    let joined = TerminalSays::Joined { viewer: id, typing: last.0, size: first.size, at, drawn: drawn.len() as u64 };
    send(writer, &Frame::says(&joined)).await?;
    for piece in drawn.chunks(MAX_FRAME) {
        send(writer, &Frame::Bytes(piece.to_vec())).await?;
    }
    loop {
        let now = *news.borrow_and_update();
        if told(now) != last {
            last = told(now);
            let (typing, typed, size) = last;
            send(writer, &Frame::says(&TerminalSays::Changed { typing, typed, size })).await?;
        }
        match screen.after(at, MAX_FRAME) {
            None => return send(writer, &Frame::says(&TerminalSays::TooSlow)).await,
            Some(bytes) if !bytes.is_empty() => {
                at += bytes.len() as u64;
                send(writer, &Frame::Bytes(bytes)).await?;
            }
            Some(_) if now.is_over => return send(writer, &Frame::says(&TerminalSays::Exited)).await,
            Some(_) => news.changed().await.map_err(io::Error::other)?,
        }
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    timeout(STALLED, writer.write_all(&frame.encode())).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}
