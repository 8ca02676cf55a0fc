//! `chatroom streams serve`: nothing but streams, and what is left of them when it is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::StatusCode;

use crate::desk::{Desk, PATIENCE, Running};

const KILLS: u32 = 10;
const WRITERS: usize = 4;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

async fn serve(desk: &Desk) -> (Running, String) {
    let running = desk.start("streams serve kept --port 0");
    running.until("it says where", |out, _| out.contains("/v1/stream/")).await;
    let out = running.out();
    let url = out.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();
    (running, url)
}

#[tokio::test]
async fn a_folder_of_streams_is_served_and_is_there_the_next_time() {
    let (desk, client) = (Desk::new(), client());
    let (running, url) = serve(&desk).await;
    let sent = r#"{"z":1,"a":1.50,"b":12345678901234567890123}"#;
    let made = client.put(format!("{url}notes")).header("content-type", "application/json").body(sent);
    assert_eq!(made.send().await.expect("an answer").status(), StatusCode::CREATED);
    let reserved = client.put(format!("{url}__ds/subscriptions/x")).send().await.expect("an answer");
    assert_eq!(reserved.status(), StatusCode::NOT_FOUND);

    let second = desk.run("streams serve kept --port 0").await.exits(1);
    assert!(second.err.contains("kept cannot be opened") && second.err.contains("in use"), "{}", second.err);

    // A reader who waits does not hold up the end.
    let waiting = client.get(format!("{url}notes?offset=now&live=long-poll")).send();
    let waiting = tokio::spawn(waiting);
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
    let _ = waiting.await.expect("a reader");

    let (running, url) = serve(&desk).await;
    let read = client.get(format!("{url}notes")).send().await.expect("an answer").text().await.expect("a body");
    assert_eq!(read, format!("[{sent}]"));
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_after_every_kill() {
    let (desk, client) = (Desk::new(), client());
    let mut next = [0_u64; WRITERS];
    for round in 0..KILLS {
        let (running, url) = serve(&desk).await;
        if round == 0 {
            for writer in 0..WRITERS {
                let made = client.put(format!("{url}log-{writer}")).header("content-type", "application/json");
                assert_eq!(made.send().await.expect("an answer").status(), StatusCode::CREATED);
            }
        }
        // Each goes on where its last acknowledged append was, as a producer that lost its connection does.
        let writers: Vec<_> =
            next.iter().enumerate().map(|(writer, from)| write(&client, &url, writer, *from)).collect();
        let writers: Vec<_> = writers.into_iter().map(tokio::spawn).collect();
        tokio::time::sleep(Duration::from_millis(u64::from(40 + 37 * round))).await;
        running.signal(Signal::SIGKILL);
        for (writer, running) in writers.into_iter().enumerate() {
            next[writer] = running.await.expect("a writer");
        }
        running.ended().await;
    }
    assert!(next.iter().sum::<u64>() > 0, "nothing was ever acknowledged");

    let (running, url) = serve(&desk).await;
    for (writer, acknowledged) in next.iter().enumerate() {
        let mut numbers: Vec<u64> = Vec::new();
        let mut offset = "-1".to_owned();
        loop {
            let page = client.get(format!("{url}log-{writer}?offset={offset}")).send().await.expect("an answer");
            let is_last = page.headers().contains_key("stream-up-to-date");
            offset = page.headers()["stream-next-offset"].to_str().expect("an offset").to_owned();
            let page: Vec<BTreeMap<String, u64>> = page.json().await.expect("messages");
            numbers.extend(page.iter().map(|message| message["n"]));
            if is_last {
                break;
            }
        }
        let there = numbers.len() as u64;
        assert_eq!(numbers, (0..there).collect::<Vec<_>>(), "each once, in order");
        // One more than acknowledged may be there: its answer was on the way.
        assert!((*acknowledged..=acknowledged + 1).contains(&there), "{acknowledged} acknowledged, {there} there");
    }
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}

/// Appends numbered messages until the server is gone, and returns how many are acknowledged.
fn write(client: &reqwest::Client, url: &str, writer: usize, from: u64) -> impl Future<Output = u64> + Send + 'static {
    let (client, url) = (client.clone(), format!("{url}log-{writer}"));
    async move {
        for number in from.. {
            let append = client.post(&url).header("content-type", "application/json");
            let append = append.header("producer-id", "writer").header("producer-epoch", "0");
            let append = append.header("producer-seq", number).body(format!("{{\"n\":{number}}}"));
            match append.send().await {
                Ok(answer) => assert!(answer.status().is_success(), "{number}: {}", answer.status()),
                Err(_) => return number,
            }
        }
        unreachable!("numbers do not end")
    }
}
