//! Agents that talk, while the server, the daemon and the readers are killed at random: every reader ends with the same
//! transcript. `cargo xtask soak` does it at length; a seed replays who is killed when.

use std::time::{Duration, Instant};

use chatroom_testkit::world::User;
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::plant::{Database, Plant};
use crate::rounds::{Chance, setting};

/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(100);

/// A reader of one transcript: what it has, and where it goes on. Both are kept together, as a reader must.
#[derive(Default, Clone)]
struct Kept {
    events: Vec<String>,
    offset: Option<String>,
    is_closed: bool,
}

/// Reads on, once or for ever; what it returns replaces what was kept.
async fn read(user: &User, run: &str, kept: &Kept) -> Option<Kept> {
    let offset = kept.offset.as_deref().unwrap_or("-1");
    let path = format!("/api/runs/{run}/transcript?offset={offset}&live=long-poll");
    let answer = user.request(Method::GET, &path).timeout(Duration::from_secs(40)).send().await.ok()?;
    let said = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
    let (next, closed) = (said("stream-next-offset"), said("stream-closed").is_some());
    let status = answer.status().as_u16();
    let body = answer.text().await.ok()?;
    let events: Vec<Box<RawValue>> = match status {
        200 => serde_json::from_str(&body).ok()?,
        204 => Vec::new(),
        _ => return None,
    };
    let mut kept = kept.clone();
    kept.events.extend(events.iter().map(|event| event.get().to_owned()));
    kept.offset = Some(next?);
    kept.is_closed = closed;
    Some(kept)
}

/// A reader that is killed now and then.
struct Reader {
    run: String,
    kept: std::sync::Arc<std::sync::Mutex<Kept>>,
    task: JoinHandle<()>,
}

impl Reader {
    fn start(user: &User, run: &str, kept: std::sync::Arc<std::sync::Mutex<Kept>>) -> Self {
        let (user, name, shared) = (user.clone(), run.to_owned(), kept.clone());
        let task = tokio::spawn(async move {
            loop {
                let now = shared.lock().expect("what is kept").clone();
                if now.is_closed {
                    return;
                }
                match read(&user, &name, &now).await {
                    Some(more) => *shared.lock().expect("what is kept") = more,
                    None => tokio::time::sleep(LOOK).await,
                }
            }
        });
        Self { run: run.to_owned(), kept, task }
    }

    /// Ends it wherever it is, and begins another that has what this one kept.
    fn kill(&mut self, user: &User) {
        self.task.abort();
        *self = Self::start(user, &self.run, self.kept.clone());
    }
}

/// Asks until it is taken; what was maybe taken before may be taken twice.
async fn insist(plant: &mut Plant, path: &str, body: &Value) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        plant.mend();
        match plant.ask(Method::POST, path, Some(body.clone())).await {
            Some((200 | 201, answer)) => return answer,
            other => assert!(Instant::now() < until, "{path}: {other:?}\n{}", plant.logs()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Starts the agent of a role and returns its run.
async fn started(plant: &mut Plant, room: &str, role: &str) -> String {
    let config = json!({ "agentType": "cursor", "workingDir": plant.work_dir(), "mode": "auto" });
    let path = format!("/api/machines/{}/agents/{room}/{role}", plant.machine);
    assert_eq!(plant.user.put(&path, config).await.status, 200);
    let order = json!({ "type": "start-agent", "chatroomId": room, "role": role });
    let path = format!("/api/machines/{}/commands", plant.machine);
    let sent = insist(plant, &path, &order).await;
    sent["runId"].as_str().expect("a run").to_owned()
}

/// Returns all that was said, whatever parts it was written in.
fn texts(events: &[String]) -> String {
    let text = |event: &String| {
        let event: Value = serde_json::from_str(event).expect("JSON");
        event["event"]["text"].as_str().map(str::to_owned)
    };
    events.iter().filter_map(text).collect()
}

async fn until(plant: &mut Plant, what: &str, mut holds: impl AsyncFnMut(&Plant) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds(plant).await {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}\n{}", plant.logs());
        plant.mend();
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_ends_with_the_same_transcript_whoever_is_killed() {
    let kills = setting("TRANSCRIPT_KILLS", 10);
    let agents = if kills > 10 { 20 } else { 3 };
    let seed = setting("SOAK_SEED", 20_261_121);
    println!("{kills} kills, {agents} agents, SOAK_SEED={seed}");
    let mut chance = Chance(seed.max(1));
    let mut plant = Plant::new(Database::Sqlite).await;
    let roles: Vec<String> = (1..=agents).map(|number| format!("talker{number}")).collect();
    let room = plant.user.post("/api/chatrooms", json!({ "name": "talk", "roles": roles })).await;
    let room = room.text("chatroomId").to_owned();
    let mut readers = Vec::new();
    for role in &roles {
        let run = started(&mut plant, &room, role).await;
        readers.push(Reader::start(&plant.user, &run, std::sync::Arc::default()));
    }
    // Something to say all the time: as long as there are kills, and one more.
    let mut said = 0;
    let mut more = async |plant: &mut Plant, times: u32| {
        for role in &roles {
            said += 1;
            let words = (0..times).map(|word| format!("[[say: {role} {said}.{word} and on]] [[run: sleep 0.1]]"));
            let words = words.collect::<Vec<_>>().join(" ");
            let path = format!("/api/chatrooms/{room}/agents/{role}/follow-up");
            insist(plant, &path, &json!({ "text": words })).await;
        }
    };
    more(&mut plant, 40).await;
    for kill in 1..=kills {
        let who = ["server", "daemon", "reader"][usize::try_from(chance.below(3)).expect("small")];
        let which = usize::try_from(chance.below(agents)).expect("small");
        let wait = Duration::from_millis(chance.below(700));
        println!("kill {kill}: {who} {which} after {wait:?}");
        tokio::time::sleep(wait).await;
        match who {
            "reader" => readers[which].kill(&plant.user),
            who => plant.kill(who).await,
        }
        plant.mend();
        if kill % 10 == 0 {
            more(&mut plant, 40).await;
        }
    }
    more(&mut plant, 3).await;
    let last = said;
    for (number, role) in roles.iter().enumerate() {
        let words = format!("{role} {}.2 and on", last - roles.len() + 1 + number);
        let kept = readers[number].kept.clone();
        let has_all = async |_: &Plant| texts(&kept.lock().expect("what is kept").events).contains(&words);
        until(&mut plant, &format!("{role} has said all"), has_all).await;
    }
    for role in &roles {
        let order = json!({ "type": "stop-agent", "chatroomId": room, "role": role });
        let path = format!("/api/machines/{}/commands", plant.machine);
        insist(&mut plant, &path, &order).await;
    }
    for reader in &readers {
        let ended = async |_: &Plant| reader.kept.lock().expect("what is kept").is_closed;
        until(&mut plant, &format!("the transcript of {} ends", reader.run), ended).await;
        let kept = reader.kept.lock().expect("what is kept").clone();
        let file = std::fs::read_to_string(plant.transcript(&reader.run)).expect("the machine's own");
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(kept.events, lines, "{}, SOAK_SEED={seed}: read as it was written, once and in order", reader.run);
        let numbers: Vec<u64> = kept
            .events
            .iter()
            .map(|event| serde_json::from_str::<Value>(event).expect("JSON")["seq"].as_u64().expect("a number"))
            .collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
    let events: usize = readers.iter().map(|reader| reader.kept.lock().expect("what is kept").events.len()).sum();
    println!("{kills} kills, {agents} agents, {events} events: every reader has what was written, once and in order");
}
