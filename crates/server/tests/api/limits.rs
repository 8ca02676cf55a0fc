//! Every limit of `docs/limits.md` that a request can meet: a clear answer, and a count for operators.

use chatroom_domain::access::Caller;
use chatroom_domain::commands::WAITING_LIMIT;
use chatroom_protocol::UserId;
use chatroom_server::limits::{Kind, REQUESTS_A_MINUTE};
use chatroom_testkit::world::Answer;
use reqwest::Method;
use serde_json::json;

use crate::stage::Stage;

struct Met {
    stage: Stage,
    seen: Vec<&'static str>,
}

impl Met {
    /// Checks the answer of a request that met a limit, and that it was counted.
    async fn limit(&mut self, name: &'static str, answer: &Answer, status: u16, code: &str) {
        assert_eq!((answer.status, answer.text("code")), (status, code), "{name}: {}", answer.raw);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{name}");
        assert!(answer.text("detail").len() > 10, "{name}: {}", answer.raw);
        let metrics = self.stage.world.anonymous().get("/metrics").await.raw;
        let line = format!("chatroom_refused_total{{limit=\"{name}\"}} ");
        assert!(metrics.lines().any(|counted| counted.starts_with(&line)), "{line} is not in\n{metrics}");
        self.seen.push(name);
    }
}

#[tokio::test]
async fn whoever_meets_a_limit_is_told_and_counted() {
    let mut met = Met { stage: Stage::set().await, seen: Vec::new() };
    sizes(&mut met).await;
    counts(&mut met).await;
    open_at_once(&mut met).await;
    rates(&mut met).await;
    let listed = include_str!("../../../../docs/limits.md");
    for name in met.seen {
        assert!(listed.contains(&format!("`{name}`")), "{name} is not in docs/limits.md");
    }
}

async fn sizes(met: &mut Met) {
    let alice = met.stage.alice.with_token(met.stage.alice.token());
    let room = met.stage.room.clone();
    let body = alice.post("/api/chatrooms", json!({ "name": "x".repeat(1024 * 1024), "roles": ["a"] })).await;
    met.limit("body", &body, 413, "too_large").await;
    let junk = alice.request(Method::GET, "/api/chatrooms").header("x-junk", "x".repeat(40 * 1024));
    let headers = alice.send(junk).await;
    met.limit("header_bytes", &headers, 431, "too_large").await;
    let address = alice.get(&format!("/api/chatrooms?{}", "x".repeat(9 * 1024))).await;
    met.limit("address_length", &address, 414, "too_large").await;
    let message = alice.post(&format!("{room}/messages"), json!({ "content": "é".repeat(100_001) })).await;
    met.limit("message_length", &message, 400, "invalid_message").await;
    let text = json!({ "text": "x".repeat(100_001) });
    let text = alice.post(&format!("{room}/agents/builder/follow-up"), text).await;
    met.limit("message_length", &text, 400, "invalid_message").await;
}

async fn counts(met: &mut Met) {
    let alice = met.stage.alice.with_token(met.stage.alice.token());
    let room = met.stage.room.clone();
    for limit in ["0", "501", "18446744073709551615"] {
        for path in ["/api/events".to_owned(), format!("{room}/messages")] {
            let page = alice.get(&format!("{path}?limit={limit}")).await;
            met.limit("page", &page, 400, "invalid_request").await;
        }
    }
    let say = json!({ "content": "one more" });
    let queued = loop {
        let said = alice.post(&format!("{room}/messages"), say.clone()).await;
        if said.status != 201 {
            break said;
        }
    };
    met.limit("queued_messages", &queued, 409, "too_many_tasks").await;
    let laptop = met.stage.laptop.clone();
    let report = |seq: u64| json!({ "seq": seq, "at": 0, "fact": { "type": "from_the_future" } });
    let reports: Vec<_> = (1..=257).map(report).collect();
    let body = json!({ "epoch": 1, "journalId": "journal-1", "reports": reports });
    let reports = laptop.client.post(&format!("{}/reports", laptop.path()), body).await;
    met.limit("reports", &reports, 400, "invalid_request").await;
    let tools = vec![json!({ "tool": "claude", "presence": "installed" }); 17];
    let machine = json!({ "hostname": "laptop", "os": "linux", "availableTools": tools });
    let tools = alice.put(&laptop.path(), machine).await;
    met.limit("tools", &tools, 400, "invalid_request").await;
    let ping = json!({ "type": "ping" });
    for _ in 0..WAITING_LIMIT {
        let sent = alice.post(&format!("{}/commands", laptop.path()), ping.clone()).await;
        assert_eq!(sent.status, 201, "{}", sent.raw);
    }
    let command = alice.post(&format!("{}/commands", laptop.path()), ping).await;
    met.limit("waiting_commands", &command, 429, "too_many_commands").await;
}

async fn open_at_once(met: &mut Met) {
    let alice = met.stage.alice.with_token(met.stage.alice.token());
    let user: UserId = met.stage.alice.id.parse().unwrap();
    let limits = met.stage.world.app().limits.clone();
    let fill = |kind: Kind| (0..kind.most()).map(|_| limits.open(user, kind).unwrap()).collect::<Vec<_>>();
    let follow = || alice.request(Method::GET, "/api/events").header("accept", "text/event-stream");

    let held = fill(Kind::Feed);
    let feed = alice.send(follow()).await;
    met.limit("open_feeds", &feed, 429, "too_many_requests").await;
    assert_eq!(met.stage.bob.get("/api/events").await.status, 200, "another person is not held up");
    drop(held);
    assert_eq!(follow().send().await.unwrap().status(), 200, "what was closed counts no more");

    let _held = fill(Kind::Wait);
    let room = met.stage.room.clone();
    let wait = alice.post(&format!("{room}/roles/reviewer/wait"), json!({ "connectionId": "a".repeat(32) })).await;
    met.limit("open_waits", &wait, 429, "too_many_requests").await;
}

async fn rates(met: &mut Met) {
    let nobody = met.stage.world.anonymous();
    let begin = json!({ "device": "laptop", "version": "0.1.0" });
    let codes = nobody.post("/api/auth/device", begin.clone()).await;
    let poll = json!({ "deviceCode": codes.text("deviceCode") });
    nobody.post("/api/auth/device/token", poll.clone()).await;
    let polled = nobody.post("/api/auth/device/token", poll).await;
    met.limit("device_polls", &polled, 400, "slow_down").await;

    let tried = loop {
        let tried = nobody.post("/api/auth/device", begin.clone()).await;
        if tried.status >= 400 {
            break tried;
        }
    };
    met.limit("tries", &tried, 429, "too_many_requests").await;
    assert!(tried.header("retry-after").parse::<u32>().is_ok_and(|wait| wait > 0));

    let app = met.stage.world.app().clone();
    let user: UserId = met.stage.carol.id.parse().unwrap();
    let session = "ses_01HF7YAT000000000000000007".parse().unwrap();
    let minute = || 60_000 - app.clock.now().0.rem_euclid(60_000);
    // Into the beginning of a minute, so that it does not end in between.
    app.clock.advance(minute());
    let carol = Caller::Person { user, session };
    for _ in 0..REQUESTS_A_MINUTE {
        app.limits.request(&carol, app.clock.now()).unwrap();
    }
    let fast = met.stage.carol.get("/api/chatrooms").await;
    met.limit("requests", &fast, 429, "too_many_requests").await;
    assert!(fast.header("retry-after").parse::<i64>().is_ok_and(|wait| (1..=60).contains(&wait)), "{}", fast.raw);
    app.clock.advance(minute());
    assert_eq!(met.stage.carol.get("/api/chatrooms").await.status, 200, "the next minute is a new one");
}

#[tokio::test]
async fn a_log_that_is_read_counts_until_it_is_closed() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let command = daemon.command(1).await;
    let run = daemon.started(&command).await;
    let path = format!("{}/runs/{run}/transcript", stage.laptop.path());
    let user: UserId = stage.alice.id.parse().unwrap();
    let limits = &stage.world.app().limits;
    let mut held: Vec<_> = (0..Kind::Log.most()).map(|_| limits.open(user, Kind::Log).unwrap()).collect();
    let refused = stage.alice.get(&path).await;
    assert_eq!((refused.status, refused.text("code")), (429, "too_many_requests"), "{}", refused.raw);
    held.pop();
    for _ in 0..3 {
        let read = stage.alice.get(&path).await;
        assert_eq!(read.status, 200, "a log that was read to its end counts no more: {}", read.raw);
    }
}
