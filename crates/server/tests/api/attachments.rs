//! Files beside messages: taken in, shown, brought to machines, and forgotten.

use chatroom_server::retention;
use chatroom_testkit::world::{Answer, User, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Stage, computer};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff rest";

async fn attach(who: &User, room: &str, name: &str, bytes: &[u8]) -> Answer {
    who.send(who.request(Method::POST, &format!("{room}/attachments?name={name}")).body(bytes.to_vec())).await
}

async fn attached(who: &User, room: &str, name: &str, bytes: &[u8]) -> String {
    let sent = attach(who, room, name, bytes).await;
    assert_eq!(sent.status, 201, "{}", sent.raw);
    sent.text("attachmentId").to_owned()
}

fn saying(text: &str, files: &[&String]) -> Value {
    json!({ "content": text, "attachments": files })
}

#[tokio::test]
async fn a_file_is_shown_beside_its_message_to_every_member() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let shot = attached(&alice, &room, "gr%C3%B6%C3%9Fe%20%221%22.png", PNG).await;
    let page = attached(&alice, &room, "page.html", b"<script>alert(1)</script>").await;
    assert_eq!(bob.get(&format!("{room}/attachments/{shot}")).await.status, 404, "it waits for its message");
    let said = alice.post(&format!("{room}/messages"), saying("look", &[&page, &shot])).await;
    assert_eq!(said.status, 201, "{}", said.raw);

    let seen = bob.get(&format!("{room}/messages")).await.body["messages"][0]["attachments"].clone();
    assert_eq!((&seen[0]["attachmentId"], &seen[1]["attachmentId"]), (&json!(page), &json!(shot)));
    assert_eq!((&seen[1]["name"], &seen[1]["contentType"]), (&json!("größe \"1\".png"), &json!("image/png")));
    let request = bob.request(Method::GET, &format!("{room}/attachments/{shot}"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.bytes().await.unwrap(), PNG);

    let read = bob.get(&format!("{room}/attachments/{page}")).await;
    assert_eq!(read.raw, "<script>alert(1)</script>");
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"),
    ] {
        assert_eq!(read.header(name), value, "{name}");
    }
    let named = bob.get(&format!("{room}/attachments/{shot}")).await;
    assert_eq!(
        named.header("content-disposition"),
        "inline; filename=\"gr--e--1-.png\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22.png"
    );
}

#[tokio::test]
async fn what_is_no_image_and_no_text_is_refused() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let image = [PNG, &vec![0; 5 * 1024 * 1024 - PNG.len()]].concat();
    assert_eq!(attach(&alice, &room, "x", &image).await.status, 201, "exactly 5 MiB");
    let long_name = "a".repeat(121);
    for (name, bytes, status, code) in [
        ("x", &b""[..], 400, "invalid_request"),
        ("x", b"\x7fELF\xff", 400, "invalid_request"),
        ("x", b"a\0b", 400, "invalid_request"),
        ("a%2Fb", b"x", 400, "invalid_request"),
        ("..", b"x", 400, "invalid_request"),
        ("a%00b", b"x", 400, "invalid_request"),
        (&long_name, b"x", 400, "invalid_request"),
        ("x", &[&image[..], b"1"].concat(), 413, "too_large"),
        ("x", &vec![b'a'; 1024 * 1024 + 1], 413, "too_large"),
    ] {
        let refused = attach(&alice, &room, name, bytes).await;
        assert_eq!((refused.status, refused.text("code")), (status, code), "{name}: {}", refused.raw);
    }
}

#[tokio::test]
async fn a_file_belongs_to_one_message_of_its_sender() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let other = world.room(&alice, &["builder"]).await;
    let messages = format!("{room}/messages");
    let file = attached(&alice, &room, "a.txt", b"a").await;
    assert_eq!(bob.post(&messages, saying("mine", &[&file])).await.status, 404);
    assert_eq!(alice.post(&format!("{other}/messages"), saying("elsewhere", &[&file])).await.status, 404);
    assert_eq!(alice.post(&messages, saying("twice", &[&file, &file])).await.status, 400);
    let nine: Vec<String> = some(&alice, &room, 9).await;
    let nine: Vec<&String> = nine.iter().collect();
    assert_eq!(alice.post(&messages, saying("nine", &nine)).await.text("code"), "invalid_request");
    let seen = alice.get(&messages).await.body;
    assert_eq!(seen, json!({ "messages": [], "queue": [] }), "a refused message leaves nothing");
    assert_eq!(alice.post(&messages, saying("eight", &nine[..8])).await.status, 201);
    assert_eq!(alice.post(&messages, saying("again", &nine[..1])).await.status, 404, "it is taken");

    // A message that is taken back takes its files along.
    let queued = alice.post(&messages, saying("later", &[&file])).await;
    assert_eq!((&queued.body["queued"], &queued.body["attachments"][0]["name"]), (&json!(true), &json!("a.txt")));
    alice.delete(&format!("{messages}/{}", queued.text("messageId"))).await;
    assert_eq!(alice.get(&format!("{room}/attachments/{file}")).await.status, 404);
}

async fn some(who: &User, room: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(attached(who, room, &format!("{n}.txt"), b"x").await);
    }
    ids
}

#[tokio::test]
async fn a_file_no_message_came_for_is_forgotten_after_a_day() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let waits = attached(&alice, &room, "a.txt", b"a").await;
    let kept = attached(&alice, &room, "b.txt", b"b").await;
    alice.post(&format!("{room}/messages"), saying("x", &[&kept])).await;
    for (hours, status) in [(23, 200), (2, 404)] {
        world.clock().advance(hours * 3600 * 1000);
        retention::attachments(world.app().clone()).await.unwrap();
        assert_eq!(alice.get(&format!("{room}/attachments/{waits}")).await.status, status);
    }
    assert_eq!(alice.get(&format!("{room}/attachments/{kept}")).await.status, 200);
    for _ in 0..64 {
        attached(&alice, &room, "x", b"x").await;
    }
    let refused = attach(&alice, &room, "x", b"x").await;
    assert_eq!((refused.status, refused.text("code")), (409, "conflict"), "{}", refused.raw);
}

#[tokio::test]
async fn a_machine_is_told_which_files_come_with_a_task_and_reads_them() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    let run = daemon.started(&push).await;
    let file = attached(&stage.alice, &stage.room, "my%20shot.png", PNG).await;
    stage.alice.post(&format!("{}/messages", stage.room), saying("look", &[&file])).await;
    let prompt = daemon.prompt(1).await;
    assert_eq!(prompt.files.len(), 1);
    assert_eq!((prompt.files[0].name.as_str(), prompt.files[0].size), ("my-shot.png", PNG.len() as u64));
    assert!(prompt.text.contains(&format!("- {file}  (image/png")), "{}", prompt.text);
    assert!(prompt.text.contains("chatroom room attachment"), "{}", prompt.text);

    let path = format!("{}/runs/{run}/attachments/{file}", stage.laptop.path());
    let machine = stage.laptop.client.clone();
    let answer = machine.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), PNG);
    let other = computer(&stage.alice, "other").await;
    assert_eq!(other.client.get(&path).await.status, 404);
    let agent = stage.alice.with_token(&push.start.unwrap().run_token);
    assert_eq!(agent.get(&format!("{}/attachments/{file}", stage.room)).await.status, 200);
    let sent = agent.post(&format!("{}/messages", stage.room), saying("mine", &[&file])).await;
    assert_eq!((sent.status, sent.text("code")), (403, "forbidden"));
}
