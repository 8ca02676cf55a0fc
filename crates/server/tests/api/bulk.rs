//! What is big or slow beside what is small: two connections, and a budget.

use std::time::{Duration, Instant};

use chatroom_server::machines::call::Peer;
use chatroom_server::machines::lease;
use chatroom_testkit::fake_daemon::{FakeDaemon, Manner};
use chatroom_tunnel::{DialError, Form, dial};
use futures_util::future::join_all;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::stage::Stage;

/// How many logs of one machine are read at once at most.
const READERS: usize = 64;

/// A machine with a run whose log never ends, and where the log is.
async fn endless(stage: &Stage, manner: Manner) -> (FakeDaemon, String) {
    let mut daemon = stage.connect_with(1, Manner { endless_logs: true, ..manner }).await;
    stage.command("start-agent").await;
    let run = daemon.started(&daemon.command(1).await).await;
    (daemon, format!("{}/runs/{run}/transcript?offset=-1&live=sse", stage.laptop.path()))
}

/// Opens a log.
async fn read(stage: &Stage, path: &str) -> reqwest::Response {
    stage.alice.request(reqwest::Method::GET, path).send().await.unwrap()
}

/// Opens a log and reads nothing of it but the status.
async fn stall(stage: &Stage, path: &str) -> (TcpStream, StatusCode) {
    let socket = TcpSocket::new_v4().unwrap();
    // Else the system itself takes megabytes for a reader.
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let address = stage.world.running().addr;
    let mut socket = socket.connect(address).await.unwrap();
    let token = stage.alice.token();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    (socket, StatusCode::from_bytes(&status[9..]).unwrap())
}

/// Waits until nothing more is taken from the daemon.
async fn stalled(daemon: &FakeDaemon) {
    let stands = async {
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let taken = daemon.heard().log_pieces;
            if taken == last {
                return;
            }
            last = taken;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), stands).await.expect("the readers do not stall");
}

/// Pings a hundred times and returns the time only one of them took longer than.
async fn p99(stage: &Stage) -> Duration {
    let link = stage.world.app().links.get(&stage.laptop.id).unwrap();
    let peer = Peer { link, token: stage.laptop.platform_token.clone() };
    let mut took = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        lease::ping(&peer).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[98]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_readers_never_delay_a_ping() {
    let stage = Stage::set().await;
    let (daemon, log) = endless(&stage, Manner::default()).await;
    let before = p99(&stage).await;
    let readers = join_all((0..READERS).map(|_| stall(&stage, &log))).await;
    assert!(readers.iter().all(|(_, status)| *status == StatusCode::OK));
    assert_eq!(daemon.heard().links, 1, "one connection serves them all");
    stalled(&daemon).await;
    let beside = p99(&stage).await;
    assert!(beside < before * 10 + Duration::from_millis(250), "{before:?} became {beside:?}");

    let more = read(&stage, &log).await;
    assert_eq!(more.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(more.text().await.unwrap().contains("close some"));
    drop(readers);
    let freed = async {
        while read(&stage, &log).await.status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("a reader that leaves makes room");
}

#[tokio::test]
async fn a_credential_that_ends_closes_both_connections_mid_request() {
    let stage = Stage::set().await;
    let (mut daemon, log) = endless(&stage, Manner::default()).await;
    let mut reader = read(&stage, &log).await;
    assert!(reader.chunk().await.unwrap().is_some());
    let begun = Instant::now();
    let issued = stage.alice.post(&format!("{}/credential", stage.laptop.path()), serde_json::json!({})).await;
    assert_eq!(issued.status, 200, "{}", issued.raw);
    daemon.ended().await;
    let read = async { while let Ok(Some(_)) = reader.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(5), read).await.expect("the log goes on");
    assert!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_further_tunnel_is_only_for_who_was_asked() {
    let stage = Stage::set().await;
    let _daemon = stage.connect().await;
    let mut target = stage.laptop.target(1, 1);
    target.headers.insert("chatroom-ticket", "guessed".parse().unwrap());
    match dial(&target).await {
        Err(DialError::Refused { status, .. }) => assert_eq!(status, StatusCode::FORBIDDEN),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a tunnel was opened"),
    }
    stage.online(true).await;
}

#[tokio::test]
async fn a_daemon_of_the_version_before_shows_logs_over_its_one_connection() {
    let stage = Stage::set().await;
    let (daemon, log) = endless(&stage, Manner { one_connection: true, ..Manner::default() }).await;
    let mut reader = read(&stage, &log).await;
    assert!(reader.chunk().await.unwrap().is_some());
    assert_eq!(daemon.heard().links, 0);
}

#[tokio::test]
async fn a_tunnel_comes_up_over_a_websocket_too_and_pages_of_others_get_none() {
    let stage = Stage::set().await;
    let mut target = stage.laptop.target(1, 1);
    target.form = Form::WebSocket;
    let conn = dial(&target).await.map_err(|error| error.to_string()).unwrap();
    assert_eq!(conn.form(), Form::WebSocket);

    for (name, value) in [("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")] {
        let mut target = stage.laptop.target(1, 1);
        target.form = Form::WebSocket;
        target.headers.insert(name, value.parse().unwrap());
        match dial(&target).await {
            Err(DialError::Refused { status, .. }) => assert_eq!(status, StatusCode::FORBIDDEN, "{name}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{name}: a tunnel was opened"),
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_its_machines() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.world.app().stopping.cancel();
    daemon.ended().await;
    assert_eq!(daemon.heard().farewells, 1);
}
