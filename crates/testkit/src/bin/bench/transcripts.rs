//! A transcript of 100 MB: how soon a reader has its end, one line by its number, and a hit of a search.

use std::time::{Duration, Instant};

use chatroom_protocol::Tool;
use chatroom_server::config::Flags;
use chatroom_testkit::fake_daemon::Computer;
use chatroom_testkit::world::{Client, World};
use serde_json::json;

use crate::Transcripts;
use crate::figures::{Table, Times, say};
use crate::server::{Place, Server, free_port};

/// Measures all of it.
pub async fn run(scale: Transcripts) -> anyhow::Result<()> {
    let port = free_port()?;
    let flags = Flags { open_sign_up: Some(true), port: Some(port), ..Flags::default() };
    let world = World::start_with(flags).await;
    let person = world.user("ada").await;
    let laptop = Computer::register(&person, &uuid::Uuid::new_v4().to_string(), "laptop", &[Tool::Claude]).await;
    let room = world.room(&person, &["builder"]).await;
    let id = room.rsplit('/').next().unwrap_or_default().to_owned();
    let config = json!({ "agentType": "claude", "workingDir": "/srv/app" });
    person.put(&format!("{}/agents/{id}/builder", laptop.path()), config).await;
    let mut daemon = laptop.connect(1).await;
    let start = json!({ "type": "start-agent", "chatroomId": id, "role": "builder" });
    person.post(&format!("{}/commands", laptop.path()), start).await;
    let run = daemon.started(&daemon.command(1).await).await;
    let last = daemon.write_much(run, scale.megabytes).await;
    drop(daemon);
    let folder = world.hand_over().await;
    let data = folder.path().join("data");
    let server = Server::start(Place { program: scale.program, data, database: None, port })?;
    let reader = Client::new(server.url(), None).with_token(person.token());
    let path = format!("/api/runs/{run}/transcript");
    let (size, times) = (scale.megabytes, scale.times);
    say(&format!("A transcript of {size} MB, {last} events, SQLite, one reader, {times} times each.\n"))?;
    let mut table = Table::new(["until it is there", "p50", "p99", "slowest"]);
    let mut row = |name: &str, times: Times| {
        let [p50, p99, slowest] = times.cells();
        table.row([name.to_owned(), p50, p99, slowest]);
    };
    let (needle, nowhere) = (format!("{path}/search?text=-{last}"), format!("{path}/search?text=nowhere"));
    row("floor: a request that reads nothing", taken(times, async || text(&reader, "/healthz").await).await?);
    row("the last event, by its number", taken(times, async || by_number(&reader, &path, last).await).await?);
    row("one in the middle, by its number", taken(times, async || by_number(&reader, &path, last / 2).await).await?);
    row("a hit in the last event, by search", taken(times, async || text(&reader, &needle).await).await?);
    row("that a text is nowhere", taken(times, async || text(&reader, &nowhere).await).await?);
    table.print()?;
    Ok(())
}

/// Does something so many times; returns how long each took.
pub async fn taken(times: usize, mut work: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<Times> {
    let mut all: Vec<Duration> = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        work().await?;
        all.push(began.elapsed());
    }
    Ok(Times::new(all))
}

/// Asks for a path.
pub async fn text(reader: &Client, path: &str) -> anyhow::Result<()> {
    let answer = reader.get(path).await;
    anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.raw);
    Ok(())
}

/// Looks up where an event is, and reads on from there as a client does.
pub async fn by_number(reader: &Client, path: &str, event: u64) -> anyhow::Result<()> {
    let index = reader.get(&format!("{path}/index?event={event}")).await;
    let offset = index.body["place"]["offset"].as_str().unwrap_or_default();
    let read = reader.get(&format!("{path}?offset={offset}")).await;
    anyhow::ensure!(read.body[0]["seq"] == event, "event {event} is not there: {}", index.raw);
    Ok(())
}
