//! Agents: their tasks, their questions, and who may steer them.

use std::time::Duration;

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::reports::{Fact, PermissionOutcome, TurnOutcome};
use chatroom_protocol::{ErrorCode, PermissionId, RunId, Timestamp};
use chatroom_testkit::fake_daemon::{FakeDaemon, Manner};
use serde_json::json;

use crate::stage::Stage;

/// Sets the stage with a builder that runs and is idle.
async fn running() -> (Stage, FakeDaemon, RunId) {
    running_with(Manner::default()).await
}

async fn running_with(manner: Manner) -> (Stage, FakeDaemon, RunId) {
    let stage = Stage::set().await;
    let mut daemon = stage.connect_with(1, manner).await;
    stage.command("start-agent").await;
    let run = daemon.started(&daemon.command(1).await).await;
    (stage, daemon, run)
}

fn active(run_id: RunId, activity: RunActivity) -> Fact {
    Fact::RunActivity { run_id, activity }
}

/// Polls until the room's tasks have these states.
async fn tasks_are(stage: &Stage, wanted: &[&str]) {
    for _ in 0..1000 {
        if stage.tasks().await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} never became {wanted:?}", stage.tasks().await);
}

#[tokio::test]
async fn a_task_is_given_begun_and_handed_on() {
    let (stage, mut daemon, run_id) = running().await;
    stage.say(&stage.alice, "build it").await;
    let prompt = daemon.prompt(1).await;
    assert!(prompt.text.contains("> build it"), "{}", prompt.text);
    assert!(!prompt.text.contains("wait-for-task"), "{}", prompt.text);
    tasks_are(&stage, &["acknowledged"]).await;
    let prompt_id = prompt.prompt_id;
    daemon
        .report([
            active(run_id, RunActivity::Working),
            Fact::PromptSent { run_id, prompt_id },
            Fact::PromptStarted { run_id, prompt_id },
        ])
        .await;
    assert_eq!(stage.tasks().await, ["in_progress"]);
    assert_eq!(stage.status().await, "working");

    // The turn ends without a hand-off: it shows, and the agent is reminded once.
    let ended = Fact::TurnEnded { run_id, prompt_id, outcome: TurnOutcome::End, detail: None };
    daemon.report([ended.clone(), active(run_id, RunActivity::Idle)]).await;
    assert_eq!(stage.status().await, "awaiting-handoff");
    let reminder = daemon.prompt(2).await;
    assert!(reminder.text.contains("not handed on"), "{}", reminder.text);
    let prompt_id = reminder.prompt_id;
    daemon
        .report([
            ended,
            active(run_id, RunActivity::Working),
            Fact::PromptStarted { run_id, prompt_id },
            Fact::TurnEnded { run_id, prompt_id, outcome: TurnOutcome::End, detail: None },
            active(run_id, RunActivity::Idle),
        ])
        .await;
    assert_eq!(stage.status().await, "awaiting-handoff");
    assert_eq!(daemon.heard().prompts.len(), 2, "reminded once");

    // The next message waits until this one is handed on.
    stage.say(&stage.alice, "and this").await;
    let token = daemon.command(1).await.start.unwrap().run_token;
    let inside = stage.alice.with_token(&token);
    let body = json!({ "nextRole": "user", "content": "done" });
    let handed = inside.post(&format!("{}/roles/builder/handoff", stage.room), body).await;
    assert_eq!(handed.status, 200, "{}", handed.raw);
    let next = daemon.prompt(3).await;
    assert!(next.text.contains("> and this"), "{}", next.text);
    assert_ne!(stage.status().await, "awaiting-handoff");
}

#[tokio::test]
async fn a_task_waits_for_the_start_and_is_given_with_it() {
    let stage = Stage::set().await;
    stage.say(&stage.alice, "build it").await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    assert!(daemon.heard().prompts.is_empty(), "there is no process yet");
    daemon.started(&push).await;
    assert!(daemon.prompt(1).await.text.contains("> build it"));
    tasks_are(&stage, &["acknowledged"]).await;
}

#[tokio::test]
async fn an_exit_gives_the_task_back_and_says_why() {
    let (stage, mut daemon, run_id) = running().await;
    stage.say(&stage.alice, "build it").await;
    let prompt_id = daemon.prompt(1).await.prompt_id;
    let permission_id = PermissionId::from_parts(Timestamp(1), 1);
    daemon
        .report([
            active(run_id, RunActivity::Working),
            Fact::PromptStarted { run_id, prompt_id },
            asked(run_id, permission_id),
            Fact::RunExited { run_id, requested: false, reason: "killed by signal 9\n".into() },
            active(run_id, RunActivity::Working),
        ])
        .await;
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!((&agent["status"], &agent["crashes"]), (&json!("starting"), &json!(1)));
    assert_eq!(agent["permissions"], json!([]), "its questions are gone with it");
    assert_eq!(stage.tasks().await, ["pending"]);
    let told = "builder stopped by itself and is started again. Its task is pending again, for the next start.";
    assert_eq!(stage.notices().await, [told]);
    let ended = stage.alice.get(&format!("/api/runs/{run_id}")).await;
    assert_eq!(ended.text("exit"), "killed by signal 9");
    let token = daemon.command(1).await.start.unwrap().run_token;
    assert_eq!(stage.alice.with_token(&token).get(&stage.room).await.status, 401, "its token is dead");

    // It is started again: a new run gets the same task.
    let second = daemon.started(&daemon.command(2).await).await;
    assert!(daemon.prompt(2).await.text.contains("> build it"));
    assert_eq!(stage.agent(&stage.alice, "builder").await["status"], "waiting");
    daemon.report([Fact::RunExited { run_id, requested: false, reason: "late".into() }]).await;
    assert_eq!(stage.agent(&stage.alice, "builder").await["run"]["runId"], json!(second));
    assert_eq!(stage.status().await, "waiting", "a late fact about an older run changes nothing");
}

#[tokio::test]
async fn an_explicit_stop_says_that_the_task_is_pending_again() {
    let (stage, mut daemon, run_id) = running().await;
    stage.say(&stage.alice, "build it").await;
    daemon.prompt(1).await;
    tasks_are(&stage, &["acknowledged"]).await;
    stage.command("stop-agent").await;
    daemon.report([Fact::RunExited { run_id, requested: true, reason: "stopped".into() }]).await;
    assert_eq!(stage.status().await, "stopped");
    assert_eq!(stage.notices().await, ["builder was stopped. Its task is pending again, for the next start."]);
}

#[tokio::test]
async fn a_start_that_fails_shows_its_reason() {
    let stage = Stage::set().await;
    let manner = Manner {
        outcome: Some((CommandStatus::Failed, "/srv/app is not allowed; run `chatroom machine allow /srv/app`")),
        ..Manner::default()
    };
    let _daemon = stage.connect_with(1, manner).await;
    let start = stage.command("start-agent").await;
    stage.settled(&start, "failed").await;
    let agent = stage.agent(&stage.alice, "builder").await;
    assert_eq!(agent["status"], "gave-up");
    assert!(agent["reason"].as_str().unwrap().contains("chatroom machine allow"), "{agent}");
    // Others learn that it stopped; the folder is not theirs to know.
    assert_eq!(stage.notices().await, ["builder could not be started."]);
    let others = stage.agent(&stage.bob, "builder").await;
    assert_eq!(others["status"], "gave-up");
    assert!(!others.to_string().contains("/srv/app"), "{others}");
}

fn asked(run_id: RunId, permission_id: PermissionId) -> Fact {
    Fact::PermissionAsked {
        run_id,
        permission_id,
        title: "bash: rm -rf build".into(),
        input: r#"{"command":"rm -rf build"}"#.into(),
        always: Some("exactly this command".into()),
        digest: "digest-1".into(),
    }
}

#[tokio::test]
async fn a_question_is_answered_by_the_machines_user_for_what_was_shown() {
    let (stage, mut daemon, run_id) = running().await;
    let id = PermissionId::from_parts(Timestamp(1), 1);
    daemon.report([active(run_id, RunActivity::WaitingPermission), asked(run_id, id)]).await;
    let mine = stage.agent(&stage.alice, "builder").await;
    assert_eq!(mine["status"], "needs-you");
    assert_eq!(mine["permissions"][0]["title"], "bash: rm -rf build");
    let theirs = stage.agent(&stage.bob, "builder").await;
    assert_eq!((&theirs["status"], &theirs["permissions"]), (&json!("needs-you"), &json!([])));
    assert!(!theirs.to_string().contains("rm -rf"), "{theirs}");
    assert!(!theirs.to_string().contains("/srv/app"), "{theirs}");

    let path = format!("{}/agents/builder/permissions/{id}", stage.room);
    let answer = |digest: &str| json!({ "decision": "allow", "digest": digest });
    for who in [&stage.bob, &stage.carol] {
        assert_eq!(who.post(&path, answer("digest-1")).await.status, 404);
    }
    let inside = stage.alice.with_token(&daemon.command(1).await.start.unwrap().run_token);
    assert_eq!(inside.post(&path, answer("digest-1")).await.status, 403, "an agent does not permit itself");
    let other = stage.alice.post(&path, answer("digest-2")).await;
    assert_eq!((other.status, other.text("code")), (409, "permission_changed"));
    assert!(daemon.heard().decisions.is_empty());

    assert_eq!(stage.alice.post(&path, answer("digest-1")).await.status, 200);
    assert_eq!(daemon.heard().decisions.len(), 1);
    let late = stage.alice.post(&path, answer("digest-1")).await;
    assert_eq!((late.status, late.text("code")), (409, "permission_closed"));
    daemon.report([Fact::PermissionClosed { run_id, permission_id: id, outcome: PermissionOutcome::Allowed }]).await;
    assert_eq!(stage.agent(&stage.alice, "builder").await["permissions"], json!([]));
}

#[tokio::test]
async fn a_daemon_has_the_last_word_on_an_answer() {
    let manner = Manner { refuses_answers: Some(ErrorCode::PermissionClosed), ..Manner::default() };
    let (stage, mut daemon, run_id) = running_with(manner).await;
    let id = PermissionId::from_parts(Timestamp(1), 1);
    daemon.report([asked(run_id, id)]).await;
    let path = format!("{}/agents/builder/permissions/{id}", stage.room);
    let refused = stage.alice.post(&path, json!({ "decision": "deny", "digest": "digest-1" })).await;
    assert_eq!((refused.status, refused.text("code")), (409, "permission_closed"));
}

#[tokio::test]
async fn steering_is_for_the_machines_user_alone() {
    let (stage, daemon, run_id) = running().await;
    let agent = format!("{}/agents/builder", stage.room);
    let follow = json!({ "text": " one more thing " });
    let there = format!("{}/runs/{run_id}/transcript", stage.laptop.path());
    for who in [&stage.bob, &stage.carol] {
        assert_eq!(who.post(&format!("{agent}/interrupt"), json!({})).await.status, 404);
        assert_eq!(who.post(&format!("{agent}/follow-up"), follow.clone()).await.status, 404);
        assert_eq!(who.put(&format!("{agent}/share"), json!({ "shared": true })).await.status, 404);
        assert_eq!(who.get(&there).await.status, 404);
    }
    assert_eq!(stage.bob.get(&format!("/api/runs/{run_id}")).await.body["workingDir"], "");
    assert_eq!(stage.carol.get(&format!("/api/runs/{run_id}")).await.status, 404);

    assert_eq!(stage.alice.post(&format!("{agent}/interrupt"), json!({})).await.status, 200);
    assert_eq!(daemon.heard().interrupts[0].0, run_id);
    assert_eq!(stage.alice.post(&format!("{agent}/follow-up"), follow.clone()).await.status, 200);
    assert_eq!(daemon.prompt(1).await.text, "one more thing");
    assert_eq!(stage.alice.post(&format!("{agent}/follow-up"), json!({ "text": " " })).await.status, 400);
    let log = stage.alice.get(&format!("{there}?offset=-1&live=long-poll")).await;
    assert_eq!(log.header("content-type"), "application/json");
    assert_eq!(log.body, json!([{ "run": run_id }, { "follow": true }]));
    let idle = stage.alice.post(&format!("{}/agents/reviewer/interrupt", stage.room), json!({})).await;
    assert_eq!((idle.status, idle.text("code")), (409, "not_running"));

    drop(daemon);
    stage.online(false).await;
    let away = stage.alice.post(&format!("{agent}/interrupt"), json!({})).await;
    assert_eq!(away.text("code"), "machine_offline", "{}", away.raw);
    let away = stage.alice.post(&format!("{agent}/follow-up"), follow).await;
    assert_eq!(away.text("code"), "machine_offline", "{}", away.raw);
    let seen = stage.agent(&stage.alice, "builder").await;
    assert_eq!(seen["status"], "offline");
    assert!(seen["reason"].as_str().unwrap().starts_with("laptop was last seen"), "{seen}");
    let seen = stage.agent(&stage.bob, "builder").await;
    assert!(seen["reason"].as_str().unwrap().starts_with("its machine was last seen"), "{seen}");
}

#[tokio::test]
async fn another_members_words_wait_unless_the_agent_is_shared() {
    let (stage, daemon, _) = running().await;
    stage.say(&stage.bob, "do this for me").await;
    let tasks = stage.alice.get(&format!("{}/tasks", stage.room)).await;
    assert_eq!(tasks.body["tasks"][0]["heldForOwner"], true, "{}", tasks.raw);
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    assert!(daemon.heard().prompts.is_empty());

    let share = format!("{}/agents/builder/share", stage.room);
    assert_eq!(stage.alice.put(&share, json!({ "shared": true })).await.body, json!({ "changed": true }));
    assert_eq!(stage.alice.put(&share, json!({ "shared": true })).await.body, json!({ "changed": false }));
    assert!(daemon.prompt(1).await.text.contains("> do this for me"));
    assert_eq!(stage.agent(&stage.bob, "builder").await["shared"], true);
}

#[tokio::test]
async fn an_errored_and_an_uncertain_turn_are_told() {
    let (stage, mut daemon, run_id) = running().await;
    stage.say(&stage.alice, "build it").await;
    let prompt_id = daemon.prompt(1).await.prompt_id;
    let detail = Some("rate limit reached".to_owned());
    daemon.report([Fact::TurnEnded { run_id, prompt_id, outcome: TurnOutcome::Error, detail }]).await;
    let follow = json!({ "text": "go on" });
    stage.alice.post(&format!("{}/agents/builder/follow-up", stage.room), follow).await;
    let prompt_id = daemon.prompt(2).await.prompt_id;
    daemon.report([Fact::PromptUncertain { run_id, prompt_id }]).await;
    let notices = stage.notices().await;
    assert_eq!(notices[0], "builder's turn ended with an error; the user of its machine sees which.");
    assert!(notices[1].contains("may or may not have been given"), "{notices:?}");
    assert_eq!(stage.status().await, "awaiting-handoff");
    assert_eq!(daemon.heard().prompts.len(), 2, "nobody is reminded after an error");
}

#[tokio::test]
async fn a_role_s_runs_are_listed_and_what_they_said_names_them() {
    let (stage, mut daemon, first) = running().await;
    stage.say(&stage.alice, "build it").await;
    daemon.prompt(1).await;
    tasks_are(&stage, &["acknowledged"]).await;
    let tasks = stage.alice.get(&format!("{}/tasks", stage.room)).await.body;
    assert_eq!(tasks["tasks"][0]["runId"], json!(first));
    let agent = stage.alice.with_token(&daemon.command(1).await.start.unwrap().run_token);
    let handoff = json!({ "nextRole": "user", "content": "done" });
    let handed = agent.post(&format!("{}/roles/builder/handoff", stage.room), handoff).await;
    assert_eq!(handed.body["message"]["runId"], json!(first), "{}", handed.raw);
    let said = stage.bob.get(&format!("{}/messages", stage.room)).await.body;
    assert_eq!((&said["messages"][0]["runId"], &said["messages"][1]["runId"]), (&json!(null), &json!(first)));

    daemon.report([Fact::RunExited { run_id: first, requested: false, reason: "exit code 7".into() }]).await;
    let second = daemon.started(&daemon.command(2).await).await;
    let path = format!("{}/agents/builder/runs", stage.room);
    let all = stage.alice.get(&path).await.body;
    let ids: Vec<_> = all["runs"].as_array().unwrap().iter().map(|run| run["runId"].clone()).collect();
    assert_eq!(ids, [json!(second), json!(first)]);
    assert_eq!((&all["runs"][1]["crashed"], &all["runs"][1]["exit"]), (&json!(true), &json!("exit code 7")));
    assert!(all["runs"][1]["exitedAt"].is_i64() && all["runs"][0]["exitedAt"].is_null(), "{all}");

    let newest = stage.bob.get(&format!("{path}?limit=1")).await;
    let older = stage.bob.get(&format!("{path}?limit=1&after={}", newest.text("next"))).await;
    assert_eq!((&older.body["runs"][0]["runId"], &older.body["next"]), (&json!(first), &json!(null)));
    assert!(older.body["runs"][0]["exit"].is_null(), "its words are for the user of its machine: {}", older.raw);
    assert_eq!(stage.bob.get(&format!("{}/agents/painter/runs", stage.room)).await.text("code"), "unknown_role");
    assert_eq!(stage.carol.get(&path).await.status, 404);
}

#[tokio::test]
async fn what_runs_on_a_machine_is_listed_for_its_user() {
    let (stage, mut daemon, run) = running().await;
    let path = format!("{}/runs", stage.laptop.path());
    let live = stage.alice.get(&path).await.body;
    let ids: Vec<_> = live["runs"].as_array().unwrap().iter().map(|run| (&run["runId"], &run["chatroomId"])).collect();
    assert_eq!(ids, [(&json!(run), &json!(stage.room_id()))]);
    assert_eq!(stage.bob.get(&path).await.status, 404);
    stage.command("stop-agent").await;
    daemon.report([Fact::RunExited { run_id: run, requested: true, reason: "stopped".into() }]).await;
    assert_eq!(stage.alice.get(&path).await.body, json!({ "runs": [] }));
}

#[tokio::test]
async fn an_agent_says_since_when_its_machine_is_away() {
    let (stage, daemon, _) = running().await;
    daemon.cut();
    stage.online(false).await;
    let agent = stage.agent(&stage.bob, "builder").await;
    let machine = stage.alice.get(&stage.laptop.path()).await.body;
    assert_eq!((&agent["status"], &agent["offlineSince"]), (&json!("offline"), &machine["lastSeenAt"]), "{agent}");
}
