//! Threads that serve connections, each its own.
//!
//! A request is read, done and answered where its connection is: no other thread is woken on the way, which costs more
//! than the request itself. So such a thread may also wait for the disk while only one request does.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::http1::{self, Connection, Next};
use crate::router::Service;
use crate::wakes::Wakes;

/// How long the end waits for those who are served.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many reads of one lane may wait for the disk at once.
const READS: usize = 32;
/// How long nobody is let in when there is no room for another connection.
const REST: Duration = Duration::from_millis(200);

/// All of them.
pub(crate) struct Lanes(Vec<JoinHandle<()>>);

/// Takes connections to a lane.
type Hand = mpsc::UnboundedSender<std::net::TcpStream>;
/// What it takes.
type Handed = mpsc::UnboundedReceiver<std::net::TcpStream>;

impl Lanes {
    /// Starts one for each core; the first lets connections in for all. They end once `ends` says so, or nobody can say so
    /// any more.
    pub fn start(listener: TcpListener, service: &Service, ends: &watch::Receiver<bool>) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let (lanes, handed): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let mut door = Some((listener.into_std()?, lanes));
        let start = |handed| start(service.clone(), handed, door.take(), ends.clone());
        Ok(Self(handed.into_iter().map(start).collect::<io::Result<_>>()?))
    }

    /// Waits until all have ended.
    pub async fn end(self) {
        let join = || self.0.into_iter().for_each(|lane| drop(lane.join()));
        // One that panicked has said so.
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

fn start(
    service: Service,
    handed: Handed,
    door: Option<(std::net::TcpListener, Vec<Hand>)>,
    ends: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READS).build()?;
    let inside = runtime.enter();
    let open = |(listener, lanes)| io::Result::Ok(Door { listener: TcpListener::from_std(listener)?, lanes });
    let door = door.map(open).transpose()?;
    drop(inside);
    let work = move || {
        runtime.block_on(serve_all(service, handed, door, ends));
        runtime.shutdown_background();
    };
    Builder::new().name("streams-lane".into()).spawn(work)
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    lanes: Vec<Hand>,
}

impl Door {
    /// Lets connections in until the end.
    async fn let_in(self, ends: watch::Receiver<bool>) -> Next {
        tokio::select! {
            () = self.hand_out() => {}
            () = http1::until(ends) => {}
        }
        Next::Closed
    }

    /// Hands each connection to a lane, in turn.
    async fn hand_out(&self) {
        for lane in self.lanes.iter().cycle() {
            let connection = loop {
                match self.listener.accept().await {
                    Ok((connection, _)) => break connection,
                    Err(error) => tracing::warn!(%error, "a connection cannot be accepted"),
                }
                tokio::time::sleep(REST).await;
            };
            // A connection that cannot be set up is closed by that.
            if let Ok(connection) = connection.into_std() {
                let _ = lane.send(connection);
            }
        }
    }
}

/// Serves what is handed over until the end.
async fn serve_all(service: Service, mut handed: Handed, door: Option<Door>, ends: watch::Receiver<bool>) {
    let mut served = Served { service, ends: ends.clone(), wakes: Wakes::here(), tasks: JoinSet::new() };
    let wakes = served.wakes.clone();
    if let Some(door) = door {
        served.tasks.spawn(door.let_in(ends.clone()));
    }
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
