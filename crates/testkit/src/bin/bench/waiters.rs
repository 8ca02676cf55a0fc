//! Many who wait for a task, and messages for some of them: from when a message was due until its task is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chatroom_testkit::world::Client;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clock;
use crate::figures::Times;
use crate::seed::Seeded;

/// Messages a second.
const RATE: u32 = 20;

/// What came of it.
pub struct Outcome {
    /// From when a message was due until its task reached who waited.
    pub delivered: Times,
    /// How many held questions there were at least.
    pub held: usize,
    /// Messages whose task never came.
    pub lost: usize,
}

/// Waits in every room, and says something in the first `messages`.
pub async fn run(seeded: &Seeded, messages: usize) -> anyhow::Result<Outcome> {
    let over = Arc::new(AtomicBool::new(false));
    let mut waits = JoinSet::new();
    let mut deliveries = Vec::new();
    for room in &seeded.rooms {
        let (told, delivered) = oneshot::channel();
        deliveries.push(delivered);
        let path = format!("{}/roles/builder/wait", room.path);
        let body = json!({ "connectionId": room.connection });
        waits.spawn(wait(seeded.person(room.owner).clone(), path, body, told, over.clone()));
        // They did not all come in one moment, so their questions do not end in one either.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut posts = JoinSet::new();
    let mut dues = Vec::new();
    let mut clock = clock::dues(RATE, u32::try_from(messages)?);
    for room in &seeded.rooms[..messages] {
        dues.push(clock.recv().await.context("the clock stopped")?);
        let request = seeded
            .person(room.owner)
            .request(reqwest::Method::POST, &format!("{}/messages", room.path))
            .json(&json!({ "content": "do it" }));
        posts.spawn(async move { anyhow::Ok(request.send().await?.error_for_status().map(drop)?) });
    }
    for post in posts.join_all().await {
        post.context("a message was refused")?;
    }
    let mut times = Vec::new();
    for (due, delivered) in dues.iter().zip(deliveries) {
        if let Ok(Ok(at)) = tokio::time::timeout(Duration::from_secs(5), delivered).await {
            times.push(Instant::duration_since(&at, *due));
        }
    }
    over.store(true, Ordering::Relaxed);
    waits.shutdown().await;
    Ok(Outcome { lost: messages - times.len(), held: seeded.rooms.len() - messages, delivered: Times::new(times) })
}

async fn wait(client: Client, path: String, body: Value, told: oneshot::Sender<Instant>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let request = client.request(reqwest::Method::POST, &path).json(&body);
        let Ok(answer) = request.send().await else { continue };
        let Ok(text) = answer.text().await else { continue };
        if text.contains("\"event\":\"task\"") {
            // The run may be over.
            let _ = told.send(Instant::now());
            return;
        }
    }
}
