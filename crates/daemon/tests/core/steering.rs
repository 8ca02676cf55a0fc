//! Prompts, questions and logs of a live run.

use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::PermissionScope;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{
    ChangePrompt, DecidePermission, Interrupt, PromptFrom, PromptReceipt, PushCommand, PushPrompt, Steerer,
};
use chatroom_protocol::api::reports::{Fact, PermissionOutcome, TurnOutcome};
use chatroom_protocol::{ErrorCode, PermissionId, PromptId, RunId, TaskId, UserId};
use serde_json::Value;

use crate::world::{World, now, unique, until};

pub fn prompt(text: &str) -> PushPrompt {
    PushPrompt {
        prompt_id: PromptId::from_parts(now(), unique()),
        text: text.to_owned(),
        from: None,
        files: Vec::new(),
    }
}

impl World {
    pub async fn prompt(&self, run: RunId, prompt: &PushPrompt) -> bool {
        let path = format!("/agents/{run}/prompts");
        self.server.post::<PromptReceipt>(&path, prompt).await.unwrap().duplicate
    }

    pub async fn ended(&self, prompt: &PushPrompt) -> TurnOutcome {
        let wanted = prompt.prompt_id;
        self.server
            .fact("the end of a turn", |fact| match fact {
                Fact::TurnEnded { prompt_id, outcome, .. } if *prompt_id == wanted => Some(*outcome),
                _ => None,
            })
            .await
    }

    /// What the transcript of a run says, event by event.
    async fn log(&self, run: RunId) -> Vec<Value> {
        let log = self.server.ask("GET", &format!("/agents/{run}/transcript"), None).await.1;
        let mut events: Vec<Value> = serde_json::from_str(&log).unwrap();
        events.iter_mut().map(|event| event["event"].take()).collect()
    }

    async fn asked(&self) -> (PermissionId, String) {
        self.server
            .fact("a question", |fact| match fact {
                Fact::PermissionAsked { permission_id, digest, .. } => Some((*permission_id, digest.clone())),
                _ => None,
            })
            .await
    }
}

#[tokio::test]
async fn prompts_are_given_one_at_a_time_and_once() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let prompts = ["[[say: one]]", "[[say: two]]", "[[say: three]]"].map(prompt);
    for one in &prompts {
        assert!(!world.prompt(run, one).await);
        assert!(world.prompt(run, one).await, "a second push is known");
    }
    for one in &prompts {
        assert_eq!(world.ended(one).await, TurnOutcome::End);
    }
    let sent: Vec<_> = world
        .server
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::PromptSent { prompt_id, .. } => Some(prompt_id),
            _ => None,
        })
        .collect();
    assert_eq!(sent, prompts.each_ref().map(|one| one.prompt_id));
    let there = world.server.ask("GET", &format!("/agents/{run}/transcript"), None).await.1;
    for word in ["one", "two", "three"] {
        assert!(there.contains(&format!("\"text\":\"{word}\"")), "{there}");
    }
    let follow = world.server.ask("GET", "/agents/nobody/transcript", None).await;
    assert_eq!(follow.0, 400);
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_is_answered_for_exactly_what_was_shown() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let work = prompt("[[run: echo made > made.txt]]");
    world.prompt(run, &work).await;
    let (permission, digest) = world.asked().await;
    let path = format!("/agents/{run}/permissions/{permission}");
    let answer = |digest: &str| DecidePermission {
        decision: Decision::Allow,
        digest: digest.to_owned(),
        scope: PermissionScope::Once,
        by: None,
    };

    let wrong = world.server.post::<Done>(&path, &answer("0000")).await;
    assert_eq!(wrong.unwrap_err(), ErrorCode::PermissionChanged);
    assert!(!world.path("work/made.txt").exists());

    // The question outlives the daemon.
    daemon.crash(&world).await;
    let daemon = world.daemon();
    assert!(world.server.post::<Done>(&path, &answer(&digest)).await.unwrap().changed);
    assert_eq!(world.ended(&work).await, TurnOutcome::End);
    assert_eq!(std::fs::read_to_string(world.path("work/made.txt")).unwrap(), "made\n");
    let late = world.server.post::<Done>(&path, &answer(&digest)).await;
    assert_eq!(late.unwrap_err(), ErrorCode::PermissionClosed);
    world
        .server
        .fact("the answer", |fact| match fact {
            Fact::PermissionClosed { outcome: PermissionOutcome::Allowed, .. } => Some(()),
            _ => None,
        })
        .await;
    daemon.stop().await;
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_the_next_prompt_follows() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let (long, next) = (prompt("[[say: begun]] [[hang]]"), prompt("[[say: next]]"));
    world.prompt(run, &long).await;
    world.prompt(run, &next).await;
    let begun = long.prompt_id;
    world
        .server
        .fact("the turn began", |fact| match fact {
            Fact::PromptStarted { prompt_id, .. } if *prompt_id == begun => Some(()),
            _ => None,
        })
        .await;
    let path = format!("/agents/{run}/interrupt");
    assert!(world.server.post::<Done>(&path, &Interrupt::default()).await.unwrap().changed);
    assert_eq!(world.ended(&long).await, TurnOutcome::Interrupted);
    assert_eq!(world.ended(&next).await, TurnOutcome::End);

    world.server.perform(&world.stop()).await;
    let gone = world.server.post::<Done>(&path, &Interrupt::default()).await;
    assert_eq!(gone.unwrap_err(), ErrorCode::NotRunning);
    let path = format!("/agents/{run}/prompts");
    let gone = world.server.post::<PromptReceipt>(&path, &prompt("hello")).await;
    assert_eq!(gone.unwrap_err(), ErrorCode::NotRunning);
    daemon.stop().await;
}

#[tokio::test]
async fn an_agent_that_crashes_is_told_as_exited_and_a_lost_supervisor_too() {
    let world = World::new().await;
    let daemon = world.daemon();
    let crashing = world.started().await;
    world.prompt(crashing, &prompt("[[crash]]")).await;
    let exit = |run: RunId| {
        move |fact: &Fact| match fact {
            Fact::RunExited { run_id, requested, reason } if *run_id == run => Some((*requested, reason.clone())),
            _ => None,
        }
    };
    assert!(!world.server.fact("the crash", exit(crashing)).await.0);

    let lost = world.started().await;
    let (pid, start_time) = world
        .server
        .fact("the start", |fact| match fact {
            Fact::RunStarted { run_id, pid, start_time } if *run_id == lost => Some((*pid, *start_time)),
            _ => None,
        })
        .await;
    let supervisor = chatroom_daemon::process::ProcessId { pid, start_time };
    assert!(chatroom_daemon::process::tree::signal(supervisor, nix::sys::signal::Signal::SIGKILL));
    assert_eq!(world.server.fact("the loss", exit(lost)).await, (false, "the supervisor is gone".to_owned()));
    until("nothing is left", async || (crate::world::processes(lost) == 0).then_some(())).await;
    daemon.stop().await;
}

fn steerer(name: &str) -> Steerer {
    Steerer { user_id: UserId::from_parts(now(), unique()), name: name.to_owned() }
}

#[tokio::test]
async fn whoever_steers_there_is_one_order_in_the_transcript() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let task_id = TaskId::from_parts(now(), unique());
    let task = PushPrompt {
        from: Some(PromptFrom::Task { task_id }),
        ..prompt(&format!("[[run: echo made > made.txt]] {}", crate::world::CRR))
    };
    world.prompt(run, &task).await;
    let (permission, digest) = world.asked().await;
    let answer = DecidePermission {
        decision: Decision::Allow,
        digest,
        scope: PermissionScope::Once,
        by: Some(steerer("alice")),
    };
    world.server.post::<Done>(&format!("/agents/{run}/permissions/{permission}"), &answer).await.unwrap();
    assert_eq!(world.ended(&task).await, TurnOutcome::End);

    let more = PushPrompt {
        from: Some(PromptFrom::FollowUp { by: Some(steerer("bob")) }),
        ..prompt("[[say: begun]] [[hang]]")
    };
    world.prompt(run, &more).await;
    let begun = more.prompt_id;
    let is_begun = |fact: &Fact| matches!(fact, Fact::PromptStarted { prompt_id, .. } if *prompt_id == begun);
    world.server.fact("the turn began", |fact| is_begun(fact).then_some(())).await;
    let interrupt = Interrupt { by: Some(steerer("carol")) };
    assert!(world.server.post::<Done>(&format!("/agents/{run}/interrupt"), &interrupt).await.unwrap().changed);
    assert_eq!(world.ended(&more).await, TurnOutcome::Interrupted);
    world.server.perform(&PushCommand { by: Some(steerer("dave")), ..world.stop() }).await;

    let told = world.log(run).await.into_iter().filter_map(|event| {
        let kind = event["type"].as_str().unwrap().to_owned();
        let by = [&event["by"]["name"], &event["from"]["by"]["name"], &event["from"]["taskId"]];
        let by = by.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
        let text = event["text"].as_str().filter(|_| kind == "prompt_sent").unwrap_or_default().to_owned();
        let steers =
            ["prompt_sent", "permission_asked", "permission_closed", "interrupt_asked", "turn_ended", "stop_asked"];
        steers.contains(&kind.as_str()).then_some([kind, by, text])
    });
    let told: Vec<_> = told.collect();
    let task_id = task_id.to_string();
    let expected = [
        ["prompt_sent", &task_id, "[[run: echo made > made.txt]] [redacted]"],
        ["permission_asked", "", ""],
        ["permission_closed", "alice", ""],
        ["turn_ended", "", ""],
        ["prompt_sent", "bob", "[[say: begun]] [[hang]]"],
        ["interrupt_asked", "carol", ""],
        ["turn_ended", "", ""],
        ["stop_asked", "dave", ""],
    ];
    assert_eq!(told, expected.map(|event| event.map(str::to_owned)));
    daemon.stop().await;
}

#[test]
fn what_an_older_version_wrote_is_read() {
    use chatroom_daemon::journal::Entry;
    use chatroom_daemon::supervisor::event::RunEvent;
    use chatroom_daemon::supervisor::wire::Ask;

    let id = "01HF7YAT000000000000000007";
    let entry = format!(r#"{{"type":"prompt_accepted","runId":"run_{id}","promptId":"prm_{id}","text":"x"}}"#);
    let prefix = PromptId::from_parts(now(), 1).to_string();
    let prefix = prefix.split_once('_').unwrap().0;
    let entry: Entry = serde_json::from_str(&entry.replace("prm", prefix)).unwrap();
    assert!(matches!(entry, Entry::PromptAccepted { from: None, .. }), "{entry:?}");
    let sent: RunEvent =
        serde_json::from_str(&format!(r#"{{"type":"prompt_sent","promptId":"{prefix}_{id}"}}"#)).unwrap();
    assert!(matches!(sent, RunEvent::PromptSent { from: None, text: None, .. }), "{sent:?}");
    for old in [r#"{"ask":"stop"}"#, r#"{"ask":"interrupt"}"#] {
        let ask: Ask = serde_json::from_str(old).unwrap();
        assert!(matches!(ask, Ask::Stop { by: None } | Ask::Interrupt { by: None }), "{ask:?}");
    }
    let push: PushPrompt = serde_json::from_str(&format!(r#"{{"promptId":"{prefix}_{id}","text":"x"}}"#)).unwrap();
    assert_eq!(push.from, None);
    let newer = r#"{"kind":"oracle","name":"x"}"#;
    assert_eq!(serde_json::from_str::<PromptFrom>(newer).unwrap(), PromptFrom::Unknown);
}

#[tokio::test]
async fn what_waits_can_be_changed_until_the_tool_has_it() {
    let world = World::new().await;
    let daemon = world.daemon();
    let run = world.started().await;
    let path = |prompt: &PushPrompt| format!("/agents/{run}/prompts/{}", prompt.prompt_id);
    let edit = |text: &str| ChangePrompt::Edit { text: text.to_owned(), from: None };
    let [busy, edited, gone] = ["[[say: begun]] [[hang]]", "[[say: before]]", "[[say: never]]"].map(prompt);
    for one in [&busy, &edited, &gone] {
        world.prompt(run, one).await;
    }
    let begun = busy.prompt_id;
    let is_begun = |fact: &Fact| matches!(fact, Fact::PromptStarted { prompt_id, .. } if *prompt_id == begun);
    world.server.fact("the turn began", |fact| is_begun(fact).then_some(())).await;
    assert!(world.server.post::<Done>(&path(&edited), &edit("[[say: after]]")).await.unwrap().changed);
    world.server.post::<Done>(&path(&gone), &ChangePrompt::Withdraw).await.unwrap();
    // What the server did not push yet: a change comes first, and the push of the old text after it changes nothing.
    let [overtaken, never] = ["[[say: old]]", "[[say: never]]"].map(prompt);
    world.server.post::<Done>(&path(&overtaken), &edit("[[say: new]]")).await.unwrap();
    world.server.post::<Done>(&path(&never), &ChangePrompt::Withdraw).await.unwrap();
    assert!(world.prompt(run, &overtaken).await);
    assert!(world.prompt(run, &never).await);

    // A crash forgets none of it, and what was said before may be said again.
    daemon.crash(&world).await;
    let daemon = world.daemon();
    world.server.post::<Done>(&path(&edited), &edit("[[say: after]]")).await.unwrap();
    world.server.post::<Done>(&path(&gone), &ChangePrompt::Withdraw).await.unwrap();
    for (settled, change) in [(&busy, edit("x")), (&busy, ChangePrompt::Withdraw), (&gone, edit("[[say: never]]"))] {
        let refused = world.server.post::<Done>(&path(settled), &change).await;
        assert_eq!(refused.unwrap_err(), ErrorCode::PromptSettled);
    }
    world.server.post::<Done>(&format!("/agents/{run}/interrupt"), &Interrupt::default()).await.unwrap();
    for one in [&edited, &overtaken] {
        assert_eq!(world.ended(one).await, TurnOutcome::End);
        let late = world.server.post::<Done>(&path(one), &edit("x")).await;
        assert_eq!(late.unwrap_err(), ErrorCode::PromptSettled);
    }
    let told = world.log(run).await.into_iter().filter(|event| event["type"] == "prompt_sent");
    let told: Vec<_> = told.map(|event| event["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["[[say: begun]] [[hang]]", "[[say: after]]", "[[say: new]]"]);

    world.server.perform(&world.stop()).await;
    let over = world.server.post::<Done>(&path(&edited), &edit("x")).await;
    assert_eq!(over.unwrap_err(), ErrorCode::NotRunning);
    daemon.stop().await;
}
