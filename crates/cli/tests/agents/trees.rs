//! Nothing secret is left behind in plain text, on the server or on the machine.

use std::path::{Path, PathBuf};

use chatroom_server::config::Flags;
use chatroom_testkit::model::Model;
use chatroom_testkit::postgres;
use chatroom_testkit::world::World;
use serde_json::json;
use tokio::process::Command;

use crate::laptop::{Desk, Laptop};

/// A secret that the machine's user put into its `env` file.
const CANARY: &str = "canary-of-alices-laptop";

fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&path, found),
            Ok(kind) if kind.is_file() => found.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
            _ => {}
        }
    }
}

/// Uses every kind of credential there is, and returns the plain text of each.
async fn credentials(world: &World) -> (Vec<String>, Laptop, String) {
    let model = Model::start().await;
    let alice = world.user("alice").await;
    let mut laptop = Laptop::registered(&alice, &model).await;
    std::fs::write(laptop.home().join("env"), format!("secret CANARY={CANARY}\n")).expect("the env file");
    laptop.start_daemon(&alice).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "pi", "auto", &["builder"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    // The agent tells its own run token, and a secret of its machine, as a hostile prompt would make it: in two pieces.
    let tell = "for it in $CHATROOM_RUN_TOKEN $CANARY; do printf %s \"$(echo $it | cut -c1-9)\"; sleep 0.3; \
                echo $it | cut -c10-; done";
    desk.say(&format!("[[run: echo $CHATROOM_RUN_TOKEN > token.txt; {tell}]]")).await;
    laptop.until("the token is told", async || laptop.work_dir().join("token.txt").exists()).await;
    desk.until_status("builder", "awaiting-handoff").await;
    let told = std::fs::read_to_string(laptop.work_dir().join("token.txt")).expect("token.txt");
    let run_token = told.trim().to_owned();
    assert!(run_token.starts_with("crr_"));

    let own = std::fs::read_to_string(laptop.home().join("credentials.json")).expect("credentials.json");
    let halves = own.split('"').filter(|part| part.starts_with("crm_") || part.starts_with("crp_"));
    let mut secrets: Vec<String> = halves.map(str::to_owned).collect();
    assert_eq!(secrets.len(), 2, "both halves of the machine's credential");
    let enrolment = alice.post("/api/enrolments", json!({})).await;
    let invitation = alice.post(&format!("/api/instances/{}/invitations", alice.instance), json!({})).await;
    let device = json!({ "device": "phone", "version": "1" });
    let device = world.anonymous().post("/api/auth/device", device).await;
    let me = alice.get("/api/auth/session").await.body;
    let user = me["userId"].as_str().expect("an id").parse().expect("a user");
    let link = chatroom_server::accounts::sign_in_link(world.app(), user).await.expect("a link");
    secrets.extend([
        run_token.clone(),
        CANARY.to_owned(),
        alice.token().to_owned(),
        enrolment.text("code").to_owned(),
        invitation.text("code").to_owned(),
        device.text("deviceCode").to_owned(),
        link.split_once("code=").expect("a code").1.to_owned(),
        chatroom_testkit::world::PASSWORD.to_owned(),
    ]);
    (secrets, laptop, run_token)
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_lies_in_plain_text_where_the_server_writes() {
    let world = World::start().await;
    let (secrets, laptop, run_token) = credentials(&world).await;
    let mut written = Vec::new();
    files(&world.data_dir(), &mut written);
    assert!(written.iter().any(|(path, bytes)| path.extension().is_some_and(|end| end == "db") && !bytes.is_empty()));
    for (path, bytes) in &written {
        for secret in &secrets {
            assert!(!holds(bytes, secret), "{} holds a {}… in plain text", path.display(), &secret[..4]);
        }
    }
    // The machine keeps its own credential and what its user wrote, and nothing of the run's.
    let mut written = vec![(PathBuf::from("daemon.log"), laptop.daemon_log().into_bytes())];
    files(&laptop.home(), &mut written);
    assert!(written.iter().any(|(path, bytes)| path.ends_with("output.log") && holds(bytes, "[redacted]")));
    for (path, bytes) in &written {
        assert!(!holds(bytes, &run_token), "{} holds the run token", path.display());
        assert!(path.ends_with("env") || !holds(bytes, CANARY), "{} holds the machine's secret", path.display());
        let is_own = path.ends_with("credentials.json");
        for half in secrets.iter().filter(|secret| secret.starts_with("crm_") || secret.starts_with("crp_")) {
            assert!(is_own || !holds(bytes, half), "{} holds the machine's credential", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_lies_in_plain_text_in_a_database_dump() {
    let database = postgres::fresh_database().await.expect("a database").to_string();
    let flags = Flags { open_sign_up: Some(true), database: Some(database.clone()), ..Flags::default() };
    let world = World::start_with(flags).await;
    let (secrets, _laptop, _) = credentials(&world).await;
    let dump = Command::new("pg_dump").arg(&database).output().await.expect("pg_dump");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    assert!(holds(&dump.stdout, "COPY public.machines"), "the dump holds the tables");
    for secret in &secrets {
        assert!(!holds(&dump.stdout, secret), "the dump holds a {}… in plain text", &secret[..4]);
    }
}
