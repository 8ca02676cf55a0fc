//! Who steers an agent, as its machine is told; and what waits to be told to it.

use chatroom_protocol::api::agents::PermissionScope;
use chatroom_protocol::api::daemon::{ChangePrompt, PromptFrom};
use chatroom_protocol::api::reports::{Fact, TurnOutcome};
use chatroom_protocol::{ConversationId, ErrorCode, PermissionId};
use chatroom_testkit::fake_daemon::{FakeDaemon, Manner};
use serde_json::{Value, json};

use crate::stage::{Stage, save};

#[tokio::test]
async fn the_machine_is_told_who_steers() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let run_id = daemon.started(&daemon.command(1).await).await;
    assert_eq!(daemon.command(1).await.by, None, "a start steers nothing");
    let agent = format!("{}/agents/builder", stage.room);
    let is_alice = |by: &Option<chatroom_protocol::api::daemon::Steerer>| {
        by.as_ref().is_some_and(|by| by.name == "alice" && by.user_id.to_string().starts_with("usr_"))
    };

    stage.say(&stage.alice, "build it").await;
    let task = stage.alice.get(&format!("{}/tasks", stage.room)).await.body["tasks"][0]["taskId"].clone();
    let given = daemon.prompt(1).await;
    let Some(PromptFrom::Task { task_id }) = &given.from else { panic!("{given:?}") };
    assert_eq!(json!(task_id), task);
    let prompt_id = given.prompt_id;
    daemon.report([Fact::TurnEnded { run_id, prompt_id, outcome: TurnOutcome::End, detail: None }]).await;
    let reminder = daemon.prompt(2).await;
    assert!(matches!(&reminder.from, Some(PromptFrom::Reminder { task_id }) if json!(task_id) == task), "{reminder:?}");

    stage.alice.post(&format!("{agent}/follow-up"), json!({ "text": "and this" })).await;
    let more = daemon.prompt(3).await;
    assert!(matches!(&more.from, Some(PromptFrom::FollowUp { by }) if is_alice(by)), "{more:?}");

    stage.alice.post(&format!("{agent}/interrupt"), json!({})).await;
    assert!(is_alice(&daemon.heard().interrupts[0].1.by));

    let id = PermissionId::from_parts(chatroom_protocol::Timestamp(1), 1);
    let asked = Fact::PermissionAsked {
        run_id,
        permission_id: id,
        title: "Bash: ls".into(),
        input: "{}".into(),
        always: Some("exactly this command".into()),
        digest: "digest-1".into(),
    };
    daemon.report([asked]).await;
    assert_eq!(stage.agent(&stage.alice, "builder").await["permissions"][0]["always"], "exactly this command");
    let for_run = json!({ "decision": "deny", "digest": "digest-1", "scope": "run" });
    assert_eq!(stage.alice.post(&format!("{agent}/permissions/{id}"), for_run).await.status, 400);
    let blind = json!({ "decision": "allow", "digest": "digest-2", "scope": "run" });
    let blind = stage.alice.post(&format!("{agent}/permissions/{id}"), blind).await;
    assert_eq!(blind.text("code"), "permission_changed", "not even for the whole run");
    let answer = json!({ "decision": "allow", "digest": "digest-1", "scope": "run" });
    assert_eq!(stage.alice.post(&format!("{agent}/permissions/{id}"), answer).await.status, 200);
    let decision = daemon.heard().decisions[0].2.clone();
    assert!(is_alice(&decision.by) && decision.scope == PermissionScope::Run, "{decision:?}");

    stage.command("stop-agent").await;
    assert!(is_alice(&daemon.command(2).await.by));
}

async fn prompts(stage: &Stage) -> Vec<(String, String, String)> {
    let listed = stage.alice.get(&format!("{}/agents/builder/prompts", stage.room)).await;
    assert_eq!(listed.status, 200, "{}", listed.raw);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = listed.body["prompts"].as_array().unwrap().iter();
    each.map(|prompt| (text(&prompt["from"]["kind"]), text(&prompt["text"]), text(&prompt["stage"]))).collect()
}

fn told(kind: &str, text: &str, stage: &str) -> (String, String, String) {
    (kind.to_owned(), text.to_owned(), stage.to_owned())
}

#[tokio::test]
async fn a_follow_up_is_changed_and_taken_back_until_the_machine_says_it_is_given() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    assert_eq!(prompts(&stage).await, [], "nothing runs");
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    let agent = format!("{}/agents/builder", stage.room);
    let follow = |text: &str| json!({ "text": text });

    // Before there is a process, nothing of it has left the server.
    let early = stage.alice.post(&format!("{agent}/follow-up"), follow("early")).await;
    let early = format!("{agent}/prompts/{}", early.text("promptId"));
    assert_eq!(stage.alice.put(&early, follow(" Early ")).await.text("text"), "Early");
    let gone = stage.alice.post(&format!("{agent}/follow-up"), follow("gone")).await;
    let gone = format!("{agent}/prompts/{}", gone.text("promptId"));
    assert_eq!(stage.alice.delete(&gone).await.status, 200);
    assert_eq!(prompts(&stage).await, [told("follow_up", "Early", "waiting")]);
    assert!(daemon.heard().changes.is_empty());
    let run_id = daemon.started(&push).await;
    assert_eq!(daemon.prompt(1).await.text, "Early");

    // From then on the machine decides.
    let late = stage.alice.post(&format!("{agent}/follow-up"), follow("late")).await;
    let late_id = daemon.prompt(2).await.prompt_id;
    assert_eq!(late.text("promptId"), late_id.to_string());
    let late = format!("{agent}/prompts/{late_id}");
    assert_eq!(stage.alice.put(&late, follow("later")).await.status, 200);
    let (id, change) = daemon.heard().changes[0].clone();
    assert!(
        id == late_id && matches!(&change, ChangePrompt::Edit { text, from: Some(_) } if text == "later"),
        "{change:?}"
    );
    assert_eq!(prompts(&stage).await[1], told("follow_up", "later", "waiting"));
    for bad in [follow(" "), json!({ "text": "x", "from": "me" })] {
        assert_eq!(stage.alice.put(&late, bad).await.status, 400);
    }
    for who in [&stage.bob, &stage.carol] {
        assert_eq!(who.get(&format!("{agent}/prompts")).await.status, 404);
        assert_eq!(who.put(&late, follow("mine")).await.status, 404);
        assert_eq!(who.delete(&late).await.status, 404);
    }

    // What only the machine heard of is shown as it says.
    daemon.report([Fact::PromptEdited { run_id, prompt_id: late_id, text: "latest".into() }]).await;
    assert_eq!(prompts(&stage).await[1], told("follow_up", "latest", "waiting"));
    daemon.behave(Manner { refuses_answers: Some(ErrorCode::PromptSettled), ..Manner::default() });
    for refused in [stage.alice.put(&late, follow("too late")).await, stage.alice.delete(&late).await] {
        assert_eq!((refused.status, refused.text("code")), (409, "prompt_settled"), "{}", refused.raw);
    }
    assert_eq!(prompts(&stage).await[1], told("follow_up", "latest", "waiting"));
    daemon.report([Fact::PromptSent { run_id, prompt_id: late_id }]).await;
    daemon.behave(Manner::default());
    let sent = stage.alice.delete(&late).await;
    assert_eq!((sent.status, sent.text("code")), (409, "prompt_settled"), "the server knows it as well");
    assert_eq!(prompts(&stage).await[1], told("follow_up", "latest", "given"));

    // What the platform says is not a person's to change.
    stage.say(&stage.alice, "build it").await;
    let task = daemon.prompt(3).await.prompt_id;
    let foreign = stage.alice.put(&format!("{agent}/prompts/{task}"), follow("nothing")).await;
    assert_eq!((foreign.status, foreign.text("code")), (403, "forbidden"), "{}", foreign.raw);
    let unknown = format!("{agent}/prompts/prm_01HF7YAT000000000000000007");
    assert_eq!(stage.alice.delete(&unknown).await.status, 404);

    let last = stage.alice.post(&format!("{agent}/follow-up"), follow("last")).await;
    let last = last.text("promptId").to_owned();
    daemon.report([Fact::PromptWithdrawn { run_id, prompt_id: last.parse().unwrap() }]).await;
    assert!(prompts(&stage).await.iter().all(|(_, text, _)| text != "last"));
    drop(daemon);
    stage.online(false).await;
    let away = stage.alice.put(&early, follow("away")).await;
    assert_eq!((away.status, away.text("code")), (409, "machine_offline"), "{}", away.raw);
}

#[tokio::test]
async fn a_start_goes_on_with_the_last_conversation_where_there_is_one() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    let resume = |kind: &str| json!({ "type": kind, "chatroomId": stage.room_id(), "role": "builder", "resume": true });
    let refused = async |why: &str| {
        let refused = stage.send(&stage.alice, resume("start-agent")).await;
        assert_eq!((refused.status, refused.text("code")), (409, "cannot_resume"), "{}", refused.raw);
        assert!(refused.text("detail").contains(why), "{}", refused.raw);
    };
    refused("has not run on this machine").await;
    for bad in [json!({ "type": "ping", "resume": true }), resume("stop-agent")] {
        assert_eq!(stage.send(&stage.alice, bad).await.status, 400);
    }
    stage.command("start-agent").await;
    let run_id = daemon.started(&daemon.command(1).await).await;
    assert_eq!(daemon.command(1).await.start.unwrap().conversation, None);
    let exited = |run_id| Fact::RunExited { run_id, requested: true, reason: "stopped".into() };
    let stop = async |daemon: &mut FakeDaemon, run_id| {
        stage.command("stop-agent").await;
        daemon.report([exited(run_id)]).await;
    };
    stop(&mut daemon, run_id).await;
    refused("has not told of one").await;

    stage.command("start-agent").await;
    let run_id = daemon.started(&daemon.command(3).await).await;
    let conversation = ConversationId::parse("ses_1-2.3").unwrap();
    daemon.report([Fact::ConversationBegun { run_id, conversation: conversation.clone() }]).await;
    // What is saved is for the next run, and the live one says so.
    let config = |model: &str, dir: &str| json!({ "agentType": "claude", "workingDir": dir, "model": model });
    assert_eq!(stage.agent(&stage.alice, "builder").await["restartNeeded"], false);
    save(&stage.alice, &stage.laptop, &stage.room, "builder", config("other-1", "/srv/app")).await;
    assert_eq!(stage.agent(&stage.alice, "builder").await["restartNeeded"], true);
    assert_eq!(stage.agent(&stage.bob, "builder").await["restartNeeded"], false, "that is its user's to know");
    stop(&mut daemon, run_id).await;
    let started = stage.send(&stage.alice, resume("start-agent")).await;
    assert_eq!(started.status, 201, "{}", started.raw);
    let start = daemon.command(5).await.start.unwrap();
    assert_eq!(start.conversation.as_ref(), Some(&conversation));
    assert_eq!(start.model.as_ref().map(ToString::to_string).as_deref(), Some("other-1"));
    let run_id = daemon.started(&daemon.command(5).await).await;
    assert_eq!(stage.agent(&stage.alice, "builder").await["restartNeeded"], false);

    // A restart goes on as well, though the tool has not told of it again.
    assert_eq!(stage.send(&stage.alice, resume("restart-agent")).await.status, 201);
    assert_eq!(daemon.command(6).await.start.unwrap().conversation, Some(conversation));
    daemon.report([exited(run_id)]).await;
    let run_id = daemon.started(&daemon.command(6).await).await;
    stop(&mut daemon, run_id).await;
    save(&stage.alice, &stage.laptop, &stage.room, "builder", config("other-1", "/srv/other")).await;
    refused("another folder").await;
    let pi = json!({ "agentType": "pi", "workingDir": "/srv/app", "mode": "auto" });
    save(&stage.alice, &stage.laptop, &stage.room, "builder", pi).await;
    refused("it was one of claude, not of pi").await;
}
