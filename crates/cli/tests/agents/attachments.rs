//! A file beside a message is a file of the run that gets its task.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use reqwest::Method;
use serde_json::json;

use crate::laptop::{Desk, Laptop};
use crate::stories::HAND_OFF;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff\xfe rest of it";

/// Returns the path a prompt names for a file.
fn named(prompt: &str, file: &str) -> Option<PathBuf> {
    let word = prompt.split_whitespace().find(|word| word.starts_with('/') && word.ends_with(file))?;
    Some(Path::new(word).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_finds_a_file_where_its_task_says() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "claude", "auto", &["builder"]).await;
    let run = desk.start("builder").await;
    desk.until_status("builder", "waiting").await;

    let room = format!("/api/chatrooms/{}", desk.room);
    let file = alice.request(Method::POST, &format!("{room}/attachments?name=my%20shot.png")).body(PNG);
    let file = alice.send(file).await.text("attachmentId").to_owned();
    let said = alice.post(&format!("{room}/messages"), json!({ "content": "look", "attachments": [file] })).await;
    assert_eq!(said.status, 201, "{}", said.raw);
    let asked = |prompt: &str| prompt.contains("> look") && named(prompt, "my-shot.png").is_some();
    let request = model.wait_for(|request| asked(request.prompt()), Duration::from_mins(1)).await.expect("its task");

    let path = named(request.prompt(), "my-shot.png").expect("a path");
    assert!(path.starts_with(laptop.home().join("runs").join(&run)), "{}", path.display());
    assert_eq!(std::fs::read(&path).expect("the file"), PNG);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));

    // The program itself reads it there.
    let text = format!("[[run: cp {} copied.png]] {HAND_OFF}", path.display());
    let told = alice.post(&format!("{room}/agents/builder/follow-up"), json!({ "text": text })).await;
    assert!(told.status < 300, "{}", told.raw);
    desk.until_handoff("builder", "the-result").await;
    assert_eq!(std::fs::read(laptop.work_dir().join("copied.png")).expect("the copy"), PNG);
}
