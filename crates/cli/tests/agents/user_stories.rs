//! The seed's user stories about starting agents from afar and about who may. US-1, US-3 and US-4
//! to US-7 are told from the shell in `tests/stories`.

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;
use serde_json::json;

use crate::laptop::{Desk, Laptop};

/// US-2: the machine's tools are detected and reported, so that only those can be started.
#[tokio::test(flavor = "multi_thread")]
async fn us_2_tools_are_detected_and_reported() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    let machine = alice.get(&format!("/api/machines/{}", laptop.id)).await.body;
    let mut found: Vec<_> =
        machine["availableTools"].as_array().expect("tools").iter().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(found, ["\"claude\"", "\"opencode\"", "\"pi\""]);
    for tool in machine["tools"].as_array().expect("tools") {
        let installed = tool["presence"] == "installed";
        assert_eq!(installed, tool["tool"] != "cursor", "{tool}");
        assert_eq!(installed, tool["version"].is_string(), "{tool}");
    }

    let desk = Desk::new(&alice, &laptop, "cursor", "ask", &["builder"]).await;
    let body = json!({ "type": "start-agent", "chatroomId": desk.room, "role": "builder" });
    let refused = alice.post(&format!("/api/machines/{}/commands", laptop.id), body).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("tool_missing")), "{}", refused.body);
}

/// US-8: a disconnected agent is started again without touching the computer's terminal.
#[tokio::test(flavor = "multi_thread")]
async fn us_8_a_disconnected_agent_is_restarted_from_afar() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, "pi", "auto", &["builder"]).await;
    let first = desk.start("builder").await;
    desk.until_status("builder", "waiting").await;

    // The agent dies.
    for pid in Laptop::processes_of(&first) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    // It is started again by itself, and again by its user after a stop.
    laptop.until("another run", async || desk.agent("builder").await["run"]["runId"] != first).await;
    let second = desk.until_status("builder", "waiting").await["run"]["runId"].clone();
    desk.command("stop-agent", "builder").await;
    desk.until_status("builder", "stopped").await;
    assert_ne!(second, desk.start("builder").await);
    desk.until_status("builder", "waiting").await;
    desk.say("[[run: echo back > back.txt]]").await;
    laptop.until("it works again", async || laptop.work_dir().join("back.txt").exists()).await;
}

/// US-9: nobody else commands my machine; to others it does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn us_9_nobody_else_commands_my_machine() {
    let (world, model) = (World::start().await, Model::start().await);
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let laptop = Laptop::start(&alice, &model).await;
    let desk = Desk::new(&alice, &laptop, "claude", "ask", &["builder"]).await;
    let unknown = "/api/machines/00000000-0000-4000-8000-000000000000/commands";
    for body in
        [json!({ "type": "ping" }), json!({ "type": "start-agent", "chatroomId": desk.room, "role": "builder" })]
    {
        let foreign = bob.post(&format!("/api/machines/{}/commands", laptop.id), body.clone()).await;
        let missing = bob.post(unknown, body.clone()).await;
        assert_eq!(foreign.status, 404);
        for field in ["code", "detail", "status", "title"] {
            assert_eq!(foreign.body[field], missing.body[field], "{field}");
        }
    }
    let commands = alice.get(&format!("/api/machines/{}/commands", laptop.id)).await.body;
    assert_eq!(commands["commands"], json!([]), "nothing was written down");
}

/// US-12: a command is taken from a live session of mine, and from nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn us_12_only_a_session_of_mine_sends_commands() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    let path = format!("/api/machines/{}/commands", laptop.id);
    let ping = json!({ "type": "ping" });
    assert_eq!(world.anonymous().post(&path, ping.clone()).await.status, 401);
    assert_eq!(alice.with_token("crs_not-a-session").post(&path, ping.clone()).await.status, 401);
    // The machine's own credential proves the machine, not its person.
    let credentials = std::fs::read_to_string(laptop.home().join("credentials.json")).expect("credentials.json");
    let machine = credentials.split('"').find(|part| part.starts_with("crm_")).expect("its credential");
    assert_eq!(alice.with_token(machine).post(&path, ping.clone()).await.status, 403);

    let sent = alice.post(&path, ping.clone()).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    let me = alice.get("/api/auth/session").await.body;
    let revoked = alice.delete(&format!("/api/auth/sessions/{}", me["sessionId"].as_str().expect("an id"))).await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    assert_eq!(alice.post(&path, ping).await.status, 401);
}

/// US-10: the server decides what runs; nothing a client sends becomes a program, a path or an argument.
#[tokio::test(flavor = "multi_thread")]
async fn us_10_the_server_decides_what_runs() {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    let desk = Desk::new(&alice, &laptop, "claude", "ask", &["builder"]).await;
    let path = format!("/api/machines/{}/commands", laptop.id);
    for (name, value) in [
        ("agentTool", json!("opencode")),
        ("tool", json!("pi")),
        ("argv", json!(["--dangerously-skip-permissions"])),
        ("workingDir", json!("/etc")),
        ("command", json!("rm -rf /")),
        ("model", json!("--help")),
        ("payload", json!({ "chatroomId": desk.room })),
    ] {
        let mut body = json!({ "type": "start-agent", "chatroomId": desk.room, "role": "builder" });
        body[name] = value;
        let refused = alice.post(&path, body).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (400, &json!("invalid_request")),
            "{name}: {}",
            refused.body
        );
    }
    for kind in ["run-shell", "start-agent; rm", "", "START-AGENT"] {
        let body = json!({ "type": kind, "chatroomId": desk.room, "role": "builder" });
        assert_eq!(alice.post(&path, body).await.status, 400, "{kind:?}");
    }
    let commands = alice.get(&path).await.body;
    assert_eq!(commands["commands"], json!([]));
}

/// US-11: a machine belongs to the person whose session registered it.
#[tokio::test(flavor = "multi_thread")]
async fn us_11_a_machine_belongs_to_who_registered_it() {
    let (world, model) = (World::start().await, Model::start().await);
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let laptop = Laptop::registered(&alice, &model).await;
    let path = format!("/api/machines/{}", laptop.id);
    let body = json!({ "hostname": "stolen", "os": "linux", "availableTools": [] });
    let stolen = bob.put(&path, body.clone()).await;
    assert_eq!(stolen.status, 404, "{}", stolen.body);
    assert_eq!(bob.post(&format!("{path}/credential"), json!({})).await.status, 404);
    assert_eq!(world.anonymous().put(&path, body).await.status, 401);
    assert_eq!(bob.get("/api/machines").await.body, json!({ "machines": [] }));
    assert_ne!(alice.get(&path).await.body["hostname"], "stolen");
}
