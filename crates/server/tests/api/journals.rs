//! The journal of a machine: written by its daemon, read by its user.

use std::time::Duration;

use chatroom_protocol::journal::{JournalEntry, JournalEvent, LAST};
use chatroom_protocol::{CommandId, Timestamp};
use chatroom_server::transcripts;
use chatroom_testkit::world::{Answer, User};
use reqwest::Method;
use serde_json::json;

use crate::stage::{Stage, computer};

const JOURNAL: &str = "01HF7YAT000000000000000001";

fn entry(seq: u64) -> String {
    let command_id = CommandId::from_parts(Timestamp(1_800_000_000_000), u128::from(seq));
    let event = JournalEvent::CommandReceived {
        command_id,
        kind: "ping".into(),
        deadline_at: Timestamp(1_800_000_060_000),
        slot: None,
        run_id: None,
    };
    let at = Some(Timestamp(1_800_000_000_000));
    serde_json::to_string(&JournalEntry { seq, journal: JOURNAL.into(), at, event }).unwrap()
}

fn path(stage: &Stage) -> String {
    format!("{}/journal", stage.laptop.path())
}

async fn append(stage: &Stage, epoch: u64, number: u64, entries: std::ops::RangeInclusive<u64>) -> Answer {
    let body = entries.clone().map(entry).collect::<Vec<_>>().join(",");
    let client = &stage.laptop.client;
    let request = client
        .request(Method::POST, &path(stage))
        .header("content-type", "application/json")
        .header("producer-id", JOURNAL)
        .header("producer-epoch", epoch)
        .header("producer-seq", number)
        .header("stream-seq", format!("{JOURNAL}.{:020}", entries.start()))
        .body(format!("[{body}]"));
    client.send(request).await
}

/// Returns what the machine is told it has sent.
async fn last(stage: &Stage) -> Option<String> {
    let client = &stage.laptop.client;
    let answer = client.send(client.request(Method::HEAD, &path(stage))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    Some(answer.header(LAST).to_owned()).filter(|last| !last.is_empty())
}

async fn read(stage: &Stage, who: &User, query: &str) -> Answer {
    who.get(&format!("{}?{query}", path(stage))).await
}

fn seqs(answer: &Answer) -> Vec<u64> {
    answer.body.as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn every_entry_arrives_once_and_the_machine_is_told_how_far_it_is() {
    let mut stage = Stage::set().await;
    assert_eq!(last(&stage).await, None);
    assert_eq!(read(&stage, &stage.alice, "offset=-1").await.raw, "[]", "a machine that sent nothing yet");
    assert_eq!(append(&stage, 1, 0, 1..=3).await.status, 200);
    assert_eq!(last(&stage).await, Some(format!("{JOURNAL}.00000000000000000003")));
    assert_eq!(append(&stage, 1, 0, 1..=3).await.status, 204, "an answer that got lost");
    let repeated = append(&stage, 2, 0, 1..=4).await;
    assert_eq!((repeated.status, repeated.text("code")), (409, "conflict"), "it would repeat what is there");
    assert_eq!(append(&stage, 2, 0, 4..=4).await.status, 200);
    assert_eq!(append(&stage, 1, 1, 5..=5).await.status, 403, "an older daemon comes late");

    stage.world.restart().await;
    assert_eq!(append(&stage, 2, 0, 4..=4).await.status, 204, "also a restart forgets nothing");
    assert_eq!(last(&stage).await, Some(format!("{JOURNAL}.00000000000000000004")));
    let answer = read(&stage, &stage.alice, "offset=-1").await;
    assert_eq!((seqs(&answer), answer.header("stream-up-to-date")), (vec![1, 2, 3, 4], "true"));
    assert_eq!(answer.raw, format!("[{}]", (1..=4).map(entry).collect::<Vec<_>>().join(",")), "byte for byte");
    let again = stage.alice.request(Method::GET, &format!("{}?offset=-1", path(&stage)));
    let again = stage.alice.send(again.header("if-none-match", answer.header("etag"))).await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn only_its_machine_writes_it_and_only_its_user_reads_it() {
    let stage = Stage::set().await;
    assert_eq!(append(&stage, 1, 0, 1..=1).await.status, 200);
    for who in [&stage.bob, &stage.carol] {
        for path in [path(&stage), format!("{}/local", path(&stage))] {
            let answer = who.get(&path).await;
            assert_eq!((answer.status, answer.text("code")), (404, "not_found"), "{path}");
        }
    }
    let other = computer(&stage.bob, "bobs").await;
    for method in [Method::HEAD, Method::GET, Method::POST] {
        let request = other.client.request(method.clone(), &path(&stage)).header("content-type", "application/json");
        assert_eq!(other.client.send(request.body(entry(2))).await.status, 404, "{method}");
    }
    let own = stage.bob.get(&format!("{}/journal", other.path())).await;
    assert_eq!(own.raw, "[]", "each has their own");
    assert_eq!(seqs(&read(&stage, &stage.alice, "offset=-1").await), [1]);
}

#[tokio::test]
async fn a_follower_sees_what_comes_and_goes_on_after_a_restart() {
    let mut stage = Stage::set().await;
    assert_eq!(append(&stage, 1, 0, 1..=2).await.status, 200);
    let tail = read(&stage, &stage.alice, "offset=-1").await.header("stream-next-offset").to_owned();
    let live = format!("offset={tail}&live=long-poll");
    let (polled, sent) = tokio::join!(read(&stage, &stage.alice, &live), append(&stage, 1, 1, 3..=3));
    assert_eq!((seqs(&polled), sent.status), (vec![3], 200));
    let tail = polled.header("stream-next-offset").to_owned();
    stage.world.restart().await;
    let live = format!("offset={tail}&live=long-poll");
    let (polled, sent) = tokio::join!(read(&stage, &stage.alice, &live), append(&stage, 1, 2, 4..=4));
    assert_eq!((seqs(&polled), sent.status), (vec![4], 200));

    let mut stream =
        stage.alice.request(Method::GET, &format!("{}?offset=-1&live=sse", path(&stage))).send().await.unwrap();
    let mut told = String::new();
    while !told.contains("upToDate") {
        told.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(told.contains(&entry(4)), "{told}");
    let sessions = stage.alice.get("/api/auth/sessions").await.body;
    let own = sessions["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    stage.alice.delete(&format!("/api/auth/sessions/{}", own["sessionId"].as_str().unwrap())).await;
    let rest = async { while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    assert!(tokio::time::timeout(Duration::from_secs(10), rest).await.is_ok(), "what streamed ends with the sign-in");
}

#[tokio::test]
async fn it_is_gone_with_its_machine_and_not_there_for_whoever_has_that_next() {
    let mut stage = Stage::set().await;
    assert_eq!(append(&stage, 1, 0, 1..=1).await.status, 200);
    assert!(stage.alice.delete(&stage.laptop.path()).await.status < 300);
    assert_eq!(read(&stage, &stage.alice, "offset=-1").await.status, 404);
    let machine = json!({ "hostname": "laptop", "os": "linux", "availableTools": [] });
    assert_eq!(stage.bob.put(&stage.laptop.path(), machine).await.status, 200);
    assert_eq!(read(&stage, &stage.bob, "offset=-1").await.raw, "[]", "nothing of alice's");
    assert_eq!(read(&stage, &stage.alice, "offset=-1").await.status, 404);
    let streams = |stage: &Stage| std::fs::read_dir(stage.world.data_dir().join("streams/data")).unwrap().count();
    transcripts::sweep(stage.world.app().clone()).await.unwrap();
    stage.world.restart().await;
    let left = streams(&stage);
    assert!(left <= 1, "{left}: bob's alone is left, and it is empty");
    assert_eq!(read(&stage, &stage.bob, "offset=-1").await.raw, "[]");
}

#[tokio::test]
async fn the_machine_s_own_copy_is_asked_of_the_machine() {
    let stage = Stage::set().await;
    let away = stage.alice.get(&format!("{}/local", path(&stage))).await;
    assert_eq!((away.status, away.text("code")), (409, "machine_offline"), "{}", away.raw);
    let refused = read(&stage, &stage.alice, "offset=,&live=sse").await;
    assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{}", refused.raw);
}
