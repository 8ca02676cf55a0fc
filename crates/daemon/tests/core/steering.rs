//! Prompts, questions and logs of a live run.

use chatroom_protocol::api::Done;
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::daemon::{DecidePermission, PromptReceipt, PushPrompt};
use chatroom_protocol::api::reports::{Fact, PermissionOutcome, TurnOutcome};
use chatroom_protocol::{ErrorCode, PermissionId, PromptId, RunId};

use crate::world::{World, now, unique, until};

pub fn prompt(text: &str) -> PushPrompt {
    PushPrompt { prompt_id: PromptId::from_parts(now(), unique()), text: text.to_owned() }
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
    let answer = |digest: &str| DecidePermission { decision: Decision::Allow, digest: digest.to_owned() };

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
    assert!(world.server.post::<Done>(&path, &()).await.unwrap().changed);
    assert_eq!(world.ended(&long).await, TurnOutcome::Interrupted);
    assert_eq!(world.ended(&next).await, TurnOutcome::End);

    world.server.perform(&world.stop()).await;
    let gone = world.server.post::<Done>(&path, &()).await;
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
