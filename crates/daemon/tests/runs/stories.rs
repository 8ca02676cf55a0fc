//! What a user sees, told once and run with every tool.

use std::time::{Duration, Instant};

use chatroom_daemon::process::tree::{self, Root};
use chatroom_daemon::supervisor::client::Error;
use chatroom_daemon::supervisor::event::RunEvent;
use chatroom_daemon::supervisor::wire::{Done, Refused};
use chatroom_protocol::api::agents::{PermissionMode, PermissionScope, RunActivity};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::reports::{PermissionOutcome, TurnOutcome};
use chatroom_protocol::{ConversationId, Tool};
use chatroom_testkit::model::{Reply, Rule};
use serde_json::json;

use crate::world::{CANARY, RUN_TOKEN, Run, World, command_of, eventually, prompt_id};

const LONG: &str = "python3 -c \"import time; time.sleep(300)\"";

macro_rules! stories {
    ($($tool:ident: $module:ident { $($story:ident),* $(,)? })*) => {$(
        mod $module {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(chatroom_protocol::Tool::$tool).await;
                }
            )*
        }
    )*};
}

stories! {
    Claude: claude { works_and_takes_more, asks_and_obeys, edits_are_asked_too, an_interrupt_keeps_the_run, a_stop_leaves_nothing, platform_verbs_need_nobody, secrets_stay_out, always_holds_for_the_run, a_conversation_goes_on }
    Opencode: opencode { works_and_takes_more, asks_and_obeys, edits_are_asked_too, an_interrupt_keeps_the_run, a_stop_leaves_nothing, platform_verbs_need_nobody, secrets_stay_out, always_holds_for_the_run, a_conversation_goes_on }
    Cursor: cursor { works_and_takes_more, asks_and_obeys, an_interrupt_keeps_the_run, a_stop_leaves_nothing, platform_verbs_need_nobody, always_holds_for_the_run, a_conversation_goes_on }
    Pi: pi { works_and_takes_more, an_interrupt_keeps_the_run, a_stop_leaves_nothing, secrets_stay_out, a_conversation_goes_on }
}

/// A prompt makes the tool write a file; then it is idle and takes the next one.
async fn works_and_takes_more(tool: Tool) {
    let world = World::new().await;
    let mut run = world.start(tool, PermissionMode::Auto).await;
    // The command waits until the second prompt has been refused.
    let first = run
        .say("[[run: until test -e go; do sleep 0.1; done; echo hello > out.txt; echo $CHATROOM_RUN_TOKEN; pwd]]")
        .await;
    let busy = run.supervised.prompt(prompt_id(), "[[say: too early]]").await;
    assert!(matches!(busy, Err(Error::Refused(Refused::Busy))), "{busy:?}");
    std::fs::write(run.spec.working_dir.join("go"), "").expect("the file it waits for");
    assert_eq!(run.turn_of(first).await.0, TurnOutcome::End);
    run.until_activity(RunActivity::Idle).await;
    assert_eq!(run.file("out.txt").as_deref(), Some("hello\n"));
    let order: Vec<&str> = run
        .folded()
        .into_iter()
        .filter_map(|event| match event.event {
            RunEvent::ToolStarted { .. } => Some("process"),
            RunEvent::PromptSent { prompt_id, .. } if prompt_id == first => Some("sent"),
            RunEvent::PromptStarted { prompt_id } if prompt_id == first => Some("started"),
            RunEvent::ToolCall { input, .. } if input.contains("out.txt") => Some("call"),
            RunEvent::ToolResult { output, is_error: false, .. } if output.contains("[redacted]") => Some("result"),
            RunEvent::Message { text, .. } if text.contains("done: [redacted]") => Some("message"),
            RunEvent::TurnEnded { .. } => Some("ended"),
            RunEvent::Exited { .. } => Some("exited"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["process", "sent", "started", "call", "result", "message", "ended"], "{:#?}", run.story());
    let work = run.spec.working_dir.display().to_string();
    assert!(
        run.has(|event| matches!(event, RunEvent::ToolResult { output, .. } if output.contains(&work))),
        "{:#?}",
        run.story()
    );
    assert!(run.has(|event| matches!(event, RunEvent::Session { .. })));

    if tool != Tool::Cursor {
        let role = &run.spec.system_prompt;
        let heard = world.model.requests().iter().any(|request| request.body.to_string().contains(role));
        assert!(heard, "the model never saw the role prompt");
    }

    // The same prompt again is nothing; another one is a turn of its own.
    let again = run.supervised.prompt(first, "[[run: echo twice >> out.txt]]").await;
    assert!(matches!(again, Ok(Done::Nothing)), "{again:?}");
    run.tell("[[say: the second answer]]").await;
    assert!(run.says(|text| text == "the second answer"), "{:#?}", run.story());
    assert_eq!(run.file("out.txt").as_deref(), Some("hello\n"));

    let (_, _, reason, requested) = run.stop().await;
    assert!(requested, "{reason}");
    assert_eq!(reason, "stopped");
    run.log_is_whole();
    let notices: Vec<String> = run.story().into_iter().filter(|line| line.contains("Notice")).collect();
    assert!(notices.is_empty(), "{notices:#?}");
}

/// In mode `ask` nothing happens before a person allows it, and nothing at all when they deny it.
async fn asks_and_obeys(tool: Tool) {
    let world = World::new().await;
    let mut run = world.start(tool, PermissionMode::Ask).await;
    let id = run.say("[[run: echo yes > allowed.txt]]").await;
    let (permission, title, input, digest) = run.asked().await;
    assert!(title.contains("echo yes > allowed.txt"), "{title}");
    assert!(input.contains("echo yes > allowed.txt"), "{input}");
    assert_eq!(digest.len(), 64);
    run.until_activity(RunActivity::WaitingPermission).await;
    assert_eq!(run.file("allowed.txt"), None);
    run.supervised.decide(permission, Decision::Allow).await.expect("it is open");
    let second = run.supervised.decide(permission, Decision::Deny).await;
    assert!(matches!(second, Err(Error::Refused(Refused::PermissionClosed))), "{second:?}");
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::End);
    run.until_activity(RunActivity::Idle).await;
    assert_eq!(run.file("allowed.txt").as_deref(), Some("yes\n"));

    let id = run.say("[[run: echo no > denied.txt]]").await;
    let (permission, ..) = run.asked().await;
    run.supervised.decide(permission, Decision::Deny).await.expect("it is open");
    assert_eq!(closing_of(&mut run, permission).await, PermissionOutcome::Denied);
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::End);
    run.until_activity(RunActivity::Idle).await;
    assert_eq!(run.file("denied.txt"), None);

    // An interrupt takes the open question along, and the next one is asked again.
    let id = run.say("[[run: echo never > open.txt]]").await;
    let (permission, ..) = run.asked().await;
    run.supervised.interrupt().await.expect("it can be interrupted");
    assert_eq!(closing_of(&mut run, permission).await, PermissionOutcome::Withdrawn);
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::Interrupted);
    run.until_activity(RunActivity::Idle).await;
    assert_eq!(run.file("open.txt"), None);

    let id = run.say("[[run: echo again > again.txt]]").await;
    let (permission, ..) = run.asked().await;
    run.supervised.decide(permission, Decision::Allow).await.expect("it is open");
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::End);
    assert_eq!(run.file("again.txt").as_deref(), Some("again\n"));

    // So does a stop.
    run.until_activity(RunActivity::Idle).await;
    run.say("[[run: echo never > open.txt]]").await;
    let (permission, ..) = run.asked().await;
    run.supervised.stop().await.expect("it can be stopped");
    assert_eq!(closing_of(&mut run, permission).await, PermissionOutcome::Withdrawn);
    assert!(run.exited().await.3);
    run.nothing_is_left();
    assert_eq!(run.file("open.txt"), None);
}

async fn closing_of(run: &mut Run, permission: chatroom_protocol::PermissionId) -> PermissionOutcome {
    run.until("the question's end", |event| match event {
        RunEvent::PermissionClosed { permission_id, outcome, .. } if *permission_id == permission => Some(*outcome),
        _ => None,
    })
    .await
}

/// An interrupt ends what the agent does at once, and the agent goes on with the next prompt.
async fn an_interrupt_keeps_the_run(tool: Tool) {
    let world = World::new().await;
    let mut run = world.start(tool, PermissionMode::Auto).await;
    let nothing = run.supervised.interrupt().await;
    assert!(matches!(nothing, Ok(Done::Nothing)), "{nothing:?}");

    let id = run.say(&format!("[[run: {LONG}]]")).await;
    sleeper(&run).await;
    let begun = Instant::now();
    run.supervised.interrupt().await.expect("it can be interrupted");
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::Interrupted);
    // 4 to 200 ms on a quiet machine; the command itself would take 300 s.
    assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
    run.until_activity(RunActivity::Idle).await;
    eventually("the command is gone", || sleepers(&run).is_empty().then_some(())).await;

    let id = run.say("[[hang]]").await;
    run.until("the turn", |event| {
        matches!(event, RunEvent::PromptSent { prompt_id, .. } if *prompt_id == id).then_some(())
    })
    .await;
    if tool != Tool::Cursor {
        world.model.wait_for_open_streams(1, Duration::from_secs(30)).await.expect("the model hears of it");
    }
    run.supervised.interrupt().await.expect("it can be interrupted");
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::Interrupted);
    run.until_activity(RunActivity::Idle).await;
    if tool != Tool::Cursor {
        world.model.wait_for_open_streams(0, Duration::from_secs(10)).await.expect("the model hears of it");
    }

    run.tell("[[say: still here]]").await;
    assert!(run.says(|text| text == "still here"), "{:#?}", run.story());
    run.stop().await;
}

/// A stop in the middle of a command ends everything, also what went into a session of its own and gave up its mark.
async fn a_stop_leaves_nothing(tool: Tool) {
    let world = World::new().await;
    let mut run = world.start(tool, PermissionMode::Auto).await;
    let hidden = format!("setsid env -i /usr/bin/{LONG} & echo $! > hidden.pid");
    let id = run.say(&format!("[[run: ({hidden}); setsid {LONG}]]")).await;
    sleeper(&run).await;
    let hidden: u32 = eventually("the hidden process", || run.file("hidden.pid")?.trim().parse().ok()).await;
    eventually("it runs", || command_of(hidden).contains("sleep(300)").then_some(())).await;
    let begun = Instant::now();
    let (_, _, reason, requested) = run.stop().await;
    assert!(requested, "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(20), "took {:?}", begun.elapsed());
    assert_eq!(command_of(hidden), "", "the hidden process lives");
    assert!(
        run.has(|event| matches!(
            event,
            RunEvent::TurnEnded { prompt_id, outcome: TurnOutcome::Interrupted, .. } if *prompt_id == id
        )),
        "{:#?}",
        run.story()
    );
    world.model.wait_for_open_streams(0, Duration::from_secs(10)).await.expect("the model hears of it");
    eventually("the supervisor leaves", || (!run.supervised.id().is_alive()).then_some(())).await;
    run.log_is_whole();
}

fn sleepers(run: &Run) -> Vec<String> {
    let all = tree::find(Root::Nowhere, run.spec.run_id);
    let all = all.into_iter().map(|process| command_of(process.pid));
    all.filter(|command| command.contains("python3 -c import time; time.sleep(300)")).collect()
}

async fn sleeper(run: &Run) {
    eventually("the command runs", || (!sleepers(run).is_empty()).then_some(())).await;
}

/// The platform's own verbs need no permission, and lend it to nothing beside them.
async fn platform_verbs_need_nobody(tool: Tool) {
    let world = World::new().await;
    let program = world.dir.path().join("bin/chatroom");
    std::fs::create_dir_all(program.parent().expect("a folder")).expect("made");
    std::fs::write(&program, "#!/bin/sh\necho \"$@\" >> verbs.txt\ncat >> verbs.txt\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("a mode");

    let mut run = world.start(tool, PermissionMode::Ask).await;
    let heredoc = "chatroom handoff --next-role=user --task-id task_1 <<'CHATROOM_HANDOFF_END'\n\
                   it's done; rm -rf $HOME > /dev/null `id`\nCHATROOM_HANDOFF_END";
    run.tell(&format!("[[run: {heredoc}]]")).await;
    assert_eq!(
        run.file("verbs.txt").as_deref(),
        Some("handoff --next-role=user --task-id task_1\nit's done; rm -rf $HOME > /dev/null `id`\n"),
        "{:#?}",
        run.story()
    );
    assert!(!run.has(|event| matches!(event, RunEvent::PermissionAsked { .. })), "{:#?}", run.story());

    for command in [
        "chatroom context read; echo x > sneaked.txt",
        "chatroom context read > sneaked.txt",
        "chatroom machine allow --auto > sneaked.txt",
    ] {
        let id = run.say(&format!("[[run: {command}]]")).await;
        let (permission, ..) = run.asked().await;
        run.supervised.decide(permission, Decision::Deny).await.expect("it is open");
        run.turn_of(id).await;
        run.until_activity(RunActivity::Idle).await;
        assert_eq!(run.file("sneaked.txt"), None, "{command}");
    }
    run.stop().await;
}

/// A file is not written without permission either.
async fn edits_are_asked_too(tool: Tool) {
    let world = World::new().await;
    let path = world.work().join("written.txt");
    let (name, input) = match tool {
        Tool::Claude => ("Write", json!({"file_path": path, "content": "new"})),
        _ => ("write", json!({"filePath": path, "content": "new"})),
    };
    world.model.rule(
        Rule::when(|turn| turn.prompt.contains("write it") && turn.calls == 0)
            .then_with(move |_| Reply::tool(name, input.clone())),
    );
    let mut run = world.start(tool, PermissionMode::Ask).await;
    for (decision, expected) in [(Decision::Deny, None), (Decision::Allow, Some("new"))] {
        let id = run.say("write it").await;
        let (permission, title, input, _) = run.asked().await;
        assert!(title.contains("written.txt") || input.contains("written.txt"), "{title} {input}");
        assert!(input.contains("new"), "{input}");
        run.supervised.decide(permission, decision).await.expect("it is open");
        run.turn_of(id).await;
        run.until_activity(RunActivity::Idle).await;
        assert_eq!(run.file("written.txt").as_deref(), expected, "{:#?}", run.story());
    }
    run.stop().await;
}

/// A secret that is said in two pieces, and one that is printed in two, are in nothing that is written.
async fn secrets_stay_out(tool: Tool) {
    let world = World::new().await;
    let pieces = |secret: &str| [secret[..9].to_owned(), secret[9..].to_owned()];
    let ([first, second], [third, fourth]) = (pieces(CANARY), pieces(RUN_TOKEN));
    let said = [format!("it is {first}"), second, format!(" and {third}"), fourth, ". Keep it".to_owned()];
    world.model.rule(
        Rule::when(|turn| turn.prompt.contains("tell it"))
            .then_with(move |_| Reply::slow_text(said.clone(), Duration::from_millis(150))),
    );
    let mut run = world.start(tool, PermissionMode::Auto).await;
    run.tell("tell it").await;
    assert!(run.says(|text| text == "it is [redacted] and [redacted]. Keep it"), "{:#?}", run.story());
    let print = "for it in $CANARY $CHATROOM_RUN_TOKEN; do \
                 printf %s \"$(echo $it | cut -c1-9)\"; sleep 0.3; echo $it | cut -c10-; \
                 printf %s \"$(echo $it | cut -c1-9)\" >&2; sleep 0.3; echo $it | cut -c10- >&2; done";
    run.tell(&format!("[[run: {print}]]")).await;
    let printed =
        |event: &RunEvent| matches!(event, RunEvent::ToolResult { output, .. } if output.contains("[redacted]"));
    assert!(run.has(printed), "{:#?}", run.story());
    run.stop().await;
}

/// What is allowed for the whole run is not asked again, and told each time; anything else still is.
async fn always_holds_for_the_run(tool: Tool) {
    let world = World::new().await;
    let mut run = world.start(tool, PermissionMode::Ask).await;
    let command = "[[run: echo again >> again.txt]]";
    let id = run.say(command).await;
    let (permission, ..) = run.asked().await;
    let always = run.events.iter().rev().find_map(|event| match &event.event {
        RunEvent::PermissionAsked { always, .. } => always.clone(),
        _ => None,
    });
    assert_eq!(always.as_deref(), Some("exactly this command"));
    let control = run.supervised.control();
    control.decide(permission, Decision::Allow, PermissionScope::Run, None).await.expect("it is open");
    assert_eq!(run.turn_of(id).await.0, TurnOutcome::End);
    run.until_activity(RunActivity::Idle).await;
    let before = run.events.len();
    run.tell(command).await;
    assert_eq!(run.file("again.txt").as_deref(), Some("again\nagain\n"));
    let since: Vec<&RunEvent> = run.events[before..].iter().map(|event| &event.event).collect();
    assert!(!since.iter().any(|event| matches!(event, RunEvent::PermissionAsked { .. })), "{since:#?}");
    let repeated = |event: &&&RunEvent| {
        matches!(event, RunEvent::PermissionRepeated { permission_id, input, .. }
            if *permission_id == permission && input.contains("echo again >> again.txt"))
    };
    assert_eq!(since.iter().filter(repeated).count(), 1, "{since:#?}");

    let id = run.say("[[run: echo again >> again.txt && echo more]]").await;
    let (permission, ..) = run.asked().await;
    run.supervised.decide(permission, Decision::Deny).await.expect("it is open");
    run.turn_of(id).await;
    run.stop().await;
    // It went with its run.
    let mut next = world.start(tool, PermissionMode::Ask).await;
    next.say(command).await;
    next.asked().await;
    next.stop().await;
}

/// A later run goes on with the conversation of an earlier one, which nobody else has then.
async fn a_conversation_goes_on(tool: Tool) {
    let world = World::new().await;
    let mut run = world.start(tool, PermissionMode::Auto).await;
    run.tell("the word is plum [[say: noted]]").await;
    let conversation = |run: &Run| {
        let mut ids = run.events.iter().filter_map(|event| match &event.event {
            RunEvent::Session { id } => Some(ConversationId::parse(id).expect("no option")),
            _ => None,
        });
        ids.next_back().expect("it says which conversation it has")
    };
    let first = conversation(&run);
    run.stop().await;

    let mut spec = world.spec(tool, PermissionMode::Auto);
    spec.conversation = Some(first.clone());
    let mut next = Run::start(spec).await;
    next.tell("which word? [[say: that one]]").await;
    assert!(next.says(|text| text == "that one"), "{:#?}", next.story());
    assert!(!next.says(|text| text == "noted" || text == "an old answer"), "what was said is not told again");
    assert_eq!(conversation(&next), first);
    if tool != Tool::Cursor {
        let heard = world.model.requests();
        let of_next = heard.iter().rev().find(|request| request.prompt().contains("which word?")).expect("heard");
        assert!(of_next.body.to_string().contains("the word is plum"), "{}", of_next.body);
    }
    next.stop().await;
}
