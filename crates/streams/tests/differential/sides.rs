//! Both servers, each with a folder of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chatroom_streams::router::RouterOptions;
use chatroom_streams::{Engine, Options};
use tempfile::TempDir;

use crate::story::{Request, Story};
use crate::wire::{self, Answer};

/// How long a long poll waits, in milliseconds.
const LONG_POLL: u64 = 300;

/// Theirs, then ours.
pub struct Sides {
    addresses: [SocketAddr; 2],
    theirs: Child,
    /// Ends ours.
    _runtime: tokio::runtime::Runtime,
    _folders: [TempDir; 2],
}

impl Sides {
    pub fn start() -> Self {
        let program = std::env::var_os("OPPONENT").expect("OPPONENT names the server of the protocol's authors");
        let folders = [0, 1].map(|_| tempfile::tempdir().expect("a folder"));
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--durability", "wal", "--port", &free.port().to_string()]);
        command
            .args(["--long-poll-timeout-ms", &LONG_POLL.to_string(), "--data-dir"])
            .arg(folders[0].path().join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let theirs = command.spawn().expect("their server runs");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(free).is_err() {
            assert!(Instant::now() < until, "their server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options = Options { callers_write: true, ..Options::default() };
        let engine = Engine::start(folders[1].path(), options).expect("an engine");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let ours = listener.local_addr().expect("an address");
        let long_poll = Duration::from_millis(LONG_POLL);
        let options = RouterOptions { cors: true, long_poll, ..RouterOptions::default() };
        runtime.spawn(chatroom_streams::serve(listener, engine, options, std::future::pending()));
        Self { addresses: [free, ours], theirs, _runtime: runtime, _folders: folders }
    }

    /// Asks both the same.
    pub fn ask(&self, request: &Request, story: &Story) -> [Answer; 2] {
        [0, 1].map(|side| wire::ask(self.addresses[side], &request.spelled(side, story), request))
    }
}

impl Drop for Sides {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.theirs.kill();
        let _ = self.theirs.wait();
    }
}
