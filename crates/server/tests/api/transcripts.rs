//! The transcript of a run: written by its machine, read by its user.

use std::time::Duration;

use chatroom_protocol::RunId;
use chatroom_protocol::api::reports::TurnOutcome;
use chatroom_protocol::transcript::{RunEvent, Sequenced};
use chatroom_protocol::{PromptId, Timestamp};
use chatroom_server::transcripts;
use chatroom_testkit::fake_daemon::FakeDaemon;
use chatroom_testkit::world::{Answer, Client};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::Stage;

/// A run, and the file its machine keeps of it.
struct Written {
    stage: Stage,
    _daemon: FakeDaemon,
    run: RunId,
    lines: Vec<String>,
    /// How many of them were sent.
    sent: usize,
    appends: u64,
}

impl Written {
    async fn begin() -> Self {
        let stage = Stage::set().await;
        let mut daemon = stage.connect().await;
        stage.command("start-agent").await;
        let run = daemon.started(&daemon.command(1).await).await;
        Self { stage, _daemon: daemon, run, lines: Vec::new(), sent: 0, appends: 0 }
    }

    fn path(&self) -> String {
        format!("/api/runs/{}/transcript", self.run)
    }

    fn of_machine(&self) -> String {
        format!("{}/runs/{}/transcript", self.stage.laptop.path(), self.run)
    }

    /// Writes an event, as a supervisor does.
    fn write(&mut self, event: RunEvent) {
        let seq = self.lines.len() as u64 + 1;
        let at = Timestamp(1_800_000_000_000 + i64::try_from(seq).unwrap());
        self.lines.push(serde_json::to_string(&Sequenced { seq, at, event }).unwrap());
    }

    fn says(&mut self, text: &str) {
        self.write(RunEvent::Message { text: text.to_owned(), block: None });
    }

    /// Where a line begins in the file.
    fn position(&self, line: usize) -> usize {
        self.lines[..line].iter().map(|line| line.len() + 1).sum()
    }

    async fn append(&self, epoch: u64, seq: u64, from: usize, to: usize, close: bool) -> Answer {
        let client = &self.stage.laptop.client;
        let mut request = client
            .request(Method::POST, &self.of_machine())
            .header("producer-id", self.run.to_string())
            .header("producer-epoch", epoch)
            .header("producer-seq", seq);
        if close {
            request = request.header("stream-closed", "true");
        }
        if to > from {
            let body = format!("[{}]", self.lines[from..to].join(","));
            request = request
                .header("content-type", "application/json")
                .header("stream-seq", format!("{:020}", self.position(from)))
                .body(body);
        }
        client.send(request).await
    }

    /// Sends what was not sent.
    async fn send(&mut self) {
        let answer = self.append(1, self.appends, self.sent, self.lines.len(), false).await;
        assert_eq!(answer.status, 200, "{}", answer.raw);
        let end = self.position(self.lines.len());
        assert!(answer.header("stream-next-offset").ends_with(&format!("_{end:016}")), "a position here is one there");
        self.sent = self.lines.len();
        self.appends += 1;
    }

    async fn read(&self, offset: &str) -> Answer {
        let answer = self.stage.alice.get(&format!("{}?offset={offset}", self.path())).await;
        assert_eq!(answer.status, 200, "{}", answer.raw);
        answer
    }

    async fn search(&self, query: &str) -> Value {
        let answer = self.stage.alice.get(&format!("{}/search?{query}", self.path())).await;
        assert_eq!(answer.status, 200, "{}", answer.raw);
        answer.body
    }
}

fn seqs(answer: &Answer) -> Vec<u64> {
    answer.body.as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn every_line_arrives_once_as_it_was_written() {
    let mut written = Written::begin().await;
    let empty = written.read("-1").await;
    assert_eq!((empty.raw.as_str(), empty.header("stream-up-to-date")), ("[]", "true"), "a run that said nothing yet");
    written.says("one");
    written.says("two  with \"quotes\" and ünïcode");
    written.send().await;
    written.says("three");
    written.send().await;
    let read = written.read("-1").await;
    assert_eq!(read.raw, format!("[{}]", written.lines.join(",")), "byte for byte");

    // An answer that got lost: the same again changes nothing.
    let again = written.append(1, 1, 2, 3, false).await;
    assert_eq!(again.status, 204, "{}", again.raw);
    // A daemon that comes after it begins where the server says.
    let head = &written.stage.laptop.client;
    let head = head.send(head.request(Method::HEAD, &written.of_machine())).await;
    assert!(head.header("stream-next-offset").ends_with(&format!("_{:016}", written.position(3))), "{head:?}");
    written.says("four");
    // What an earlier one had under way comes late.
    let stale = written.append(2, 0, 2, 4, false).await;
    assert_eq!((stale.status, stale.text("code")), (409, "conflict"), "a batch from before the end is refused");
    assert_eq!(written.append(2, 0, 3, 4, false).await.status, 200);
    let late = written.append(1, 2, 3, 4, false).await;
    assert_eq!((late.status, late.text("code")), (403, "forbidden"), "{}", late.raw);
    assert_eq!(seqs(&written.read("-1").await), [1, 2, 3, 4]);

    let closed = written.append(2, 1, 4, 4, true).await;
    assert_eq!((closed.status, closed.header("stream-closed")), (204, "true"), "{}", closed.raw);
    let read = written.read("-1").await;
    assert_eq!((seqs(&read).len(), read.header("stream-closed")), (4, "true"));
}

#[tokio::test]
async fn only_its_machine_writes_it_and_only_its_user_reads_it() {
    let mut written = Written::begin().await;
    written.says("secret plans");
    written.send().await;
    let (index, search) = (format!("{}/index", written.path()), format!("{}/search?text=plans", written.path()));
    for who in [&written.stage.bob, &written.stage.carol] {
        for path in [&written.path(), &index, &search] {
            assert_eq!(who.get(path).await.status, 404, "{path}");
        }
    }
    let other = crate::stage::computer(&written.stage.bob, "bobs").await;
    let others = |client: &Client, path: &str| {
        let body = written.lines[0].clone();
        client.request(Method::POST, path).header("content-type", "application/json").body(body)
    };
    for path in [written.of_machine(), format!("{}/runs/{}/transcript", other.path(), written.run)] {
        let refused = other.client.send(others(&other.client, &path)).await;
        assert_eq!((refused.status, refused.text("code")), (404, "not_found"), "{path}");
    }
    let broken = written.stage.laptop.client.clone();
    let broken = broken.send(others(&broken, &written.of_machine()).body("{\"seq\":")).await;
    assert_eq!((broken.status, broken.text("code")), (400, "invalid_request"));
    assert_eq!(seqs(&written.read("-1").await), [1]);
}

#[tokio::test]
async fn a_reader_follows_live_until_the_sign_in_ends() {
    let mut written = Written::begin().await;
    written.says("before");
    written.send().await;
    let stream = written.stage.alice.request(Method::GET, &format!("{}?offset=-1&live=sse", written.path()));
    let mut stream = stream.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut told = String::new();
    while !told.contains("upToDate") {
        told.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(told.contains("before"), "{told}");

    let tail = written.read("now").await.header("stream-next-offset").to_owned();
    let poll = written.stage.alice.request(Method::GET, &format!("{}?offset={tail}&live=long-poll", written.path()));
    let (polled, ()) = tokio::join!(written.stage.alice.send(poll), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let body = r#"{"seq":2,"at":0,"event":{"type":"message","text":"after"}}"#;
        let client = &written.stage.laptop.client;
        let request = client.request(Method::POST, &written.of_machine()).header("content-type", "application/json");
        assert_eq!(client.send(request.body(body)).await.status, 204);
    });
    assert!(polled.raw.contains("after") && polled.status == 200, "{}", polled.raw);
    while !told.contains("after") {
        told.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }

    let sessions = written.stage.alice.get("/api/auth/sessions").await;
    let own = sessions.body["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    let own = own["sessionId"].as_str().unwrap().to_owned();
    let tail = polled.header("stream-next-offset");
    let poll = written.stage.alice.request(Method::GET, &format!("{}?offset={tail}&live=long-poll", written.path()));
    let (polled, _) = tokio::join!(written.stage.alice.send(poll), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        written.stage.alice.delete(&format!("/api/auth/sessions/{own}")).await
    });
    assert_eq!((polled.status, polled.text("code")), (401, "not_signed_in"), "{}", polled.raw);
    let rest = async { while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    assert!(tokio::time::timeout(Duration::from_secs(10), rest).await.is_ok(), "what streamed ends with the sign-in");
}

#[tokio::test]
async fn a_read_that_makes_no_sense_is_refused_live_or_not() {
    let written = Written::begin().await;
    for query in ["live=", "live=sse", "offset=,", "offset=,&live=sse", "offset=-1&live=sometimes"] {
        let refused = written.stage.alice.get(&format!("{}?{query}", written.path())).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{query}: {}", refused.raw);
        assert_eq!(refused.header("content-type"), "application/problem+json", "{query}");
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_number_and_by_its_text() {
    let mut written = Written::begin().await;
    assert_eq!(written.search("text=anything").await, json!({ "hits": [] }));
    for number in 0..40 {
        // So many that there are several pages.
        written.write(RunEvent::ToolResult {
            id: format!("call-{number}"),
            output: "x".repeat(100_000),
            is_error: false,
        });
        if number % 10 == 9 {
            written.send().await;
        }
    }
    written.write(RunEvent::Message { text: "the nee".into(), block: Some(7) });
    written.write(RunEvent::Message { text: "dle in two\nparts".into(), block: Some(7) });
    let prompt_id = PromptId::from_parts(Timestamp(1), 1);
    let detail = Some("Quota \"EXCEEDED\" für heute".to_owned());
    written.write(RunEvent::TurnEnded { prompt_id, outcome: TurnOutcome::Error, detail });
    written.says("another NEEDLE");
    written.send().await;

    let index = written.stage.alice.get(&format!("{}/index?event=17", written.path())).await.body;
    assert_eq!((&index["lastEvent"], &index["closed"]), (&json!(44), &json!(false)));
    let pages = index["pages"].as_array().unwrap();
    assert!(pages.len() > 3 && pages[0]["event"] == 1, "{index}");
    for page in pages {
        let read = written.read(page["offset"].as_str().unwrap()).await;
        assert_eq!(json!(seqs(&read)[0]), page["event"], "a page begins with the event it says");
    }
    let read = written.read(index["place"]["offset"].as_str().unwrap()).await;
    assert_eq!((&index["place"]["event"], seqs(&read)[0]), (&json!(17), 17));
    let missing = written.stage.alice.get(&format!("{}/index?event=45", written.path())).await.body;
    assert_eq!(missing.get("place"), None);

    let found = written.search("text=Needle").await;
    let hits: Vec<_> = found["hits"].as_array().unwrap().iter().map(|hit| (&hit["event"], &hit["excerpt"])).collect();
    let expected = [(json!(41), json!("the needle in two parts")), (json!(44), json!("another NEEDLE"))];
    assert_eq!(hits, expected.iter().map(|(event, text)| (event, text)).collect::<Vec<_>>());
    let read = written.read(found["hits"][0]["offset"].as_str().unwrap()).await;
    assert_eq!(seqs(&read), [41, 42, 43, 44]);

    let first = written.search("text=needle&limit=1").await;
    assert_eq!(first["hits"].as_array().unwrap().len(), 1);
    let next = first["next"].as_str().unwrap();
    let second = written.search(&format!("text=needle&limit=1&from={next}")).await;
    assert_eq!((&second["hits"][0]["event"], second.get("next")), (&json!(44), None));
    for (text, event) in [("%22exceeded%22%20F%C3%9CR", 43), ("call-7", 0)] {
        let found = written.search(&format!("text={text}")).await;
        assert_eq!(found["hits"][0]["event"].as_u64().unwrap_or_default(), event, "{text}: {found}");
    }
    for bad in ["text=", "text=x&limit=0", "text=x&limit=101", "text=x&from=soon", &format!("text={}", "x".repeat(201))]
    {
        let refused = written.stage.alice.get(&format!("{}/search?{bad}", written.path())).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{bad}");
    }
}

#[tokio::test]
async fn what_was_sent_is_there_after_a_restart_and_gone_with_its_run() {
    let mut written = Written::begin().await;
    written.says("kept");
    written.send().await;
    written.stage.world.restart().await;
    let read = written.read("-1").await;
    assert_eq!(seqs(&read), [1]);
    assert_eq!(written.append(1, 0, 0, 1, false).await.status, 204, "also who sent it is remembered");
    written.says("more");
    written.send().await;

    let runs = |written: &Written| {
        let all = std::fs::read_dir(written.stage.world.data_dir().join("streams/data")).unwrap();
        all.count()
    };
    let removed = written.stage.alice.delete(&written.stage.laptop.path()).await;
    assert!(removed.status < 300, "{}", removed.raw);
    assert_eq!(written.stage.alice.get(&written.path()).await.status, 404);
    transcripts::sweep(written.stage.world.app().clone()).await.unwrap();
    written.stage.world.restart().await;
    assert_eq!(runs(&written), 0, "nothing of it is left");
}
