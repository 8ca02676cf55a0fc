//! Who steers an agent, as its machine is told.

use chatroom_protocol::PermissionId;
use chatroom_protocol::api::daemon::PromptFrom;
use chatroom_protocol::api::reports::{Fact, TurnOutcome};
use serde_json::json;

use crate::stage::Stage;

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
        digest: "digest-1".into(),
    };
    daemon.report([asked]).await;
    let answer = json!({ "decision": "deny", "digest": "digest-1" });
    assert_eq!(stage.alice.post(&format!("{agent}/permissions/{id}"), answer).await.status, 200);
    assert!(is_alice(&daemon.heard().decisions[0].2.by));

    stage.command("stop-agent").await;
    assert!(is_alice(&daemon.command(2).await.by));
}
