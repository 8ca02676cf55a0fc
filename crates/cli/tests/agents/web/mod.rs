//! The web app as people use it: a real browser, `chatroom server` in a process of its own, a real daemon and agent program.

mod browser;
mod program;
mod programs;

use chatroom_testkit::model::{Model, Reply, Rule};
use chatroom_testkit::world::{Client, PASSWORD};
use serde_json::json;

use crate::laptop::{Desk, Laptop};
use crate::stories::HAND_OFF;
use browser::Story;
use program::Program;

#[tokio::test(flavor = "multi_thread")]
async fn from_a_printed_secret_to_the_first_answer_by_clicks_alone() {
    let ((program, secret), model) = (Program::start().await, Model::start().await);
    let mut story = Story::begin(program.url(), "first_run", &json!({ "secret": secret, "handOff": HAND_OFF }));
    let mut laptop: Option<Laptop> = None;
    while let Some(ask) = story.next().await {
        let answer = match ask.what.as_str() {
            "join" => {
                let line = ask.with.as_str().expect("a line");
                let code = line.split([' ', '\'', '"']).find(|word| word.starts_with("cro_")).expect("a code");
                let joined = laptop.insert(Laptop::joined(program.url(), code, &model).await);
                joined.spawn_daemon();
                json!(true)
            }
            "folder" => json!(laptop.as_ref().expect("it joined").work_dir()),
            other => panic!("the story asks for {other}"),
        };
        story.answer(answer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_it_everywhere_and_tabs_are_in_step() {
    let (program, ada) = Program::with("ada").await;
    let given = json!({ "email": ada.email, "password": PASSWORD, "name": ada.name });
    Story::begin(program.url(), "doors", &given).told().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_is_let_in_on_a_page_that_shows_what_asks() {
    let (program, ada) = Program::with("ada").await;
    let nobody = Client::new(program.url().to_owned(), None);
    let codes = nobody.post("/api/auth/device", json!({ "device": "<laptop>", "version": "0.1.0" })).await;
    let mut story =
        Story::begin(program.url(), "approve", &json!({ "cookie": ada.cookie, "code": codes.text("userCode") }));
    while story.next().await.is_some() {
        let session = nobody.post("/api/auth/device/token", json!({ "deviceCode": codes.text("deviceCode") })).await;
        story.answer(json!(session.text("name") == "ada")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_watched_answered_told_more_interrupted_and_stopped() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder"]).await;
    Story::begin(program.url(), "steer", &json!({ "cookie": ada.cookie, "room": desk.room })).told().await;
    assert!(laptop.work_dir().join("allowed.txt").exists());
    assert!(!laptop.work_dir().join("denied.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_that_the_server_was_killed_and_catches_up_without_a_gap_or_a_double() {
    let ((mut program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&ada, &laptop, "claude", "auto", &["builder"]).await;
    let run = desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    let given = json!({ "cookie": ada.cookie, "room": desk.room, "run": run });
    let mut story = Story::begin(program.url(), "restart", &given);
    let follow_up = format!("/api/chatrooms/{}/agents/builder/follow-up", desk.room);
    while let Some(ask) = story.next().await {
        match ask.what.as_str() {
            "tell" => {
                let sent = ada.post(&follow_up, json!({ "text": ask.with })).await;
                assert!(sent.status < 300, "{}", sent.raw);
            }
            "kill" => program.kill().await,
            // The agent works on: what it says now, no server hears.
            "go on without" => {
                std::fs::write(laptop.work_dir().join("go"), "").expect("a file");
                let log = laptop.home().join("runs").join(&run).join("events.jsonl");
                let word = ask.with.as_str().expect("a word");
                let said = || std::fs::read_to_string(&log).unwrap_or_default().matches(word).count();
                // Told in the prompt, and then said.
                laptop.until("the agent said it", async || said() >= 2).await;
            }
            "start" => program.resume().await,
            other => panic!("the story asks for {other}"),
        }
        story.answer(json!(true)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_elsewhere_is_told_what_needs_them_and_nothing_else() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder", "writer", "reviewer"]).await;
    desk.configure("writer", "claude", "auto").await;
    desk.configure_in("reviewer", "claude", "ask", "/etc".as_ref()).await;
    for role in ["builder", "writer"] {
        desk.start(role).await;
        desk.until_status(role, "waiting").await;
    }
    let given = json!({ "cookie": ada.cookie, "room": desk.room, "handOff": HAND_OFF });
    let mut story = Story::begin(program.url(), "notify", &given);
    while let Some(ask) = story.next().await {
        let with = |name: &str| ask.with[name].as_str().unwrap_or_default();
        match ask.what.as_str() {
            "say" => {
                let message = json!({ "content": with("text"), "targetRole": with("to") });
                let path = format!("/api/chatrooms/{}/messages", desk.room);
                assert_eq!(ada.post(&path, message).await.status, 201);
            }
            "tell" => {
                let path = format!("/api/chatrooms/{}/agents/{}/follow-up", desk.room, with("to"));
                let sent = ada.post(&path, json!({ "text": with("text") })).await;
                assert!(sent.status < 300, "{}", sent.raw);
            }
            "allow" => {
                let role = ask.with.as_str().expect("a role");
                let done = async || desk.agent(role).await["status"] != "needs-you";
                desk.answer_until(role, "allow", done).await;
            }
            "other" => {
                desk.until_status(ask.with.as_str().expect("a role"), "waiting").await;
                ada.post("/api/chatrooms", json!({ "name": "another", "roles": ["builder"] })).await;
                ada.post(&format!("/api/machines/{}/commands", laptop.id), json!({ "type": "ping" })).await;
            }
            "start" => {
                let outcome = desk.command("start-agent", ask.with.as_str().expect("a role")).await;
                assert_eq!(outcome["status"], "failed", "{outcome}");
            }
            other => panic!("the story asks for {other}"),
        }
        story.answer(json!(true)).await;
    }
    for role in ["builder", "writer"] {
        desk.command("stop-agent", role).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_page_shows_everything_that_waits_for_its_reader() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    let rooms: Vec<_> = (1..=14).map(|number| format!("room{number}")).collect();
    for name in &rooms {
        let room = ada.post("/api/chatrooms", json!({ "name": name, "roles": ["builder"] })).await;
        let desk = Desk { user: &ada, laptop: &laptop, room: room.text("chatroomId").to_owned() };
        desk.configure_in("builder", "claude", "ask", "/etc".as_ref()).await;
        assert_eq!(desk.command("start-agent", "builder").await["status"], "failed");
    }
    let given = json!({ "cookie": ada.cookie, "rooms": rooms });
    Story::begin(program.url(), "needs_you", &given).told().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_can_be_taken_back_or_is_confirmed_by_a_name() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::registered(&ada, &model).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder"]).await;
    let alias = ada.get(&format!("/api/machines/{}", laptop.id)).await.text("alias").to_owned();
    let given = json!({ "cookie": ada.cookie, "room": desk.room, "machine": laptop.id, "alias": alias });
    Story::begin(program.url(), "undo", &given).told().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder"]).await;
    for name in ["second", "third"] {
        ada.post("/api/chatrooms", json!({ "name": name, "roles": ["writer"] })).await;
    }
    ada.post(&format!("/api/machines/{}/commands", laptop.id), json!({ "type": "ping" })).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    let alias = ada.get(&format!("/api/machines/{}", laptop.id)).await.text("alias").to_owned();
    let given = json!({ "cookie": ada.cookie, "room": desk.room, "alias": alias });
    let mut story = Story::begin(program.url(), "keys", &given);
    let follow_up = format!("/api/chatrooms/{}/agents/builder/follow-up", desk.room);
    while let Some(ask) = story.next().await {
        let sent = ada.post(&follow_up, json!({ "text": ask.with })).await;
        assert!(sent.status < 300, "{}", sent.raw);
        story.answer(json!(true)).await;
    }
    desk.command("stop-agent", "builder").await;
}

/// A program that says what was typed, in the place of a tool that is started as a person would.
const ECHO: &str = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.0 (Claude Code)'; exit; }\n\
                    echo 'ready for input'\nwhile read -r line; do echo \"you typed: $line\"; done\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_typed_into_and_taken_over() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let mut laptop = Laptop::registered(&ada, &model).await;
    laptop.program("claude", ECHO);
    laptop.start_daemon(&ada).await;
    laptop.cli_ok(&["machine", "allow", "--terminal"], None).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder"]).await;
    desk.configure_in_terminal("builder", "claude", "ask").await;
    let run = desk.start("builder").await;
    let given = json!({ "cookie": ada.cookie, "room": desk.room, "run": run });
    Story::begin(program.url(), "terminal", &given).told().await;
    desk.command("stop-agent", "builder").await;
}

/// The pictures of the README, which `cargo xtask screenshots` keeps: every main screen, in light and in dark.
#[tokio::test(flavor = "multi_thread")]
async fn pictures() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let mut laptop = Laptop::registered(&ada, &model).await;
    laptop.program("pi", ECHO);
    laptop.start_daemon(&ada).await;
    laptop.cli_ok(&["machine", "allow", "--terminal"], None).await;
    ada.patch(&format!("/api/machines/{}", laptop.id), json!({ "alias": "laptop" })).await;
    let roles = ["builder", "reviewer", "writer"];
    let room = ada.post("/api/chatrooms", json!({ "name": "ship-login", "roles": roles })).await;
    let desk = Desk { user: &ada, laptop: &laptop, room: room.text("chatroomId").to_owned() };
    desk.configure("builder", "claude", "ask").await;
    desk.configure("reviewer", "opencode", "ask").await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    desk.configure_in_terminal("writer", "pi", "auto").await;
    let (run, terminal) = (desk.start("builder").await, desk.start("writer").await);
    desk.start("reviewer").await;
    desk.until_status("builder", "waiting").await;
    model.rule(Rule::prompt_contains("rate limiting").then_with(|_| {
        let command = json!({ "command": "cargo test login", "description": "Run the tests of the login route" });
        Reply::tool("Bash", command).saying("A token bucket in the login route will do. First I look at what is there.")
    }));
    desk.say(
        "Add **rate limiting** to the login route:\n\n- five tries a minute for an address\n- `429` with `Retry-After`",
    )
    .await;
    desk.until_status("builder", "needs-you").await;
    desk.say("Then update the changelog.").await;
    for name in ["docs", "perf"] {
        ada.post("/api/chatrooms", json!({ "name": name, "roles": ["writer"] })).await;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("CHATROOM_SCREENSHOTS").map_or_else(|| kept.path().to_owned(), Into::into);
    let given = json!({
        "cookie": ada.cookie, "room": desk.room, "run": run, "terminal": terminal, "machine": laptop.id, "folder": folder,
    });
    Story::begin(program.url(), "pictures", &given).told().await;
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").flatten().filter(is_picture).count(), 16);
    for role in roles {
        desk.command("stop-agent", role).await;
    }
}

fn is_picture(file: &std::fs::DirEntry) -> bool {
    file.path().extension().is_some_and(|kind| kind == "png")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thumb_is_enough() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let laptop = Laptop::start(&ada, &model).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder"]).await;
    desk.start("builder").await;
    desk.until_status("builder", "waiting").await;
    Story::begin(program.url(), "phone", &json!({ "cookie": ada.cookie, "name": ada.name })).told().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_serious_fault_for_those_who_cannot_see_it() {
    let ((program, ada), model) = (Program::with("ada").await, Model::start().await);
    let mut laptop = Laptop::registered(&ada, &model).await;
    laptop.program("pi", ECHO);
    laptop.start_daemon(&ada).await;
    laptop.cli_ok(&["machine", "allow", "--terminal"], None).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&ada, &laptop, "claude", "ask", &["builder", "reviewer", "writer"]).await;
    desk.configure_in_terminal("writer", "pi", "auto").await;
    let (run, terminal) = (desk.start("builder").await, desk.start("writer").await);
    desk.until_status("builder", "waiting").await;
    desk.say("# Hello\n\n- a `list`\n\n```rust\nfn main() {}\n```\n[[run: touch asked.txt]]").await;
    desk.until_status("builder", "needs-you").await;
    let room = &desk.room;
    let paths = [
        "/".to_owned(),
        format!("/rooms/{room}"),
        format!("/rooms/{room}/runs/{run}"),
        format!("/rooms/{room}/runs/{terminal}"),
        "/machines".to_owned(),
        format!("/machines/{}", laptop.id),
        "/needs-you".to_owned(),
        "/activity".to_owned(),
        "/account".to_owned(),
        "/cli".to_owned(),
    ];
    let given = json!({ "cookie": ada.cookie, "room": room, "paths": paths });
    Story::begin(program.url(), "axe", &given).told().await;
    for role in ["builder", "writer"] {
        desk.command("stop-agent", role).await;
    }
}
