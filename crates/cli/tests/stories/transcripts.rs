//! A transcript of 100 MB on a real server: what it costs to read it.

use chatroom_protocol::{RunId, Tool};
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon};
use chatroom_testkit::world::{Answer, Client};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::desk::{Desk, Running};
use crate::trouble::Visitor;
use crate::up::free_port;

const LAPTOP: &str = "8f14e45f-ceea-467f-a0e6-3f1c9d1f0a07";
/// How much more memory the server may have while all of it is read: pages under way, not the whole.
const MORE: u64 = 48 << 20;

/// How much memory a process has, in bytes.
fn memory(running: &Running) -> u64 {
    let about = std::fs::read_to_string(format!("/proc/{}/statm", running.pid())).expect("about the process");
    about.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("its pages") * 4096
}

/// Starts an agent of a laptop that is connected; returns the laptop, the run and whoever may read it.
async fn run(ada: &Visitor) -> (FakeDaemon, RunId, Client) {
    let started = ada.send(Method::POST, "/api/auth/device", json!({ "device": "desk", "version": "0.1.0" })).await;
    let decide = format!("/api/auth/device/{}", started.text("userCode"));
    ada.send(Method::POST, &decide, json!({ "decision": "allow" })).await;
    let poll = json!({ "deviceCode": started.text("deviceCode") });
    let signed_in = ada.client.post("/api/auth/device/token", poll).await;
    let person = ada.client.with_token(signed_in.text("token"));
    let laptop = Computer::register(&person, LAPTOP, "laptop", &[Tool::Claude]).await;
    let room = person.post("/api/chatrooms", json!({ "name": "long", "roles": ["builder"] })).await;
    let room = room.text("chatroomId").to_owned();
    let config = json!({ "agentType": "claude", "workingDir": "/srv/app" });
    let saved = person.put(&format!("{}/agents/{room}/builder", laptop.path()), config).await;
    assert_eq!(saved.status, 200, "{}", saved.raw);
    let mut daemon = laptop.connect(1).await;
    let start = json!({ "type": "start-agent", "chatroomId": room, "role": "builder" });
    let sent = person.post(&format!("{}/commands", laptop.path()), start).await;
    assert_eq!(sent.status, 201, "{}", sent.raw);
    let run = daemon.started(&daemon.command(1).await).await;
    (daemon, run, person)
}

async fn read(person: &Client, path: &str) -> Answer {
    let answer = person.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.raw);
    answer
}

#[tokio::test]
async fn a_long_transcript_is_read_without_holding_it_in_memory() {
    let (desk, port) = (Desk::new(), free_port());
    let running = desk.start(&format!("server --port {port}"));
    let ada = Visitor::arrive(&running, port).await;
    let (daemon, run, person) = run(&ada).await;
    let last = daemon.write_much(run, 101).await;
    let path = format!("/api/runs/{run}/transcript");
    // What writing and a first read need is there from then on.
    read(&person, &path).await;
    let before = memory(&running);
    let (mut offset, mut bytes, mut most) = ("-1".to_owned(), 0, 0);
    loop {
        let page = read(&person, &format!("{path}?offset={offset}")).await;
        page.header("stream-next-offset").clone_into(&mut offset);
        bytes += page.raw.len();
        most = most.max(memory(&running));
        if page.header("stream-up-to-date") == "true" {
            break;
        }
    }
    assert!(bytes > 100_000_000, "{bytes}");
    let index = read(&person, &format!("{path}/index?event={last}")).await;
    assert_eq!(index.body["lastEvent"], last);
    let tail =
        read(&person, &format!("{path}?offset={}", index.body["place"]["offset"].as_str().expect("a place"))).await;
    assert_eq!(tail.body.as_array().map(Vec::len), Some(1), "the last event alone");
    let found = read(&person, &format!("{path}/search?text=-{last}")).await;
    assert_eq!(found.body["hits"][0]["event"], last);
    most = most.max(memory(&running));
    // A live reader is sent all of it as well.
    let mut stream = person.request(Method::GET, &format!("{path}?offset=-1&live=sse")).send().await.expect("a stream");
    let mut streamed = 0;
    while streamed < bytes {
        streamed += stream.chunk().await.expect("a piece").expect("more").len();
        most = most.max(memory(&running));
    }
    assert!(most < before + MORE, "{} MiB more", most.saturating_sub(before) >> 20);
    drop(stream);
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}
