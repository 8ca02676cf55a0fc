//! Registering machines, their credential, their configurations, and how another computer joins.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chatroom_protocol::Tool;
use chatroom_testkit::fake_daemon::{Computer, registration};
use chatroom_testkit::world::World;
use serde_json::json;
use uuid::Uuid;

use crate::stage::{Stage, computer, save};

#[tokio::test]
async fn us_11_a_machine_belongs_to_who_is_signed_in() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let id = Uuid::new_v4();
    let path = format!("/api/machines/{id}");
    let body = registration("laptop.example", &[Tool::Claude]);
    assert_eq!(world.anonymous().put(&path, body.clone()).await.status, 401);

    let first = alice.put(&path, body.clone()).await;
    assert_eq!(first.status, 200, "{}", first.raw);
    assert_eq!(first.body["availableTools"], json!(["claude"]));
    assert_eq!(first.body["daemonConnected"], false);
    assert_eq!(first.text("alias"), "laptop.example");
    let again = alice.put(&path, body.clone()).await;
    assert_eq!(again.body["registeredAt"], first.body["registeredAt"]);
    let listed = alice.get("/api/machines").await;
    assert_eq!(listed.body["machines"].as_array().unwrap().len(), 1);

    let foreign = bob.put(&path, body).await;
    assert_eq!((foreign.status, foreign.text("code")), (404, "not_found"));
    assert!(foreign.text("detail").contains("CHATROOM_HOME"), "{}", foreign.raw);
    assert_eq!(bob.get("/api/machines").await.body["machines"], json!([]));
    let unknown = format!("/api/machines/{}", Uuid::new_v4());
    for (verb, tail, body) in [
        ("get", "", json!(null)),
        ("patch", "", json!({ "alias": "mine" })),
        ("delete", "", json!(null)),
        ("post", "/credential", json!({})),
        ("post", "/commands", json!({ "type": "ping" })),
        ("get", "/commands", json!(null)),
    ] {
        let ask = async |path: &str| {
            let path = format!("{path}{tail}");
            let answer = match verb {
                "get" => bob.get(&path).await,
                "patch" => bob.patch(&path, body.clone()).await,
                "delete" => bob.delete(&path).await,
                _ => bob.post(&path, body.clone()).await,
            };
            (answer.status, answer.text("code").to_owned(), answer.text("detail").to_owned())
        };
        let (theirs, none) = (ask(&path).await, ask(&unknown).await);
        assert_eq!(theirs, none, "{verb} {tail}");
        assert_eq!(theirs.0, 404, "{verb} {tail}");
    }
    assert_eq!(alice.get(&path).await.text("alias"), "laptop.example");
}

#[tokio::test]
async fn a_machine_says_what_fits() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let path = format!("/api/machines/{}", Uuid::new_v4());
    for (what, body) in [
        ("a long name", json!({ "hostname": "x".repeat(256), "os": "linux", "availableTools": [] })),
        ("no name", json!({ "hostname": "", "os": "linux", "availableTools": [] })),
        ("a control character", json!({ "hostname": "a\nb", "os": "linux", "availableTools": [] })),
        ("another system", json!({ "hostname": "a", "os": "plan9", "availableTools": [] })),
        (
            "an unknown tool",
            json!({ "hostname": "a", "os": "linux", "availableTools": [{ "tool": "sh", "presence": "installed" }] }),
        ),
        ("another field", json!({ "hostname": "a", "os": "linux", "availableTools": [], "argv": ["sh"] })),
    ] {
        let refused = alice.put(&path, body).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{what}");
    }
    assert_eq!(alice.get(&path).await.status, 404);
    assert_eq!(alice.put("/api/machines/not-an-id", registration("a", &[])).await.status, 400);
}

#[tokio::test]
async fn a_machine_is_renamed_and_removed() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    let start = stage.command("start-agent").await;
    let run = daemon.started(&daemon.command(1).await).await;
    stage.say(&stage.alice, "build it").await;
    daemon.prompt(1).await;
    while stage.tasks().await != ["acknowledged"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let named = stage.alice.patch(&stage.laptop.path(), json!({ "alias": " anvil " })).await;
    assert_eq!(named.text("alias"), "anvil");

    let removed = stage.alice.delete(&stage.laptop.path()).await;
    assert_eq!(removed.body, json!({ "changed": true }));
    assert!(daemon.ended().await < Duration::from_secs(1), "the tunnel outlived the machine");
    assert_eq!(daemon.heard().commands.last().unwrap().kind, "stop-agent", "its agents are told to end");
    assert_eq!(stage.alice.get("/api/machines").await.body["machines"], json!([]));
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!((&agent["status"], &agent["configs"]), (&json!("stopped"), &json!([])));
    assert_eq!(stage.tasks().await, ["pending"]);
    assert_eq!(stage.look(&start).await.status, 404);
    assert_eq!(stage.alice.get(&format!("/api/runs/{run}")).await.status, 404);
    let refused = stage.laptop.dial(2, 1).await;
    assert!(refused.is_err(), "its credential still works");
    assert_eq!(stage.alice.delete(&stage.laptop.path()).await.status, 404);
}

#[tokio::test]
async fn a_new_credential_replaces_the_old_at_once() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    let issued = stage.alice.post(&format!("{}/credential", stage.laptop.path()), json!({})).await;
    assert!(daemon.ended().await < Duration::from_secs(1), "the tunnel outlived its credential");
    assert!(stage.laptop.dial(1, 1).await.is_err());
    assert_eq!(stage.laptop.client.get(&format!("{}/commands", stage.laptop.path())).await.status, 401);

    let renewed = Computer::issued(&stage.alice, &issued, &[Tool::Claude]);
    assert_ne!(renewed.platform_token, stage.laptop.platform_token);
    let _daemon = renewed.connect(1).await;
    stage.online(true).await;
}

#[tokio::test]
async fn a_configuration_keeps_what_is_left_out() {
    let stage = Stage::set().await;
    let set = async |body| save(&stage.alice, &stage.laptop, &stage.room, "builder", body).await;
    let saved =
        set(json!({ "agentType": "claude", "workingDir": "/srv/a", "model": "opus-4.1", "mode": "auto" })).await;
    assert_eq!(saved.body["model"], "opus-4.1");
    let moved = set(json!({ "agentType": "claude", "workingDir": "/srv/b" })).await;
    assert_eq!((&moved.body["model"], &moved.body["mode"]), (&json!("opus-4.1"), &json!("auto")));
    let kept = set(json!({ "agentType": "pi", "workingDir": "/srv/c", "onlyIfAbsent": true })).await;
    assert_eq!((&kept.body["agentType"], &kept.body["workingDir"]), (&json!("claude"), &json!("/srv/b")));
    let other = set(json!({ "agentType": "pi", "workingDir": "/srv/c" })).await;
    assert_eq!(other.body.get("model"), None, "a model belongs to its tool");
    assert_eq!(stage.agent(&stage.alice, "builder").await["configs"][0]["agentType"], "pi");

    for (what, body) in [
        ("a relative folder", json!({ "agentType": "claude", "workingDir": "srv" })),
        ("an option as folder", json!({ "agentType": "claude", "workingDir": "--help" })),
        ("an option as model", json!({ "agentType": "claude", "workingDir": "/srv", "model": "--dangerous" })),
        ("a program", json!({ "agentType": "claude", "workingDir": "/srv", "argv": ["sh", "-c", "id"] })),
        ("an unknown tool", json!({ "agentType": "bash", "workingDir": "/srv" })),
    ] {
        let refused = set(body).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{what}");
    }
    let fine = json!({ "agentType": "claude", "workingDir": "/srv" });
    let role = save(&stage.alice, &stage.laptop, &stage.room, "poet", fine.clone()).await;
    assert_eq!(role.text("code"), "unknown_role");
    let member = save(&stage.bob, &stage.laptop, &stage.room, "builder", fine.clone()).await;
    assert_eq!((member.status, member.text("detail")), (404, "no such machine"));
    let theirs = computer(&stage.carol, "carols").await;
    let stranger = save(&stage.carol, &theirs, &stage.room, "builder", fine).await;
    assert_eq!(stranger.status, 404);
    assert_eq!(stage.agent(&stage.bob, "builder").await["configs"], json!([]));
}

#[tokio::test]
async fn a_code_joins_one_computer() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let offered = alice.post("/api/enrolments", json!({})).await;
    assert_eq!(offered.status, 201, "{}", offered.raw);
    let code = offered.text("code").to_owned();
    assert!(offered.text("line").starts_with("curl -fsSL http://"), "{}", offered.raw);
    assert!(offered.text("line").ends_with(&format!("/join.sh | sh -s -- {code}")), "{}", offered.raw);

    let claim =
        |code: &str, id: Uuid| json!({ "code": code, "machineId": id, "machine": registration("tower", &[Tool::Pi]) });
    let nobody = world.anonymous();
    let taken = computer(&bob, "bobs").await;
    let foreign = nobody.post("/api/enrolments/claim", claim(&code, taken.id.0)).await;
    assert_eq!(foreign.status, 404, "{}", foreign.raw);

    let joined = nobody.post("/api/enrolments/claim", claim(&code, Uuid::new_v4())).await;
    let tower = Computer::issued(&nobody, &joined, &[Tool::Pi]);
    assert_eq!(alice.get(&tower.path()).await.text("alias"), "tower");
    let _daemon = tower.connect(1).await;

    for code in [&code, "cro_x", "", alice.token()] {
        let refused = nobody.post("/api/enrolments/claim", claim(code, Uuid::new_v4())).await;
        assert_eq!((refused.status, refused.text("code")), (400, "code_expired"));
    }
    let late = alice.post("/api/enrolments", json!({})).await;
    world.clock().advance(15 * 60 * 1000);
    let refused = nobody.post("/api/enrolments/claim", claim(late.text("code"), Uuid::new_v4())).await;
    assert_eq!(refused.text("code"), "code_expired");
}

/// Makes a program that writes down how it was called.
fn stand_in(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("offered");
    std::fs::write(&path, "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$HOME/called\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs the script as the printed line does, in a home whose name needs quoting.
async fn run_script(script: &str, home: &Path, code: &str) -> (bool, String) {
    std::fs::create_dir_all(home).unwrap();
    let mut shell = tokio::process::Command::new("sh")
        .args(["-s", "--", code])
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, script.as_bytes()).await.unwrap();
    drop(stdin);
    let output = shell.wait_with_output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_script_installs_the_servers_own_program_and_joins() {
    let folder = tempfile::tempdir().unwrap();
    let program = stand_in(folder.path());
    let world = World::start_serving(&program).await;
    let nobody = world.anonymous();
    let script = nobody.get("/join.sh").await;
    assert_eq!(script.status, 200);
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let download = nobody.get(&format!("/download/{platform}/chatroom")).await;
    assert_eq!(download.raw, std::fs::read_to_string(&program).unwrap());
    assert!(script.raw.contains(download.header("chatroom-sha256")), "{}", script.raw);
    assert_eq!(nobody.get("/download/plan9-mips/chatroom").await.status, 404);

    let home = folder.path().join("a home; with $(odd) 'name'");
    let (joined, said) = run_script(&script.raw, &home, "cro_code").await;
    assert!(joined, "{said}");
    let called = std::fs::read_to_string(home.join("called")).unwrap();
    let url = world.app().config.public_url.to_string();
    assert_eq!(called, format!("machine\njoin\n--url\n{url}\ncro_code\n"));
    let installed = home.join(".local/bin/chatroom");
    assert_eq!(std::fs::read(&installed).unwrap(), std::fs::read(&program).unwrap());
    let (_, said) = run_script(&script.raw, &home, "cro_code").await;
    assert!(said.contains("up to date"), "{said}");

    let damaged = script.raw.replace(download.header("chatroom-sha256"), &"0".repeat(64));
    let other = folder.path().join("other");
    let (joined, said) = run_script(&damaged, &other, "cro_code").await;
    assert!(!joined && said.contains("nothing was installed"), "{said}");
    assert!(!other.join(".local/bin/chatroom").exists());
    let elsewhere = script.raw.replace(&format!("offered='{platform}'"), "offered='plan9-mips'");
    let (joined, said) = run_script(&elsewhere, &other, "cro_code").await;
    assert!(!joined && said.contains("plan9-mips") && said.contains(&platform), "{said}");
}

#[tokio::test]
async fn no_credential_lies_in_the_servers_files() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    daemon.started(&push).await;
    stage.command("restart-agent").await;
    let second = daemon.command(2).await;
    let offered = stage.alice.post("/api/enrolments", json!({})).await;
    let secrets = [
        stage.laptop.client.token().to_owned(),
        stage.laptop.platform_token.clone(),
        push.start.unwrap().run_token,
        second.start.unwrap().run_token,
        offered.text("code").to_owned(),
    ];
    let mut files = 0;
    let mut folders = vec![stage.world.data_dir()];
    while let Some(folder) = folders.pop() {
        folders.extend(below(&folder).filter(|path| path.is_dir()));
        for file in below(&folder).filter(|path| path.is_file()) {
            let bytes = std::fs::read(file).unwrap();
            files += 1;
            for secret in &secrets {
                let found = memchr::memmem::find(&bytes, secret.as_bytes()).is_some();
                assert!(!found, "a {}… lies in a file of the server", &secret[..4]);
            }
        }
    }
    assert!(files > 0);
}

fn below(folder: &std::path::Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}
