//! Commands: each to one outcome, told once.

use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::daemon::{PushCommand, StartRun};
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{ErrorCode, Tool};
use http::StatusCode;

use crate::world::{CRR, World, processes, until};

#[tokio::test]
async fn ping_status_and_the_unknown_are_answered() {
    let world = World::new().await;
    let daemon = world.daemon();
    for (kind, status, words) in [
        ("ping", CommandStatus::Completed, "pong"),
        ("status", CommandStatus::Completed, "no agents"),
        ("dance", CommandStatus::Failed, "does not know the command \"dance\""),
        ("start-agent", CommandStatus::Failed, "does not say what to start"),
    ] {
        let outcome = world.server.perform(&World::command(kind)).await;
        assert_eq!(outcome.0, status, "{kind}");
        assert!(outcome.1.contains(words), "{kind}: {}", outcome.1);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn the_same_start_twice_is_one_process_also_after_a_crash() {
    let world = World::new().await;
    let daemon = world.daemon();
    let start = world.start();
    let run = start.start.as_ref().unwrap().run_id;
    let first = world.server.push(&start).await;
    assert!(!first.duplicate && first.outcome.is_none());
    assert!(world.server.push(&start).await.duplicate);
    let (status, words) = world.server.outcome(start.command_id).await;
    assert_eq!(status, CommandStatus::Completed, "{words}");
    assert!(words.contains(&run.to_string()), "{words}");
    let one = processes(run);
    assert!(one >= 1);

    daemon.crash(&world).await;
    assert_eq!(processes(run), one, "the agent lives on");
    let daemon = world.daemon();
    let again = world.server.push(&start).await;
    assert!(again.duplicate);
    assert_eq!(again.outcome.unwrap().status, CommandStatus::Completed);
    assert_eq!(processes(run), one);
    let live = world.server.agents().await;
    assert_eq!(live.iter().map(|live| live.run_id).collect::<Vec<_>>(), [run]);

    // Another command for the same run finds it; one for another run is told what is in its way.
    let same = PushCommand { start: start.start.clone(), ..world.start() };
    let (status, words) = world.server.perform(&same).await;
    assert_eq!((status, words), (CommandStatus::Completed, format!("already running {run}")));
    let (status, words) = world.server.perform(&world.start()).await;
    let in_the_way = format!("another run of this role, {run}, lives on this machine; stop it first");
    assert_eq!((status, words), (CommandStatus::Failed, in_the_way));
    assert_eq!(processes(run), one);
    // A stop ends it, tools and all, and is fine twice.
    let (status, words) = world.server.perform(&world.stop()).await;
    assert_eq!((status, words), (CommandStatus::Completed, format!("stopped {run}")));
    assert_eq!(processes(run), 0);
    let (status, words) = world.server.perform(&world.stop()).await;
    assert_eq!((status, words.as_str()), (CommandStatus::Completed, "was not running"));
    assert!(world.server.agents().await.is_empty());

    let started = |fact: &Fact| matches!(fact, Fact::RunStarted { .. });
    let exited = |fact: &Fact| matches!(fact, Fact::RunExited { requested: true, .. });
    assert_eq!(world.server.facts().iter().filter(|fact| started(fact)).count(), 1);
    assert_eq!(world.server.facts().iter().filter(|fact| exited(fact)).count(), 1);
    assert_eq!(world.files_with(CRR), Vec::<std::path::PathBuf>::new(), "the run token is written nowhere");
    daemon.stop().await;
}

#[tokio::test]
async fn a_restart_is_one_command_and_a_new_run() {
    let world = World::new().await;
    let daemon = world.daemon();
    let old = world.started().await;
    let restart = PushCommand { kind: "restart-agent".to_owned(), ..world.start() };
    let (status, words) = world.server.perform(&restart).await;
    assert_eq!(status, CommandStatus::Completed, "{words}");
    let new = restart.start.unwrap().run_id;
    assert_eq!(processes(old), 0);
    assert_eq!(world.server.agents().await[0].run_id, new);

    // One that ended by itself makes room at once, too.
    let crash = serde_json::json!({ "promptId": "prm_01HF7YAT000000000000000000", "text": "[[crash]]" });
    world.server.ask("POST", &format!("/agents/{new}/prompts"), Some(crash.to_string())).await;
    world
        .server
        .fact("the crash", |fact| matches!(fact, Fact::RunExited { run_id, .. } if *run_id == new).then_some(()))
        .await;
    let newest = world.started().await;
    assert_eq!(world.server.agents().await[0].run_id, newest);
    daemon.stop().await;
    assert_eq!(processes(newest), 0);
}

#[tokio::test]
async fn past_its_deadline_nothing_starts() {
    let world = World::new().await;
    let daemon = world.daemon();
    for expires_in_ms in [0, -5_000] {
        let late = PushCommand { expires_in_ms, ..world.start() };
        let run = late.start.as_ref().unwrap().run_id;
        let (status, _) = world.server.perform(&late).await;
        assert_eq!(status, CommandStatus::Expired);
        assert!(!world.home.run_dir(run).exists() && processes(run) == 0);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn this_machine_refuses_what_its_user_did_not_allow_and_says_how_to() {
    let world = World::new().await;
    let daemon = world.daemon();
    std::fs::create_dir(world.path("private")).unwrap();
    let private = world.path("private").to_str().unwrap().to_owned();
    let start = |change: &dyn Fn(&mut StartRun)| {
        let mut push = world.start();
        change(push.start.as_mut().unwrap());
        push
    };
    for (push, words) in [
        (start(&|start| start.working_dir.clone_from(&private)), format!("chatroom machine allow {private}")),
        (start(&|start| start.working_dir = "/".to_owned()), "chatroom machine allow /".to_owned()),
        (start(&|start| start.working_dir = "work".to_owned()), "absolute".to_owned()),
        (
            start(&|start| start.mode = chatroom_protocol::api::agents::PermissionMode::Auto),
            "chatroom machine allow --auto".to_owned(),
        ),
        (start(&|start| start.tool = Tool::Pi), "chatroom machine allow --auto".to_owned()),
        (start(&|start| start.tool = Tool::Claude), "claude is not installed".to_owned()),
    ] {
        let (status, result) = world.server.perform(&push).await;
        assert_eq!(status, CommandStatus::Failed);
        assert!(result.contains(&words), "{result}");
        assert_eq!(processes(push.start.unwrap().run_id), 0);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn reports_wait_for_the_server_and_arrive_once_in_order() {
    let world = World::new().await;
    let daemon = world.daemon();
    world.server.perform(&World::command("ping")).await;
    let run = world.started().await;

    // The server is away: the agent works on, and nothing of it is lost.
    world.server.refuse(Some((StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown)));
    let before = world.server.reports().len();
    let stop = world.stop();
    world.server.push(&stop).await;
    world.server.cut();
    until("the agent has ended", async || (processes(run) == 0).then_some(())).await;
    assert_eq!(world.server.reports().len(), before);

    // It comes back, and loses its first answers.
    world.server.lose_answers(2);
    world.server.refuse(None);
    assert_eq!(world.server.outcome(stop.command_id).await.0, CommandStatus::Completed);
    daemon.stop().await;
    let reports = world.server.reports();
    assert!(reports.iter().zip(1..).all(|(report, seq)| report.seq == seq));
    for (place, report) in reports.iter().enumerate() {
        let is_again = reports[..place].iter().any(|earlier| earlier.fact == report.fact)
            && !matches!(report.fact, Fact::RunActivity { .. });
        assert!(!is_again, "{report:?}");
    }
}

#[tokio::test]
async fn a_start_that_a_crash_interrupted_is_known_not_to_have_happened() {
    use chatroom_daemon::journal::{Entry, Journal};
    let world = World::new().await;
    let start = world.start();
    let stop = world.stop();
    {
        let (journal, writer) = Journal::open(&world.home).unwrap();
        let received = |push: &PushCommand| Entry::CommandReceived {
            command_id: push.command_id,
            kind: push.kind.clone(),
            deadline_at: crate::world::now().plus_millis(60_000),
            slot: Some(world.slot.clone()),
            run_id: push.start.as_ref().map(|start| start.run_id),
        };
        journal.append(vec![received(&start), received(&stop)]).await.unwrap();
        drop(journal);
        writer.join();
    }
    let daemon = world.daemon();
    let (status, words) = world.server.outcome(start.command_id).await;
    assert_eq!(status, CommandStatus::Failed);
    assert!(words.contains("not started"), "{words}");
    assert_eq!(world.server.outcome(stop.command_id).await.0, CommandStatus::Completed);
    let again = world.server.push(&start).await;
    assert!(again.duplicate);
    assert_eq!(again.outcome.unwrap().status, CommandStatus::Failed);
    daemon.stop().await;
}
