//! Nothing secret is left behind in plain text, on the server or on the machine.

use std::path::Path;

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;

use crate::laptop::{Desk, Laptop};

fn files(folder: &Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&path, found),
            Ok(kind) if kind.is_file() => found.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_lies_in_plain_text_where_the_server_writes() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&world, &alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "pi", "auto", &["builder"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    // The agent tells its own run token, as a hostile prompt would make it.
    desk.say("[[run: echo $CHATROOM_RUN_TOKEN > token.txt; cat token.txt]]").await;
    laptop.until("the token is told", async || laptop.work_dir().join("token.txt").exists()).await;
    desk.until_status("builder", "awaiting-handoff").await;

    let run_token = std::fs::read_to_string(laptop.work_dir().join("token.txt")).expect("token.txt");
    let run_token = run_token.trim().to_owned();
    assert!(run_token.starts_with("crr_"));
    let credentials = std::fs::read_to_string(laptop.home().join("credentials.json")).expect("credentials.json");
    let mut secrets = vec![run_token.clone(), alice.token().to_owned()];
    secrets.extend(
        credentials.split('"').filter(|part| part.starts_with("crm_") || part.starts_with("crp_")).map(str::to_owned),
    );
    assert_eq!(secrets.len(), 4, "session, run, and both halves of the machine's credential");

    let mut written = Vec::new();
    files(&world.data_dir(), &mut written);
    assert!(written.iter().any(|(path, bytes)| path.extension().is_some_and(|end| end == "db") && !bytes.is_empty()));
    for (path, bytes) in &written {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a {}… in plain text", path.display(), &secret[..4]);
        }
    }
    // The machine keeps its own credential, and nothing of the run's.
    let mut written = Vec::new();
    files(&laptop.home(), &mut written);
    for (path, bytes) in &written {
        let found = bytes.windows(run_token.len()).any(|window| window == run_token.as_bytes());
        assert!(!found, "{} holds the run token", path.display());
    }
}
