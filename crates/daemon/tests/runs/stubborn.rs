//! Tools that do not do what they are asked.

use std::time::{Duration, Instant};

use chatroom_daemon::supervisor::client::{self, Error};
use chatroom_daemon::supervisor::event::RunEvent;
use chatroom_protocol::Tool;
use chatroom_protocol::api::agents::PermissionMode;
use serde_json::json;

use crate::world::{RUN_TOKEN, Run, World, supervisor};

#[tokio::test]
async fn a_tool_that_ignores_every_request_is_killed() {
    let world = World::new().await;
    let mut spec = world.spec(Tool::Cursor, PermissionMode::Auto);
    spec.env.push(("STANDIN_IGNORES_TERM".to_owned(), "1".to_owned()));
    let mut run = Run::start(spec).await;
    run.say("[[run: trap '' TERM; (setsid sh -c \"trap '' TERM; sleep 300\" &); sleep 300]]").await;
    run.until("the command", |event| matches!(event, RunEvent::ToolCall { .. }).then_some(())).await;
    let begun = Instant::now();
    let (code, signal, reason, requested) = run.stop().await;
    assert_eq!((code, signal, reason.as_str(), requested), (None, Some(9), "stopped", true));
    assert!(begun.elapsed() < Duration::from_secs(25), "took {:?}", begun.elapsed());
    let twice = run.supervised.stop().await;
    assert!(matches!(twice, Ok(_) | Err(Error::Closed | Error::Refused(_))), "{twice:?}");
}

#[tokio::test]
async fn questions_of_its_own_kind_are_refused_and_told() {
    let world = World::new().await;
    let mut run = world.start(Tool::Cursor, PermissionMode::Auto).await;
    run.tell("[[ask: cursor/ask_question]]").await;
    assert!(run.says(|text| text == "refused"), "{:#?}", run.story());
    assert!(
        run.has(|event| matches!(event, RunEvent::Notice { text } if text.contains("cursor/ask_question"))),
        "{:#?}",
        run.story()
    );
    run.stop().await;
}

#[tokio::test]
async fn a_signed_out_tool_says_so() {
    let world = World::new().await;
    let mut spec = world.spec(Tool::Cursor, PermissionMode::Auto);
    spec.env.push(("STANDIN_SIGNED_OUT".to_owned(), "1".to_owned()));
    let supervised = client::spawn(&supervisor(), &spec.run_dir).await.expect("a supervisor");
    supervised.go(spec.clone()).await.expect("the tool starts");
    let mut run = Run { spec, supervised, events: Vec::new(), passed: 0 };
    let (_, _, reason, requested) = run.exited().await;
    assert!(!requested);
    assert!(reason.contains("not signed in: run agent login"), "{reason}");
    run.nothing_is_left();
}

#[tokio::test]
async fn the_token_shows_nowhere_however_it_is_printed() {
    let world = World::new().await;
    let mut run = world.start(Tool::Cursor, PermissionMode::Auto).await;
    let (head, tail) = RUN_TOKEN.split_at(20);
    // In pieces of five characters, over two lines, in the input, and on its own.
    run.tell(&format!("[[say: a {RUN_TOKEN} b]][[run: printf '{head}\\n{tail}'; echo {RUN_TOKEN} >&2]]")).await;
    assert!(run.says(|text| text.starts_with("a [redacted] b")), "{:#?}", run.story());
    run.stop().await;
    for file in ["events.jsonl", "output.log"] {
        let text = std::fs::read_to_string(run.spec.run_dir.join(file)).expect("reads");
        assert!(!text.contains(head) && !text.contains(tail), "{file}: {text}");
    }
}

#[tokio::test]
async fn a_hook_of_a_project_runs_only_where_the_project_is_trusted() {
    for trusted in [true, false] {
        let world = World::new().await;
        let mut spec = world.spec(Tool::Claude, PermissionMode::Ask);
        spec.without_project_settings = !trusted;
        let hook = spec.working_dir.join("hooked");
        let settings = json!({ "hooks": { "SessionStart": [{ "hooks": [
            { "type": "command", "command": format!("touch '{}'", hook.display()) }] }] } });
        std::fs::create_dir_all(spec.working_dir.join(".claude")).expect("a folder");
        std::fs::write(spec.working_dir.join(".claude/settings.json"), settings.to_string()).expect("a file");
        let served = spec.working_dir.join("served");
        let servers = json!({ "mcpServers": { "own": { "command": "touch", "args": [served] } } });
        std::fs::write(spec.working_dir.join(".mcp.json"), servers.to_string()).expect("a file");
        let mut run = Run::start(spec).await;
        run.tell("[[say: hello]]").await;
        assert!(trusted || !served.exists(), "{:#?}", run.story());
        assert_eq!(hook.exists(), trusted, "{:#?}", run.story());
        let notice =
            run.has(|event| matches!(event, RunEvent::Notice { text } if text.contains("machine allow --trust")));
        assert_eq!(notice, !trusted, "{:#?}", run.story());
        run.stop().await;
    }
}
