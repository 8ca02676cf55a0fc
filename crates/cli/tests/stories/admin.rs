//! What an operator does at the server's computer: ways back in, backup and restore.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatroom_protocol::Tool;
use chatroom_server::config::{Config, Flags, Purpose};
use chatroom_server::serve::Server;
use chatroom_testkit::fake_daemon::Computer;
use chatroom_testkit::postgres;
use chatroom_testkit::world::{Client, PASSWORD, User, World};
use reqwest::Method;
use serde_json::json;

use crate::desk::{Desk, Ended, mode};

/// A desk at the computer of a server.
fn operator(world: &World) -> Desk {
    let desk = Desk::new().with("CHATROOM_DATA_DIR", &world.data_dir().display().to_string());
    match &world.flags().database {
        Some(url) => desk.with("DATABASE_URL", url),
        None => desk,
    }
}

async fn signs_in(base: &str, email: &str, password: &str) -> u16 {
    let body = json!({ "email": email, "password": password });
    Client::new(base.to_owned(), None).post("/api/auth/sign-in", body).await.status
}

/// Follows a printed link as a browser does, at the address the test reaches the server at.
async fn follow(world: &World, link: &str) -> u16 {
    let path = link.trim().find("/sign-in?code=").map(|at| &link.trim()[at..]);
    world.anonymous().get(path.unwrap_or_else(|| panic!("no link: {link}"))).await.status
}

#[tokio::test]
async fn a_password_is_reset_beside_the_running_server() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let desk = operator(&world);

    let ended =
        desk.pipe("admin reset-password ada@example.org --password-stdin", "a new long password\n").await.exits(0);
    assert!(ended.err.contains("sign-ins ended: 2"), "{}", ended.all());
    assert_eq!(ada.get("/api/auth/session").await.status, 401);
    assert_eq!(bob.get("/api/auth/session").await.status, 200);
    assert_eq!(signs_in(&world.url(), &ada.email, PASSWORD).await, 401);
    assert_eq!(signs_in(&world.url(), &ada.email, "a new long password").await, 200);
    assert_eq!(follow(&world, &ended.out).await, 303);
    assert_eq!(follow(&world, &ended.out).await, 400);

    // Without a new password the old one ends all the same, and the link is the way in.
    let ended = desk.run("admin reset-password bob").await.exits(0);
    assert_eq!(signs_in(&world.url(), &bob.email, PASSWORD).await, 401);
    assert_eq!(follow(&world, &ended.out).await, 303);

    let ended = desk.run("admin sign-in-link").await.exits(0);
    assert!(ended.err.contains("ada@example.org"), "{}", ended.all());
    assert!(ended.out.starts_with(world.app().config.public_url.to_string().trim_end_matches('/')), "{}", ended.all());
    assert_eq!(follow(&world, &ended.out).await, 303);

    let nobody = desk.run("admin reset-password eve").await.exits(1);
    assert!(nobody.err.contains("no account"), "{}", nobody.all());
    let short = desk.pipe("admin reset-password ada --password-stdin", "short").await.exits(1);
    assert!(short.err.contains("10 to 200"), "{}", short.all());
}

#[tokio::test]
async fn a_verb_of_the_operator_makes_no_database() {
    let desk = Desk::new();
    let ended = desk.run("admin sign-in-link").await.exits(1);
    assert!(ended.err.contains("--data-dir"), "{}", ended.all());
    assert!(!desk.home().join("server").exists());
    let ended = desk.run("admin backup all.jsonl").await.exits(1);
    assert!(ended.err.contains("--data-dir"), "{}", ended.all());
    assert!(!desk.work_dir().join("all.jsonl").exists());
}

#[tokio::test]
async fn a_reset_never_meets_a_busy_database() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = operator(&world);
    let writing = write_on(&world, &ada).await;
    for _ in 0..5 {
        desk.run("admin sign-in-link ada").await.exits(0);
    }
    assert!(writing.stop().await > 3, "the server hardly wrote");
}

/// Somebody who writes messages until told to stop; each must be taken.
struct Writing {
    go_on: Arc<AtomicBool>,
    written: tokio::task::JoinHandle<usize>,
}

impl Writing {
    async fn stop(self) -> usize {
        self.go_on.store(false, Ordering::Relaxed);
        self.written.await.expect("every message was taken")
    }
}

async fn write_on(world: &World, user: &User) -> Writing {
    let room = world.room(user, &["writer"]).await;
    let (go_on, user) = (Arc::new(AtomicBool::new(true)), user.clone());
    let until = Arc::clone(&go_on);
    let written = tokio::spawn(async move {
        let mut written = 0;
        while until.load(Ordering::Relaxed) {
            let sent =
                user.post(&format!("{room}/messages"), json!({ "content": format!("line {written}\n\"ü\"") })).await;
            // A room takes only so many open tasks; that is an answer as well.
            assert!(matches!(sent.status, 200..=299 | 409), "{}", sent.raw);
            written += 1;
        }
        written
    });
    Writing { go_on, written }
}

/// A server on restored data.
async fn serve(data: &Path, database: Option<&str>) -> Server {
    let flags = Flags {
        port: Some(0),
        data_dir: Some(data.to_owned()),
        database: database.map(str::to_owned),
        open_sign_up: Some(true),
        ..Flags::default()
    };
    Server::start(Config::load(Purpose::Server, flags, []).expect("settings")).await.expect("a server")
}

/// Ada signs in with password and token, her rooms are there, and her machine comes back and gets its command.
async fn lives_on(server: &Server, ada: &User, computer: &Computer, rooms: usize, epoch: u64) {
    let base = format!("http://{}", server.addr);
    assert_eq!(signs_in(&base, &ada.email, PASSWORD).await, 200);
    let client = Client::new(base, Some(ada.token().to_owned()));
    assert_eq!(client.get("/api/chatrooms").await.body["chatrooms"].as_array().map(Vec::len), Some(rooms));
    let there = Computer {
        client: Client::new(client.base().to_owned(), Some(computer.client.token().to_owned())),
        ..computer.clone()
    };
    let daemon = there.connect(epoch).await;
    let ping = client.post(&format!("{}/commands", there.path()), json!({ "type": "ping" })).await;
    assert!(ping.status < 300, "{}", ping.raw);
    daemon.until("the new command", |heard| heard.commands.iter().any(|push| push.kind == "ping")).await;
}

/// The rows of a backup, in an order of their own: the head and the end differ by time.
fn rows(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a backup");
    let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    lines.pop();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_lived_in_server_moves_to_the_other_database_and_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    world.befriend(&ada, &bob).await;
    let computer = Computer::register(&ada, "a2f0c1de-0000-4000-8000-00000000aa01", "laptop", &[Tool::Claude]).await;
    let mut daemon = computer.connect(1).await;
    let room = world.room(&ada, &["builder", "reviewer"]).await;
    let id = room.rsplit('/').next().expect("an id");
    let configured = json!({ "agentType": "claude", "workingDir": "/tmp", "mode": "auto" });
    let saved = ada.put(&format!("{}/agents/{id}/builder", computer.path()), configured).await;
    assert_eq!(saved.status, 200, "{}", saved.raw);
    let start = json!({ "type": "start-agent", "chatroomId": id, "role": "builder" });
    ada.post(&format!("{}/commands", computer.path()), start).await;
    let command = daemon.command(1).await;
    daemon.started(&command).await;
    let image = image();
    let sent = ada.request(Method::POST, &format!("{room}/attachments?name=shot.png")).body(image.clone());
    let attachment = ada.send(sent).await.text("attachmentId").to_owned();
    ada.post(&format!("{room}/messages"), json!({ "content": "build it", "attachments": [attachment] })).await;
    daemon.prompt(1).await;

    let desk = operator(&world);
    let writing = write_on(&world, &ada).await;
    let first = desk.run("admin backup first.jsonl").await.exits(0);
    writing.stop().await;
    assert!(first.out.contains("secret.key"), "{}", first.all());
    let file = |name: &str| desk.work_dir().join(name);
    assert_eq!(mode(&file("first.jsonl")), 0o600);
    let text = std::fs::read_to_string(file("first.jsonl")).expect("a backup");
    assert!(!text.contains(&computer.platform_token) && !text.contains(ada.token()), "a secret is in the backup");
    let twice = desk.run("admin backup first.jsonl").await.exits(1);
    assert!(twice.err.contains("exists already"), "{}", twice.all());
    let live = desk.run("admin restore first.jsonl").await.exits(1);
    assert!(live.err.contains("another chatroom server"), "{}", live.all());

    // To PostgreSQL…
    let url = postgres::fresh_database().await.expect("a database").to_string();
    let away = Desk::new().with("DATABASE_URL", &url);
    let key = world.data_dir().join("secret.key");
    let restore =
        |desk: &Desk, from: &Path| format!("admin restore {} --data-dir {}", from.display(), data(desk).display());
    let restored = away.run(&restore(&away, &file("first.jsonl"))).await.exits(0);
    assert!(restored.out.contains("secret.key"), "{}", restored.all());
    std::fs::copy(&key, data(&away).join("secret.key")).expect("the key");
    away.run(&format!("admin backup second.jsonl --data-dir {}", data(&away).display())).await.exits(0);
    let second = away.work_dir().join("second.jsonl");
    assert_eq!(rows(&second), rows(&file("first.jsonl")));
    let full = away.run(&restore(&away, &file("first.jsonl"))).await.exits(1);
    assert!(full.err.contains("not empty"), "{}", full.all());

    // …and back to SQLite.
    let back = Desk::new();
    back.run(&restore(&back, &second)).await.exits(0);
    std::fs::copy(&key, data(&back).join("secret.key")).expect("the key");
    back.run(&format!("admin backup third.jsonl --data-dir {}", data(&back).display())).await.exits(0);
    assert_eq!(rows(&back.work_dir().join("third.jsonl")), rows(&second));

    daemon.cut();
    for (desk, database, epoch) in [(&away, Some(url.as_str()), 2), (&back, None, 2)] {
        let server = serve(&data(desk), database).await;
        lives_on(&server, &ada, &computer, 2, epoch).await;
        let client = Client::new(format!("http://{}", server.addr), Some(ada.token().to_owned()));
        let saved =
            client.request(Method::GET, &format!("{room}/attachments/{attachment}")).send().await.expect("an answer");
        assert!(saved.bytes().await.expect("the file") == image, "the file is another one");
        server.stop().await;
    }
}

/// An image as large as one may be.
fn image() -> Vec<u8> {
    let head = b"\x89PNG\r\n\x1a\n";
    head.iter().copied().chain((0_u8..=255).cycle()).take(5 * 1024 * 1024).collect()
}

fn data(desk: &Desk) -> std::path::PathBuf {
    desk.home().join("restored")
}

#[tokio::test]
async fn what_is_no_whole_backup_changes_nothing() {
    let world = World::start().await;
    world.user("ada").await;
    let desk = operator(&world);
    desk.run("admin backup good.jsonl").await.exits(0);
    let good = std::fs::read_to_string(desk.work_dir().join("good.jsonl")).expect("a backup");
    let other = Desk::new();
    let lines: Vec<&str> = good.lines().collect();
    let head = |from: &str, to: &str| good.replacen(from, to, 1);
    for (text, says) in [
        (String::new(), "empty"),
        ("hello\n".to_owned(), "first line"),
        ("{}\n".to_owned(), "does not begin"),
        (good[..good.len() - 20].to_owned(), "end is missing"),
        (lines[..lines.len() - 1].join("\n"), "end is missing"),
        ([&lines[..2], &lines[3..]].concat().join("\n"), "rows are missing"),
        (good.replace("ada@example.org", "eve@example.org"), "checksum"),
        (head("\"chatroomBackup\":1", "\"chatroomBackup\":2"), "newer chatroom"),
        (head("\"0001_spine\"", "\"0001_spine\",\"9999_future\""), "newer chatroom"),
    ] {
        std::fs::write(other.work_dir().join("bad.jsonl"), &text).expect("a file");
        let ended: Ended = other.run("admin restore bad.jsonl").await.exits(1);
        assert!(ended.err.contains(says), "{says}: {}", ended.all());
        assert!(!other.home().join("server").exists(), "{says}: a folder is left");
    }
}
