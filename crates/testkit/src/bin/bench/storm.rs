//! The server is restarted under all its machines: how soon they are back, and what people see meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chatroom_testkit::world::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::figures::{Times, millis};
use crate::server::{Server, until_tunnels};

/// How often a person looks.
const LOOKS: Duration = Duration::from_millis(50);

/// What came of it.
pub struct Outcome {
    /// From when the server was asked to stop until it answered again.
    pub away: Duration,
    /// From when it answered again until the last machine was back.
    pub back: Duration,
    /// What people saw, in words.
    pub seen: String,
    /// Answers that no client may simply try again after.
    pub errors: usize,
}

/// Restarts the server and waits for `count` machines.
pub async fn run(
    server: Server,
    http: &reqwest::Client,
    person: Client,
    count: usize,
) -> anyhow::Result<(Server, Outcome)> {
    let over = CancellationToken::new();
    let looking = tokio::spawn(look(person, over.clone()));
    let began = Instant::now();
    let (server, answered) = tokio::task::spawn_blocking(move || server.restart()).await??;
    until_tunnels(http, &server.url(), count).await?;
    let back = answered.elapsed();
    over.cancel();
    let (seen, errors) = summed(looking).await?;
    Ok((server, Outcome { away: answered - began, back, seen, errors }))
}

#[derive(Default)]
struct Seen {
    counts: BTreeMap<String, usize>,
    good: Vec<Duration>,
    errors: usize,
}

/// Looks at the machines and the feed again and again, as a page that is open does.
async fn look(person: Client, over: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    let mut turn = 0_usize;
    while !over.is_cancelled() {
        let path = ["/api/auth/session", "/api/chatrooms", "/api/events?limit=1"][turn % 3];
        turn += 1;
        let began = Instant::now();
        let word = match person.request(reqwest::Method::GET, path).send().await {
            Ok(answer) if answer.status().is_success() => {
                seen.good.push(began.elapsed());
                "answered".to_owned()
            }
            Ok(answer) => {
                let status = answer.status().as_u16();
                // 503 with a code says: try again.
                let retry = status == 503 || answer.headers().contains_key("retry-after");
                seen.errors += usize::from(!retry);
                format!("status {status} on {path}")
            }
            Err(error) if error.is_connect() => "refused to connect".to_owned(),
            Err(error) => {
                // A connection that was kept and is closed: any client opens another for a look.
                format!("connection closed ({})", if error.is_request() { "before an answer" } else { "in an answer" })
            }
        };
        *seen.counts.entry(word).or_default() += 1;
        tokio::time::sleep(LOOKS).await;
    }
    seen
}

async fn summed(looking: JoinHandle<Seen>) -> anyhow::Result<(String, usize)> {
    let seen = looking.await?;
    let counts: Vec<String> = seen.counts.iter().map(|(word, count)| format!("{word} {count}×")).collect();
    let good = Times::new(seen.good);
    let text = format!("{}; answers p50 {}, p99 {}", counts.join(", "), millis(good.at(0.5)), millis(good.at(0.99)));
    Ok((text, seen.errors))
}
