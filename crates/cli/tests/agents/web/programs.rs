//! A run of each agent program, as the browser shows it.

use std::path::Path;

use chatroom_protocol::transcript::{RunEvent, Sequenced};
use chatroom_protocol::{Timestamp, Tool};
use chatroom_testkit::fake_daemon::Computer;
use chatroom_testkit::model::{Model, Reply, Rule, Turn};
use serde_json::{Value, json};

use super::browser::Story;
use super::program::Program;
use crate::laptop::{Desk, Laptop};

const BEFORE: &str = "print(\"hello\")\n";
const AFTER: &str = "print(\"good morning\")\n";
const SAID: &str = "## It is changed\n\n- `greet.py` says **good morning** now\n- it was run once\n\n\
                    ```python\nprint(\"good morning\")\n```\n\n| before | after |\n| --- | --- |\n| hello | good morning |\n";

/// What the model does: looks, changes, runs, and says so; each program calls its tools by its own words.
fn work(turn: &Turn, path: &Path) -> Reply {
    let has = |name: &str| turn.tools.iter().any(|tool| tool == name);
    let (read, edit): ((&str, Value), (&str, Value)) = if has("Edit") {
        let change = json!({ "file_path": path, "old_string": BEFORE, "new_string": AFTER });
        (("Read", json!({ "file_path": path })), ("Edit", change))
    } else if has("webfetch") {
        let change = json!({ "filePath": path, "oldString": BEFORE, "newString": AFTER });
        (("read", json!({ "filePath": path })), ("edit", change))
    } else {
        let edits = json!([{ "oldText": BEFORE, "newText": AFTER }]);
        (("read", json!({ "path": path })), ("edit", json!({ "path": path, "edits": edits })))
    };
    match turn.calls {
        0 => Reply::tool(read.0, read.1).saying("First I look at it."),
        1 => Reply::tool(edit.0, edit.1),
        2 => Reply::tool_shell("python3 greet.py"),
        _ => Reply::text(SAID).usage(12_345, 678),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_each_program_reads_the_same() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let path = laptop.work_dir().join("greet.py");
    let file = path.clone();
    model.rule(Rule::prompt_contains("change the greeting").then_with(move |turn| work(turn, &file)));
    let tools = ["claude", "opencode", "pi"];
    let desk = Desk::new(&ada, &laptop, "claude", "auto", &tools).await;
    let mut runs = serde_json::Map::new();
    for tool in tools {
        desk.configure(tool, tool, "auto").await;
        std::fs::write(&path, BEFORE).expect("a file");
        let run = desk.start(tool).await;
        let path = format!("/api/chatrooms/{}/agents/{tool}/follow-up", desk.room);
        let sent = ada.post(&path, json!({ "text": "Please change the greeting." })).await;
        assert!(sent.status < 300, "{}", sent.raw);
        let log = format!("/api/runs/{run}/transcript");
        laptop.until(&format!("{tool} is done"), async || ada.get(&log).await.raw.contains("turn_ended")).await;
        runs.insert(tool.to_owned(), run.into());
    }
    let pages = json!({
        "home": "/", "room": format!("/rooms/{}", desk.room), "machines": "/machines", "activity": "/activity",
        "machine": format!("/machines/{}", laptop.id), "account": "/account", "cli": "/cli", "nothing": "/nothing/here",
    });
    let folder = std::env::var("CHATROOM_SCREENSHOTS").ok();
    let given = json!({ "cookie": ada.cookie, "room": desk.room, "runs": runs, "folder": folder, "pages": pages });
    Story::begin(program.url(), "programs", &given).told().await;
    for tool in tools {
        desk.command("stop-agent", tool).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_drawn_as_one_however_it_is_told() {
    let (program, ada) = Program::with("ada").await;
    let computer = Computer::register(&ada, &uuid::Uuid::new_v4().to_string(), "laptop", &[Tool::Cursor]).await;
    let room = ada.post("/api/chatrooms", json!({ "name": "desk", "roles": ["builder"] })).await;
    let room = room.text("chatroomId");
    let mut daemon = computer.connect(1).await;
    let config = json!({ "agentType": "cursor", "workingDir": "/srv/app", "mode": "auto" });
    assert_eq!(ada.put(&format!("{}/agents/{room}/builder", computer.path()), config).await.status, 200);
    let start = json!({ "type": "start-agent", "chatroomId": room, "role": "builder" });
    assert_eq!(ada.post(&format!("{}/commands", computer.path()), start).await.status, 201);
    let run = daemon.started(&daemon.command(1).await).await;
    let change =
        json!({ "type": "diff", "path": "/srv/app/told.rs", "oldText": "same\nwas\n", "newText": "same\nis now\n" });
    let lines = (1..3000).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
    let long = json!({ "file_path": "/srv/app/long.rs", "content": lines }).to_string();
    let cut = format!("{}\n[cut: {} more bytes]", &long[..16_384], long.len() - 16_384);
    let call = |id: &str, name: &str, input: &str| RunEvent::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        input: input.to_owned(),
    };
    let events = [
        call("1", "Edit File", "Edit told.rs"),
        RunEvent::ToolResult { id: "1".into(), output: json!({ "content": [change] }).to_string(), is_error: false },
        call("2", "write", &cut),
        RunEvent::ToolResult { id: "2".into(), output: "written".into(), is_error: false },
    ];
    let placed = |(seq, event)| Sequenced { seq, at: Timestamp(1_800_000_000_000), event };
    daemon.write(run, &(1..).zip(events).map(placed).collect::<Vec<_>>(), false).await;
    let given = json!({ "cookie": ada.cookie, "room": room, "run": run });
    Story::begin(program.url(), "edits", &given).told().await;
}
