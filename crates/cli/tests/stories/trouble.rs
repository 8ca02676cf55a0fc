//! What an operator sees when the disk is full or the database away, and that it ends by itself.

use chatroom_testkit::disk::SmallDisk;
use chatroom_testkit::postgres::Cluster;
use chatroom_testkit::world::{Answer, Client, PASSWORD};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::desk::{Desk, Running, until};
use crate::up::free_port;

/// Somebody signed in at a server that was just started.
pub struct Visitor {
    pub client: Client,
    pub cookie: String,
}

impl Visitor {
    /// Makes the first account, with the link the server printed.
    pub async fn arrive(running: &Running, port: u16) -> Self {
        running.until("the first account can be made", |out, _| out.contains("/sign-up?code=")).await;
        let out = running.out();
        let code = out.split("/sign-up?code=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a code");
        let client = Client::new(format!("http://127.0.0.1:{port}"), None);
        let body = json!({ "email": "ada@example.org", "name": "ada", "password": PASSWORD, "code": code });
        let me = client.post("/api/auth/sign-up", body).await;
        assert_eq!(me.status, 200, "{}", me.raw);
        let cookie = me.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        Self { client, cookie }
    }

    pub async fn send(&self, method: Method, path: &str, body: serde_json::Value) -> Answer {
        let request = self.client.request(method, path).header("cookie", &self.cookie);
        let request = request.header("origin", self.client.base()).header("sec-fetch-site", "same-origin");
        self.client.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    async fn rooms(&self) -> Answer {
        self.send(Method::GET, "/api/chatrooms", json!(null)).await
    }

    async fn make_room(&self) -> Answer {
        let name = "r".repeat(60);
        self.send(Method::POST, "/api/chatrooms", json!({ "name": name, "roles": ["builder"] })).await
    }

    async fn ready(&self) -> Answer {
        self.client.get("/readyz").await
    }
}

#[tokio::test]
async fn a_full_disk_stops_writes_until_there_is_space_again() {
    let volume = SmallDisk::mount(40 * 1024).expect("a small disk");
    let (desk, port) = (Desk::new(), free_port());
    let data = volume.path().join("data");
    let running = desk.start(&format!("server --port {port} --data-dir {}", data.display()));
    let ada = Visitor::arrive(&running, port).await;
    assert_eq!(ada.make_room().await.status, 201);

    volume.fill().expect("a full disk");
    let mut refused = None;
    until("a write is refused", async || {
        let made = ada.make_room().await;
        let is_refused = made.status != 201;
        refused = Some(made);
        is_refused
    })
    .await;
    let refused = refused.expect("an answer");
    assert_eq!((refused.status, refused.text("code")), (507, "storage_full"), "{}", refused.raw);
    assert!(refused.text("detail").contains("disk is full"), "{}", refused.raw);
    // Space the database has of its own may still take a little, so it is looked at while writes go on.
    let mut ready = ada.ready().await;
    until("it is not ready", async || {
        let made = ada.make_room().await;
        assert!(matches!(made.status, 201 | 507), "{}", made.raw);
        assert_eq!(ada.rooms().await.status, 200, "reads are answered");
        ready = ada.ready().await;
        ready.status == 507
    })
    .await;
    assert_eq!(ready.text("code"), "storage_full", "{}", ready.raw);
    assert_eq!(ada.client.get("/healthz").await.status, 200);

    volume.free().expect("space again");
    until("it is ready again", async || ada.ready().await.status == 200).await;
    assert_eq!(ada.make_room().await.status, 201);
    let told = running.err();
    // Once for each time it was full, not for each request.
    let full = told.matches("the disk under the database is full").count();
    assert!(full > 0 && told.matches("takes writes again").count() == full, "{told}");
    assert_eq!(told.matches("ERROR").count(), full, "{told}");
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.expect("a task").expect("a PostgreSQL");
    let cluster = &cluster;
    let halt = || cluster.halt().expect("it stops");
    let resume = || cluster.resume().expect("it starts");
    let (desk, port) = (Desk::new().with("DATABASE_URL", cluster.url().as_str()), free_port());

    // At the start: it says at once what it waits for.
    halt();
    let began = std::time::Instant::now();
    let running = desk.start(&format!("server --port {port}"));
    running.until("it says what it waits for", |_, err| err.contains("waiting for it")).await;
    assert!(began.elapsed().as_secs() < 8, "{:?}", began.elapsed());
    assert!(running.err().contains("DATABASE_URL"), "{}", running.err());
    resume();
    let ada = Visitor::arrive(&running, port).await;
    assert_eq!(ada.make_room().await.status, 201);

    // While it runs.
    halt();
    until("requests are refused", async || ada.rooms().await.status == 503).await;
    let refused = ada.make_room().await;
    assert_eq!((refused.status, refused.text("code")), (503, "database_away"), "{}", refused.raw);
    assert_eq!(refused.header("retry-after"), "2");
    let ready = ada.ready().await;
    assert_eq!((ready.status, ready.text("code")), (503, "database_away"), "{}", ready.raw);
    assert_eq!(ada.client.get("/healthz").await.status, 200);
    resume();
    until("it is ready again", async || ada.ready().await.status == 200).await;
    assert_eq!(ada.make_room().await.status, 201);
    assert_eq!(ada.rooms().await.body["chatrooms"].as_array().map(Vec::len), Some(2));
    let told = running.err();
    assert_eq!(told.matches("the database does not answer: ").count(), 1, "{told}");

    // Its lock is its own again.
    let second = desk.run(&format!("server --port {}", free_port())).await.exits(1);
    assert!(second.err.contains("another chatroom server"), "{}", second.all());
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn waiting_for_a_database_ends_when_told_and_leaves_nothing() {
    let desk = Desk::new().with("DATABASE_URL", "postgres://nobody:hunter2secret@127.0.0.1:1/none");
    let running = desk.start(&format!("server --port {}", free_port()));
    running.until("it says what it waits for", |_, err| err.contains("waiting for it")).await;
    assert!(!running.err().contains("hunter2secret"), "{}", running.err());
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(1);
    assert!(!desk.home().join("server").exists(), "a half-made folder is left");
}
