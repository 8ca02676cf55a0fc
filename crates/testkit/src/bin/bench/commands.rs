//! Commands by the clock: from when each was due until its answer, and until its `received` stands in the feed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chatroom_testkit::world::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::clock;
use crate::figures::Times;
use crate::seed::{Machine, Seeded};

/// For how many seconds some are sent before anything counts, so that every connection is warm.
const WARM_UP: u32 = 3;
/// How long the last ones may take.
const LAST: Duration = Duration::from_secs(10);

/// What came of it.
pub struct Outcome {
    /// From when it was due until it was on its way: what the measuring adds.
    pub begun: Times,
    /// From when it was due to its answer 201.
    pub accepted: Times,
    /// From when it was due until the sender's feed said that the machine has it in its journal.
    pub journalled: Times,
    /// The same, of real daemons alone.
    pub by_daemons: Times,
    /// From when it was due until the feed said that it is done.
    pub completed: Times,
    /// How many never were, or were refused.
    pub lost: usize,
}

#[derive(Default)]
struct Sent {
    due: HashMap<String, (Instant, bool)>,
    /// The feed may be faster than the answer.
    seen: HashMap<(String, Kind), Instant>,
    begun: Vec<Duration>,
    accepted: Vec<Duration>,
    refused: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Received,
    Completed,
}

type Shared = Arc<Mutex<Sent>>;

fn lock(sent: &Shared) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `rate` pings a second for `seconds`, to one machine after another; `real` of them are real daemons.
pub async fn run(seeded: &Seeded, count: usize, real: usize, rate: u32, seconds: u32) -> anyhow::Result<Outcome> {
    let sent = Shared::default();
    let mut feeds = JoinSet::new();
    for person in &seeded.people {
        feeds.spawn(follow((**person).clone(), sent.clone()));
    }
    let machines: Vec<&Machine> = in_turns(&seeded.machines[..count], real);
    let mut posts = JoinSet::new();
    let mut dues = clock::dues(rate, rate * (WARM_UP + seconds));
    let mut number = 0;
    while let Some(due) = dues.recv().await {
        let machine = machines[number as usize % machines.len()];
        let is_real = seeded.machines[..real].iter().any(|one| one.id == machine.id);
        let path = format!("/api/machines/{}/commands", machine.id);
        let counts = number >= rate * WARM_UP;
        posts.spawn(send(seeded.person(machine.owner).clone(), path, due, is_real, counts, sent.clone()));
        number += 1;
    }
    posts.join_all().await;
    let until = Instant::now() + LAST;
    while lock(&sent).open() > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    feeds.shutdown().await;
    Ok(lock(&sent).outcome())
}

/// Returns the machines so that real ones come as often as one in five, however many others there are.
fn in_turns(machines: &[Machine], real: usize) -> Vec<&Machine> {
    let (daemons, others) = machines.split_at(real.min(machines.len()));
    let mut daemons = daemons.iter().cycle();
    let mut turns = Vec::new();
    for some in others.chunks(4) {
        turns.extend(some);
        turns.extend(daemons.next());
    }
    turns
}

async fn send(client: Client, path: String, due: Instant, is_real: bool, counts: bool, sent: Shared) {
    let request = client.request(reqwest::Method::POST, &path).json(&json!({ "type": "ping" }));
    let begun = due.elapsed();
    let answer: Option<Value> = async {
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        answer.json().await.ok()
    }
    .await;
    let took = due.elapsed();
    if !counts {
        return;
    }
    let mut sent = lock(&sent);
    match answer.as_ref().and_then(|answer| answer["commandId"].as_str()) {
        Some(id) => {
            sent.begun.push(begun);
            sent.accepted.push(took);
            sent.due.insert(id.to_owned(), (due, is_real));
        }
        None => sent.refused += 1,
    }
}

async fn follow(client: Client, sent: Shared) -> anyhow::Result<()> {
    let request = client.request(reqwest::Method::GET, "/api/events").header("accept", "text/event-stream");
    let mut answer = request.send().await?.error_for_status()?;
    let mut text = String::new();
    while let Some(chunk) = answer.chunk().await? {
        let now = Instant::now();
        text.push_str(std::str::from_utf8(&chunk).context("the feed is no text")?);
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            let Some(event) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(event)?;
            let kind = match event["kind"].as_str() {
                Some("command.processing") => Kind::Received,
                Some("command.completed") => Kind::Completed,
                _ => continue,
            };
            let subject = event["subject"].as_str().unwrap_or_default().to_owned();
            lock(&sent).seen.insert((subject, kind), now);
        }
    }
    Ok(())
}

impl Sent {
    fn open(&self) -> usize {
        let done = |id: &String| self.seen.contains_key(&(id.clone(), Kind::Completed));
        self.due.keys().filter(|id| !done(id)).count()
    }

    fn outcome(&self) -> Outcome {
        let times = |kind: Kind, only_real: bool| {
            let of = |(id, (due, is_real)): (&String, &(Instant, bool))| {
                let seen = self.seen.get(&(id.clone(), kind))?;
                (*is_real || !only_real).then(|| seen.duration_since(*due))
            };
            Times::new(self.due.iter().filter_map(of).collect())
        };
        Outcome {
            begun: Times::new(self.begun.clone()),
            accepted: Times::new(self.accepted.clone()),
            journalled: times(Kind::Received, false),
            by_daemons: times(Kind::Received, true),
            completed: times(Kind::Completed, false),
            lost: self.open() + self.refused,
        }
    }
}
