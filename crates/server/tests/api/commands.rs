//! Commands to machines: who may send them, what they may say, and how they come out.

use std::time::Duration;

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::reports::Fact;
use chatroom_testkit::fake_daemon::Manner;
use serde_json::json;
use uuid::Uuid;

use crate::stage::{Stage, computer, configure, save};

#[tokio::test]
async fn us_8_an_agent_is_started_from_afar() {
    let stage = Stage::set().await;
    assert_eq!(stage.status().await, "stopped");
    let mut daemon = stage.connect().await;
    let start = stage.command("start-agent").await;
    let push = daemon.command(1).await;
    assert_eq!(push.kind, "start-agent");
    assert!((1..=120_000).contains(&push.expires_in_ms));
    let run = push.start.clone().unwrap();
    assert_eq!((run.tool.as_str(), run.working_dir.as_str()), ("claude", "/srv/app"));
    assert_eq!(start.text("runId"), run.run_id.to_string());
    assert!(run.system_prompt.contains("You are `builder`"), "{}", run.system_prompt);
    stage.settled(&start, "processing").await;
    assert_eq!(stage.status().await, "starting");
    daemon.started(&push).await;
    let done = stage.settled(&start, "completed").await;
    assert_eq!(done.text("result"), format!("started {}", run.run_id));
    assert_eq!(stage.status().await, "waiting");

    // The run speaks for itself with its token, and for nothing else.
    let inside = stage.alice.with_token(&run.run_token);
    assert_eq!(inside.get(&stage.room).await.status, 200);
    assert_eq!(inside.get("/api/machines").await.status, 403);
    assert_eq!(inside.post(&format!("{}/commands", stage.laptop.path()), json!({ "type": "ping" })).await.status, 403);
}

#[tokio::test]
async fn us_9_and_us_12_a_foreign_machine_takes_no_command() {
    let stage = Stage::set().await;
    let daemon = stage.connect().await;
    let unknown = format!("/api/machines/{}/commands", Uuid::new_v4());
    for who in [&stage.bob, &stage.carol] {
        for body in [
            json!({ "type": "ping" }),
            json!({ "type": "start-agent", "chatroomId": stage.room_id(), "role": "builder" }),
            json!({ "type": "start-agent" }),
        ] {
            let foreign = stage.send(who, body.clone()).await;
            let none = who.post(&unknown, body).await;
            assert_eq!(foreign.status, 404, "{}", foreign.raw);
            assert_eq!((foreign.text("code"), foreign.text("detail")), (none.text("code"), none.text("detail")));
        }
    }
    let theirs = computer(&stage.bob, "bobs").await;
    let refused = theirs.client.post(&format!("{}/commands", stage.laptop.path()), json!({ "type": "ping" })).await;
    assert_eq!(refused.status, 403, "a machine is no person");
    let revoked = stage.alice.with_token("crs_nonsense");
    assert_eq!(revoked.post(&format!("{}/commands", stage.laptop.path()), json!({ "type": "ping" })).await.status, 401);
    assert!(daemon.heard().commands.is_empty());
}

#[tokio::test]
async fn us_10_the_server_alone_says_what_is_run() {
    let stage = Stage::set().await;
    let daemon = stage.connect().await;
    let room = stage.room_id();
    let plain = json!({ "type": "start-agent", "chatroomId": room, "role": "builder" });
    for (name, value) in [
        ("argv", json!(["sh", "-c", "id"])),
        ("tool", json!("pi")),
        ("agentType", json!("pi")),
        ("model", json!("--x")),
        ("path", json!("/bin/sh")),
        ("workingDir", json!("/")),
        ("env", json!({ "A": "b" })),
        ("payload", json!({ "agentTool": "claude" })),
        ("start", json!({ "tool": "pi" })),
    ] {
        let mut body = plain.clone();
        body[name] = value;
        let refused = stage.send(&stage.alice, body).await;
        assert_eq!((refused.status, refused.text("code")), (400, "invalid_request"), "{name}");
    }
    for (what, body, status) in [
        ("an unknown type", json!({ "type": "run-shell" }), 400),
        ("no role", json!({ "type": "start-agent", "chatroomId": room }), 400),
        ("a ping with a room", json!({ "type": "ping", "chatroomId": room }), 400),
        ("an option as role", json!({ "type": "start-agent", "chatroomId": room, "role": "--x" }), 400),
        ("an unknown role", json!({ "type": "start-agent", "chatroomId": room, "role": "poet" }), 404),
        (
            "a room of nobody",
            json!({ "type": "start-agent", "chatroomId": "room_01HF7YAT000000000000000000", "role": "builder" }),
            404,
        ),
    ] {
        let refused = stage.send(&stage.alice, body).await;
        assert_eq!(refused.status, status, "{what}: {}", refused.raw);
    }
    assert!(daemon.heard().commands.is_empty());
}

#[tokio::test]
async fn a_start_is_checked_against_what_the_machine_has() {
    let stage = Stage::set().await;
    let try_start = async |role: &str| {
        let body = json!({ "type": "start-agent", "chatroomId": stage.room_id(), "role": role });
        let answer = stage.send(&stage.alice, body).await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(try_start("reviewer").await, (409, "not_configured".into()));
    for (tool, mode, code) in [("opencode", "ask", "tool_missing"), ("pi", "ask", "not_permitted")] {
        let body = json!({ "agentType": tool, "workingDir": "/srv", "mode": mode });
        assert_eq!(save(&stage.alice, &stage.laptop, &stage.room, "reviewer", body).await.status, 200);
        assert_eq!(try_start("reviewer").await.1, code);
    }
    let body = json!({ "agentType": "pi", "workingDir": "/srv", "mode": "auto" });
    save(&stage.alice, &stage.laptop, &stage.room, "reviewer", body).await;
    assert_eq!(try_start("reviewer").await.0, 201);

    // The role runs on the laptop now; another machine must not take it unnoticed.
    let tower = computer(&stage.alice, "tower").await;
    configure(&stage.alice, &tower, &stage.room, "reviewer").await;
    let body = json!({ "type": "start-agent", "chatroomId": stage.room_id(), "role": "reviewer" });
    let refused = stage.alice.post(&format!("{}/commands", tower.path()), body).await;
    assert_eq!((refused.status, refused.text("code")), (409, "runs_elsewhere"));
}

#[tokio::test]
async fn a_start_joins_the_one_under_way_and_a_stop_is_idempotent() {
    let stage = Stage::set().await;
    let idle = stage.command("stop-agent").await;
    assert_eq!((idle.text("status"), idle.text("result")), ("completed", "was not running"));
    let mut daemon = stage.connect().await;
    let first = stage.command("start-agent").await;
    let second = stage.command("start-agent").await;
    assert_eq!(second.text("status"), "completed");
    assert!(second.text("result").contains(first.text("runId")), "{}", second.raw);
    let run = daemon.started(&daemon.command(1).await).await;

    let stop = stage.command("stop-agent").await;
    assert_eq!(stage.status().await, "stopping");
    let push = daemon.command(2).await;
    assert_eq!((push.kind.as_str(), push.start.is_none()), ("stop-agent", true));
    daemon
        .report([
            Fact::RunExited { run_id: run, requested: true, reason: "stopped".into() },
            Fact::CommandFinished {
                command_id: push.command_id,
                status: CommandStatus::Completed,
                result: "stopped".into(),
            },
        ])
        .await;
    stage.settled(&stop, "completed").await;
    assert_eq!(stage.status().await, "stopped");
    assert_eq!(daemon.heard().commands.len(), 2);
    assert!(stage.notices().await.is_empty());
}

#[tokio::test]
async fn a_restart_is_one_command_and_one_new_run() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let old = daemon.started(&daemon.command(1).await).await;
    let restart = stage.command("restart-agent").await;
    let push = daemon.command(2).await;
    assert_eq!(push.kind, "restart-agent");
    daemon.report([Fact::RunExited { run_id: old, requested: true, reason: "stopped".into() }]).await;
    let new = daemon.started(&push).await;
    stage.settled(&restart, "completed").await;
    assert_ne!(old, new);
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!((&agent["status"], &agent["run"]["runId"]), (&json!("waiting"), &json!(new)));

    // A restart that fails leaves what runs, and says so.
    let failed = stage.command("restart-agent").await;
    let push = daemon.command(3).await;
    daemon
        .report([Fact::CommandFinished {
            command_id: push.command_id,
            status: CommandStatus::Failed,
            result: "no such folder".into(),
        }])
        .await;
    stage.settled(&failed, "failed").await;
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!((&agent["status"], &agent["run"]["runId"]), (&json!("waiting"), &json!(new)));
    assert_eq!(stage.notices().await, ["builder could not be started."]);
}

#[tokio::test]
async fn a_command_past_its_deadline_expires_and_is_never_pushed() {
    let stage = Stage::set().await;
    let start = stage.command("start-agent").await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    assert_eq!(stage.status().await, "offline");
    stage.world.clock().advance(120_001);
    let expired = stage.settled(&start, "expired").await;
    assert!(expired.text("result").contains("before its deadline"), "{}", expired.raw);
    stage.settled(&ping, "expired").await;
    let daemon = stage.connect().await;
    let fresh = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    let only = daemon.command(1).await;
    assert_eq!(only.command_id.to_string(), fresh.text("commandId"));
    assert_eq!(daemon.heard().commands.len(), 1);
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!(agent["status"], "gave-up");
    assert!(agent["reason"].as_str().unwrap().contains("before its deadline"), "{agent}");
}

#[tokio::test]
async fn a_command_taken_and_never_answered_fails_in_time() {
    let stage = Stage::set().await;
    let _daemon = stage.connect().await;
    let start = stage.command("start-agent").await;
    stage.settled(&start, "processing").await;
    stage.world.clock().advance(120_001);
    let failed = stage.settled(&start, "failed").await;
    assert!(failed.text("result").contains("journal"), "{}", failed.raw);
    assert_eq!(stage.agent(&stage.alice, "builder").await["run"]["activity"], "exited");
}

#[tokio::test]
async fn what_was_not_acknowledged_is_pushed_again() {
    let stage = Stage::set().await;
    let manner = Manner { slow: Some(("start-agent", Duration::from_mins(1))), ..Manner::default() };
    let slow = stage.connect_with(1, manner).await;
    let start = stage.command("start-agent").await;
    let first = slow.command(1).await;

    // A slow start does not delay a ping.
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    assert_eq!(stage.look(&start).await.text("status"), "pending");

    slow.cut();
    stage.online(false).await;
    let manner = Manner { outcome: Some((CommandStatus::Completed, "from the journal")), ..Manner::default() };
    let again = stage.connect_with(2, manner).await;
    let second = again.command(1).await;
    assert_eq!(second.command_id, first.command_id);
    assert_eq!(second.start.unwrap().run_token, first.start.unwrap().run_token);
    let done = stage.settled(&start, "completed").await;
    assert_eq!(done.text("result"), "from the journal");
}

#[tokio::test]
async fn a_machine_reads_and_acknowledges_its_own_commands_only() {
    let stage = Stage::set().await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    let own = &stage.laptop.client;
    let pending = own.get(&format!("{}/commands?status=pending", stage.laptop.path())).await;
    assert_eq!(pending.body["commands"][0]["commandId"], ping.body["commandId"]);
    assert!(!pending.raw.contains("crr_"));
    let ack = format!("{}/commands/{}/ack", stage.laptop.path(), ping.text("commandId"));
    let theirs = computer(&stage.bob, "bobs").await;
    assert_eq!(theirs.client.post(&ack, json!({ "status": "completed" })).await.status, 404);
    assert_eq!(theirs.client.get(&format!("{}/commands", stage.laptop.path())).await.status, 404);
    assert_eq!(own.post(&ack, json!({ "status": "pending" })).await.status, 400);
    let done = own.post(&ack, json!({ "status": "failed", "result": "no" })).await;
    assert_eq!(done.body, json!({ "changed": true }));
    let late = own.post(&ack, json!({ "status": "completed" })).await;
    assert_eq!(late.body, json!({ "changed": false }));
    let seen = stage.look(&ping).await;
    assert_eq!((seen.text("status"), seen.text("result")), ("failed", "no"));
}

#[tokio::test]
async fn too_many_waiting_commands_are_refused() {
    let stage = Stage::set().await;
    for _ in 0..200 {
        assert_eq!(stage.send(&stage.alice, json!({ "type": "status" })).await.status, 201);
    }
    let refused = stage.send(&stage.alice, json!({ "type": "status" })).await;
    assert_eq!((refused.status, refused.text("code")), (429, "too_many_commands"));
}

#[tokio::test]
async fn reports_are_applied_once_and_in_order() {
    let stage = Stage::set().await;
    let daemon = stage.connect_with(5, Manner::default()).await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    let run_id = push.start.unwrap().run_id;
    let said = |seq: u64, fact: Fact| json!({ "seq": seq, "at": 0, "fact": fact });
    let active = |activity| Fact::RunActivity { run_id, activity };
    let first = [
        said(1, Fact::RunStarted { run_id, pid: 1, start_time: 2 }),
        said(2, active(RunActivity::Idle)),
        json!({ "seq": 3, "at": 0, "fact": { "type": "from_the_future", "x": 1 } }),
    ];
    assert_eq!(daemon.report_raw(5, &first).await.body, json!({ "appliedThrough": 3 }));
    assert_eq!(stage.status().await, "waiting");
    let second = [said(3, active(RunActivity::Exited)), said(4, active(RunActivity::Working))];
    assert_eq!(daemon.report_raw(5, &second).await.body, json!({ "appliedThrough": 4 }));
    assert_eq!(stage.status().await, "working");
    assert_eq!(daemon.report_raw(5, &first).await.body, json!({ "appliedThrough": 4 }), "repeated");
    assert_eq!(stage.status().await, "working");

    let backwards = [said(6, active(RunActivity::Idle)), said(5, active(RunActivity::Idle))];
    assert_eq!(daemon.report_raw(5, &backwards).await.status, 400);
    let old = daemon.report_raw(4, &[said(9, active(RunActivity::Idle))]).await;
    assert_eq!((old.status, old.text("code")), (409, "stale_epoch"));
    assert_eq!(stage.status().await, "working");

    // A machine speaks of its own runs only, and to its own path only.
    let theirs = computer(&stage.bob, "bobs").await;
    let mut other = theirs.connect(1).await;
    other.report([Fact::RunExited { run_id, requested: false, reason: "mine now".into() }]).await;
    assert_eq!(stage.status().await, "working");
    let body = json!({ "epoch": 9, "journalId": "x", "reports": [] });
    assert_eq!(theirs.client.post(&format!("{}/reports", stage.laptop.path()), body.clone()).await.status, 404);
    assert_eq!(stage.alice.post(&format!("{}/reports", stage.laptop.path()), body).await.status, 403);
}
