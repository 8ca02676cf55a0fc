//! A daemon that dies between its journal and what others read of it, and a server that dies meanwhile: nothing lacks,
//! nothing is there twice.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::matrix::{begin, is_right};
use crate::plant::{Database, Plant};

/// What is written to the journal, and not yet to its history.
const STEPS: [&str; 5] = ["command_received", "run_spawned", "run_started", "run_activity", "command_finished"];

/// Returns the entries the server has, byte for byte.
async fn there(plant: &Plant) -> Option<Vec<String>> {
    let path = format!("/api/machines/{}/journal?offset=-1", plant.machine);
    let answer = plant.user.request(Method::GET, &path).send().await.ok()?;
    assert!(answer.headers().contains_key("stream-up-to-date"), "one page");
    let entries: Vec<Box<RawValue>> = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    Some(entries.iter().map(|entry| entry.get().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_before_the_history_of_any_step() {
    let mut plant = Plant::new(Database::Sqlite).await;
    let mut sent = Vec::new();
    for (round, step) in STEPS.iter().enumerate() {
        let before = begin(&mut plant, "start-agent").await;
        plant.arm(&format!("daemon before the history of {step}"));
        let id = plant.send("start-agent").await;
        plant.until(&format!("it dies before the history of {step}"), |look| !look.is_armed).await;
        if round % 2 == 1 {
            plant.kill("server").await;
        }
        let what = format!("all comes right after a death before the history of {step}");
        plant.until(&what, |look| is_right(look, "start-agent", &before.run, &id)).await;
        sent.push(id);
    }
    plant.until("all is settled", crate::plant::Look::is_settled).await;
    // Until nothing more is on its way: the server's answer to the last reports is an entry as well.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(45);
    let entries = loop {
        plant.mend();
        let here = plant.history();
        let finished =
            here.iter().filter(|entry| entry.contains("\"type\":\"command_finished\",\"commandId\"")).count();
        match there(&plant).await {
            Some(there) if there == here && finished >= sent.len() => break there,
            there => assert!(std::time::Instant::now() < until, "not the same: {there:?}\n{here:?}\n{}", plant.logs()),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let entries: Vec<Value> = entries.iter().map(|entry| serde_json::from_str(entry).expect("JSON")).collect();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
    for entry in &entries {
        let event = &entry["event"];
        if let (Some(kind), Some(id)) = (event["type"].as_str(), event["commandId"].as_str()) {
            *seen.entry((kind, id)).or_default() += 1;
        }
    }
    for id in &sent {
        for kind in ["command_received", "command_finished"] {
            assert_eq!(seen.get(&(kind, id)), Some(&1), "{kind} of {id}");
        }
    }
}
