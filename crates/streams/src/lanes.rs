//! Threads that serve connections, each its own.
//!
//! A request is read, done and answered where its connection is: no other thread is woken on the way, which costs more
//! than the request itself. So such a thread may also wait for the disk while only one request does.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::router::Service;

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
    let mut served = JoinSet::new();
    let mut end = pin!(until(ends.clone()));
    loop {
        tokio::select! {
            Some(connection) = handed.recv() => {
                if let Ok(connection) = TcpStream::from_std(connection) {
                    served.spawn(serve(service.clone(), connection, ends.clone()));
                }
            }
            Some(_) = served.join_next() => {}
            () = &mut end => break,
        }
    }
    // A reader whose connection takes nothing is not waited for.
    let _ = tokio::time::timeout(PATIENCE, served.join_all()).await;
}

async fn serve(service: Service, connection: TcpStream, ends: watch::Receiver<bool>) {
    // An append's answer must not wait for the next one.
    let _ = connection.set_nodelay(true);
    let answer = service_fn(|request: Request<Incoming>| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request.map(Body::new)).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut served = pin!(builder.serve_connection(TokioIo::new(connection), answer));
    tokio::select! {
        // What goes wrong with a connection is its client's to know.
        _ = served.as_mut() => return,
        () = until(ends) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

async fn until(mut ends: watch::Receiver<bool>) {
    // Without a sender there is nobody left to serve for.
    let _ = ends.wait_for(|is_ending| *is_ending).await;
}
