//! The web app in a real browser: how soon it is there, how soon a line is on screen, and long lists and transcripts.

mod browser;
mod events;
mod report;

use std::time::Duration;

use anyhow::Context as _;
use chatroom_protocol::api::auth::SignUp;
use chatroom_protocol::{RunId, Tool};
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon};
use chatroom_testkit::world::{Client, PASSWORD, User};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::browser::Browser;
use self::report::Measured;
use crate::facts;
use crate::figures::{Times, progress, say};
use crate::seed::{Wish, seed};
use crate::server::{Place, Server, free_port};
use crate::transcripts::{by_number, taken, text};
use crate::{Web, figures};

/// Events sent together.
const TOGETHER: u64 = 2000;
/// There before a page is opened that follows what comes.
const BEFORE: u64 = 8;
/// Between two lines an agent writes; no multiple of a frame, so that lines fall anywhere in one.
const BETWEEN: Duration = Duration::from_millis(53);

/// Measures all of it.
pub async fn run(scale: Web) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    facts::print(folder.path())?;
    progress("writing people, machines and rooms");
    let port = free_port()?;
    let wish = Wish { port, database: None, people: 1, real: Vec::new(), others: scale.machines, rooms: scale.rooms };
    let seeded = seed(wish).await?;
    let server = Server::start(Place { program: scale.program.clone(), data: seeded.data(), database: None, port })?;
    let desk = Desk::open(&server, &scale).await?;
    let mut measured = Measured::begin(&scale)?;

    progress("the start page");
    desk.daemon.write_all(desk.live, BEFORE).await;
    let start = Browser::begin("start", &desk.given(desk.live, json!({})))?.only().await?;
    measured.start(&start);
    progress("lines as they are written");
    let (lines, read) = desk.live(scale.lines).await?;
    measured.live(&lines, &read);
    progress("a long transcript");
    desk.daemon.write_all(desk.long, scale.events).await;
    let path = format!("/api/runs/{}/transcript", desk.long);
    let floor = taken(scale.times, async || by_number(&desk.ada, &path, scale.events).await).await?;
    let given = json!({ "last": scale.events, "screens": scale.screens });
    let plain = Browser::begin("plain", &desk.given(desk.long, given.clone()))?.only().await?;
    let long = Browser::begin("long", &desk.given(desk.long, given))?.only().await?;
    measured.long(&long, &floor, &plain);
    progress("many rooms and machines");
    let owner = seeded.people.first().context("nobody")?;
    let rooms = taken(scale.times, async || every_room(owner).await).await?;
    let machines = taken(scale.times, async || text(owner, "/api/machines").await).await?;
    let given = json!({ "url": server.url(), "times": scale.times, "cookie": owner.cookie, "screens": scale.screens });
    let lists = Browser::begin("lists", &given)?.only().await?;
    measured.lists(&lists, [&rooms, &machines]);
    measured.print()?;
    Ok(say(&format!("At the end: {}.\n", facts::load()))?)
}

/// Somebody with a computer, whose agents do as they are told.
struct Desk {
    ada: User,
    times: usize,
    room: String,
    daemon: Daemon,
    /// The run that writes while somebody looks.
    live: RunId,
    /// The run with a long transcript.
    long: RunId,
}

impl Desk {
    async fn open(server: &Server, scale: &Web) -> anyhow::Result<Self> {
        let ada = SignUp {
            email: "ada@example.org".to_owned(),
            name: "ada".to_owned(),
            password: PASSWORD.to_owned(),
            code: None,
        };
        let ada = User::sign_up(server.url(), ada).await;
        let laptop = Computer::register(&ada, &uuid::Uuid::new_v4().to_string(), "laptop", &[Tool::Claude]).await;
        let made = ada.post("/api/chatrooms", json!({ "name": "room", "roles": ["builder", "reviewer"] })).await;
        let room = made.text("chatroomId").to_owned();
        let mut daemon = Daemon(laptop.connect(1).await);
        let live = daemon.start(&ada, &laptop, &room, "builder", 1).await;
        let long = daemon.start(&ada, &laptop, &room, "reviewer", 2).await;
        Ok(Self { ada, times: scale.times, room, daemon, live, long })
    }

    /// Returns what the script is given, for a page of this run.
    fn given(&self, run: RunId, more: Value) -> Value {
        let mut given = json!({
            "url": self.ada.base(), "times": self.times, "cookie": self.ada.cookie, "room": self.room, "run": run,
        });
        if let (Some(given), Value::Object(more)) = (given.as_object_mut(), more) {
            given.extend(more);
        }
        given
    }

    /// Writes lines while a page is open; returns when they were on it, and when a plain reader had them.
    async fn live(&self, lines: u32) -> anyhow::Result<(Vec<report::Line>, Times)> {
        let mut page = Browser::begin("live", &self.given(self.live, json!({ "lines": lines })))?;
        let reader = read(&self.ada, self.live, lines).await?;
        let _: String = page.next().await?;
        let mut due = tokio::time::interval(BETWEEN);
        for number in 1..=u64::from(lines) {
            due.tick().await;
            let text = format!("line {number}, written at {:.3};", now());
            self.daemon.0.write(self.live, &[events::said(BEFORE + number, text)], false).await;
        }
        let all = page.only().await?;
        Ok((all, reader.await??))
    }
}

/// The daemon of that computer.
struct Daemon(FakeDaemon);

impl Daemon {
    /// Starts an agent by this, its `count`-th command.
    async fn start(&mut self, ada: &Client, laptop: &Computer, room: &str, role: &str, count: usize) -> RunId {
        let config = json!({ "agentType": "claude", "workingDir": "/srv/app" });
        ada.put(&format!("{}/agents/{room}/{role}", laptop.path()), config).await;
        let start = json!({ "type": "start-agent", "chatroomId": room, "role": role });
        ada.post(&format!("{}/commands", laptop.path()), start).await;
        self.0.started(&self.0.command(count).await).await
    }

    /// Writes a transcript of so many events.
    async fn write_all(&self, run: RunId, last: u64) {
        let mut next = 1;
        while next <= last {
            let until = last.min(next + TOGETHER - 1);
            self.0.write(run, &(next..=until).map(events::event).collect::<Vec<_>>(), false).await;
            next = until + 1;
        }
    }
}

/// Reads lines as a plain reader of the same stream, which tells when it had each.
async fn read(ada: &Client, run: RunId, lines: u32) -> anyhow::Result<JoinHandle<anyhow::Result<Times>>> {
    let path = format!("/api/runs/{run}/transcript?offset=now&live=sse");
    let mut answer = ada.request(Method::GET, &path).send().await?.error_for_status()?;
    Ok(tokio::spawn(async move {
        let mut all = Vec::new();
        let mut text = String::new();
        while all.len() < lines as usize {
            let chunk = answer.chunk().await?.context("the stream ended")?;
            let now = now();
            text.push_str(std::str::from_utf8(&chunk).context("the stream is no text")?);
            while let Some(end) = text.find('\n') {
                let line: String = text.drain(..=end).collect();
                let written = line.split("written at ").skip(1).filter_map(|rest| rest.split(';').next()?.parse().ok());
                all.extend(written.map(|written: f64| figures::from_millis(now - written)));
            }
        }
        Ok(Times::new(all))
    }))
}

/// Reads a person's rooms to the last, in pages as large as the app asks for.
async fn every_room(owner: &Client) -> anyhow::Result<()> {
    let mut path = "/api/chatrooms?limit=500".to_owned();
    loop {
        let page = owner.get(&path).await;
        anyhow::ensure!(page.status == 200, "{path}: {} {}", page.status, page.raw);
        let Some(next) = page.body["next"].as_str() else { return Ok(()) };
        path = format!("/api/chatrooms?limit=500&after={next}");
    }
}

/// Returns the time of day, in milliseconds.
fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64() * 1e3
}
