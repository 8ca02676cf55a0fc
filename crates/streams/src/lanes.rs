//! Threads that serve connections, each its own.
//!
//! A request is read, done and answered where its connection is: no other thread is woken on the way, which costs more
//! than the request itself. So such a thread may also wait for the disk while only one request does.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::http1::{self, Connection, Next};
use crate::router::Service;
use crate::wakes::Wakes;

/// How long the end waits for those who are served.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many reads of one lane may wait for the disk at once.
const READS: usize = 32;

/// All of them.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    next: usize,
}

struct Lane {
    connections: mpsc::UnboundedSender<std::net::TcpStream>,
    thread: JoinHandle<()>,
}

impl Lanes {
    /// Starts one for each core. They end once `ends` says so, or nobody can say so any more.
    pub fn start(service: &Service, ends: &watch::Receiver<bool>) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = (0..count).map(|_| Lane::start(service.clone(), ends.clone())).collect::<io::Result<_>>()?;
        Ok(Self { lanes, next: 0 })
    }

    /// Hands a connection to one of them, in turn.
    pub fn take(&mut self, connection: TcpStream) {
        // A connection that cannot be set up is closed by that.
        let Ok(connection) = connection.into_std() else { return };
        if let Some(lane) = self.lanes.get(self.next) {
            let _ = lane.connections.send(connection);
        }
        self.next = (self.next + 1) % self.lanes.len().max(1);
    }

    /// Waits until all have ended.
    pub async fn end(self) {
        let join = || self.lanes.into_iter().for_each(|lane| drop(lane.thread.join()));
        // One that panicked has said so.
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

impl Lane {
    fn start(service: Service, ends: watch::Receiver<bool>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READS).build()?;
        let (connections, handed) = mpsc::unbounded_channel();
        let work = move || {
            runtime.block_on(serve_all(service, handed, ends));
            runtime.shutdown_background();
        };
        let thread = Builder::new().name("streams-lane".into()).spawn(work)?;
        Ok(Self { connections, thread })
    }
}

/// Serves what is handed over until the end.
async fn serve_all(
    service: Service,
    mut handed: mpsc::UnboundedReceiver<std::net::TcpStream>,
    ends: watch::Receiver<bool>,
) {
    let mut served = Served { service, ends: ends.clone(), wakes: Wakes::here(), tasks: JoinSet::new() };
    let wakes = served.wakes.clone();
    let serve = async {
        let mut end = pin!(http1::until(ends));
        loop {
            tokio::select! {
                Some(connection) = handed.recv() => {
                    if let Ok(connection) = TcpStream::from_std(connection) {
                        served.go_on(Next::Requests(Connection::new(connection)));
                    }
                }
                Some(done) = served.tasks.join_next() => served.go_on(done.unwrap_or(Next::Closed)),
                () = &mut end => break,
            }
        }
        let rest = async {
            while let Some(done) = served.tasks.join_next().await {
                served.go_on(done.unwrap_or(Next::Closed));
            }
        };
        // A reader whose connection takes nothing is not waited for.
        let _ = tokio::time::timeout(PATIENCE, rest).await;
    };
    tokio::select! {
        never = wakes.pass_on() => match never {},
        () = serve => {}
    }
}

/// The connections of a lane.
struct Served {
    service: Service,
    ends: watch::Receiver<bool>,
    wakes: Arc<Wakes>,
    tasks: JoinSet<Next>,
}

impl Served {
    /// Does what comes next for a connection, each as a task of its own: one that waits is as small as what it waits for.
    fn go_on(&mut self, next: Next) {
        let (service, ends, wakes) = (self.service.clone(), self.ends.clone(), self.wakes.clone());
        match next {
            Next::Closed => return,
            Next::Requests(connection) => self.tasks.spawn(wakes.gather(http1::requests(connection, service, ends))),
            Next::Follow(connection, following) => self.tasks.spawn(wakes.gather(http1::follow(connection, following))),
            Next::Http2(connection) => self.tasks.spawn(wakes.gather(http1::http2(connection, service, ends))),
        };
    }
}
