//! The daemons that come and go: the supervisor's end of its socket.
//!
//! Each connection is a task of its own, which reads the log by itself: a daemon
//! that stands still holds up nothing but its own connection.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chatroom_protocol::api::terminal::JoinTerminal;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::lines::{Lines, Piece};
use super::log::Tail;
use super::terminal::{Said, Viewing, view};
use super::wire::{Ask, Done, Hello, Line, MAX_LINE, Question, Refused};
use crate::process::ProcessId;

/// Something a daemon wants, and where its answer goes.
pub enum Request {
    /// A question.
    Ask {
        /// What.
        ask: Ask,
        /// The answer's way.
        answer: oneshot::Sender<Result<Done, Refused>>,
    },
    /// Somebody wants to look at the terminal.
    View {
        /// How.
        join: JoinTerminal,
        /// The answer's way.
        answer: oneshot::Sender<Result<Viewing, Refused>>,
    },
    /// A viewer of the terminal does something.
    Viewer {
        /// Which.
        id: u64,
        /// What.
        said: Said,
    },
    /// The attached daemon is gone.
    Gone,
}

/// Everything connected now.
pub struct Daemons {
    id: ProcessId,
    run_dir: PathBuf,
    latest: watch::Receiver<u64>,
    newest: watch::Sender<u64>,
    requests: mpsc::Sender<Request>,
    tasks: JoinSet<()>,
}

impl Daemons {
    /// Begins with none. Their wishes come out of the second value.
    pub fn new(id: ProcessId, run_dir: PathBuf, latest: watch::Receiver<u64>) -> (Self, mpsc::Receiver<Request>) {
        let (requests, receive) = mpsc::channel(16);
        let newest = watch::Sender::new(0);
        (Self { id, run_dir, latest, newest, requests, tasks: JoinSet::new() }, receive)
    }

    /// Serves a new connection.
    pub fn add(&mut self, stream: UnixStream) {
        while self.tasks.try_join_next().is_some() {}
        let (read, write) = stream.into_split();
        let connection = Connection {
            lines: Lines::new(BufReader::new(read), MAX_LINE),
            write,
            run_dir: self.run_dir.clone(),
            latest: self.latest.clone(),
            newest: self.newest.clone(),
            requests: self.requests.clone(),
            tail: None,
            number: Arc::default(),
        };
        let id = self.id;
        self.tasks.spawn(async move {
            let requests = connection.requests.clone();
            if connection.serve(id).await {
                // Nobody listens once the run is over.
                let _ = requests.send(Request::Gone).await;
            }
        });
    }

    /// Waits until each connection has everything that is in the log, once nothing writes it any more.
    pub async fn flush(mut self) {
        drop(self.requests);
        drop(self.latest);
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    run_dir: PathBuf,
    latest: watch::Receiver<u64>,
    newest: watch::Sender<u64>,
    requests: mpsc::Sender<Request>,
    tail: Option<Tail>,
    /// The number of its attachment; 0: not attached.
    number: Arc<AtomicU64>,
}

impl Connection {
    /// Returns whether this was the attached daemon when it ended.
    async fn serve(mut self, id: ProcessId) -> bool {
        let newest = self.newest.subscribe();
        let number = Arc::clone(&self.number);
        // One that is superseded may stand in the middle of a write: it ends there.
        tokio::select! {
            _ = self.talk(id) => {}
            () = superseded(newest, &number) => {}
        }
        number.load(Ordering::Relaxed) == *self.newest.borrow()
    }

    async fn talk(&mut self, id: ProcessId) -> io::Result<()> {
        let last_seq = *self.latest.borrow_and_update();
        let hello = serde_json::to_vec(&Hello { supervisor: id, last_seq })?;
        self.send(hello).await?;
        loop {
            let over = tokio::select! {
                line = self.lines.next() => match line? {
                    Some(Piece::Line(line)) => match self.question(&line).await? {
                        Some((viewing, join)) => {
                            view(self.lines.source(), &mut self.write, viewing, join, &self.requests).await;
                            return Ok(());
                        }
                        None => false,
                    },
                    Some(Piece::Cut(_)) | None => return Ok(()),
                },
                changed = self.latest.changed() => changed.is_err(),
            };
            while let Some(event) = self.tail.as_mut().map_or(Ok(None), Tail::next_line)? {
                // The line in the log is what is sent, so nothing is read and written anew.
                self.send(format!(r#"{{"line":"event","event":{event}}}"#).into_bytes()).await?;
            }
            if over {
                return Ok(());
            }
        }
    }

    /// Answers a question. Returns the viewer this connection turned into, if it did.
    async fn question(&mut self, line: &[u8]) -> io::Result<Option<(Viewing, JoinTerminal)>> {
        let question: Question = serde_json::from_slice(line)?;
        let mut viewer = None;
        let answer = match question.body {
            Ask::View { join } => {
                let (answer, answered) = oneshot::channel();
                let _ = self.requests.send(Request::View { join, answer }).await;
                let viewing = answered.await.unwrap_or(Err(Refused::Over));
                viewing.map(|viewing| {
                    viewer = Some((viewing, join));
                    Done::Done
                })
            }
            Ask::Attach { after_seq } => {
                self.tail = Some(Tail::open(&self.run_dir, after_seq)?);
                self.newest.send_modify(|newest| {
                    *newest += 1;
                    self.number.store(*newest, Ordering::Relaxed);
                });
                Ok(Done::Done)
            }
            ask => {
                let (answer, answered) = oneshot::channel();
                // A run that is over hears nothing any more.
                let _ = self.requests.send(Request::Ask { ask, answer }).await;
                answered.await.unwrap_or(Err(Refused::Over))
            }
        };
        let line = match answer {
            Ok(done) => Line::Answer { id: question.id, done },
            Err(why) => Line::Refusal { id: question.id, why },
        };
        self.send(serde_json::to_vec(&line)?).await?;
        Ok(viewer)
    }

    async fn send(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.write.write_all(&line).await
    }
}

async fn superseded(mut newest: watch::Receiver<u64>, number: &AtomicU64) {
    loop {
        let number = number.load(Ordering::Relaxed);
        if number != 0 && number != *newest.borrow_and_update() {
            return;
        }
        if newest.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
