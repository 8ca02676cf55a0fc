//! Rooms and messages, as a person at a terminal sees them.

use chatroom_testkit::world::World;
use serde_json::json;

use crate::desk::Desk;

#[tokio::test]
async fn a_person_makes_a_room_and_speaks_in_it() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let empty = desk.run("room list").await.exits(0);
    assert!(empty.out.is_empty() && empty.err.contains("chatroom room create"), "{}", empty.all());

    let made = desk.run("room create hello --role builder --role reviewer").await.exits(0);
    let room = made.out.trim().to_owned();
    assert!(room.starts_with("room_") && made.out.lines().count() == 1, "{}", made.all());
    let shown = desk.run(&format!("room show --chatroom-id {room}")).await.exits(0);
    assert!(shown.out.contains("builder (entry), reviewer"), "{}", shown.all());
    let list = desk.run("room list").await.exits(0);
    assert!(list.out.starts_with("CHATROOM ID") && list.out.contains(&room), "{}", list.all());

    let first = desk.run(&format!("message send --chatroom-id={room} --content=one")).await.exits(0);
    assert!(first.out.contains("for builder"), "{}", first.all());
    let second = desk.run(&format!("message send --chatroom-id={room} --content=two")).await.exits(0);
    assert!(second.out.contains("waits in the queue"), "{}", second.all());
    let list = desk.run(&format!("messages --chatroom-id={room}")).await.exits(0);
    assert!(list.out.contains("user → builder") && list.out.contains("queue (1)"), "{}", list.all());
    let read = desk.run(&format!("room read --chatroom-id={room}")).await.exits(0);
    assert!(read.out.contains("is read up to msg_"), "{}", read.all());
    let tasks = desk.run(&format!("task list --chatroom-id={room}")).await.exits(0);
    assert!(tasks.out.contains("builder") && tasks.out.contains("pending"), "{}", tasks.all());

    let waits = list.out.split_whitespace().rfind(|word| word.starts_with("msg_")).unwrap().to_owned();
    desk.run(&format!("message edit --chatroom-id={room} {waits} --content=better")).await.exits(0);
    let list = desk.run(&format!("messages --chatroom-id={room}")).await.exits(0);
    assert!(list.out.contains("better") && !list.out.contains("two"), "{}", list.all());
    desk.run(&format!("message remove --chatroom-id={room} {waits}")).await.exits(0);
    let gone = desk.run(&format!("message remove --chatroom-id={room} {waits}")).await.exits(1);
    assert!(gone.err.contains("not_found"), "{}", gone.all());

    let found = desk.run("room search ONE").await.exits(0);
    assert!(found.out.contains("user in hello") && found.out.contains("    one"), "{}", found.all());
    let none = desk.run("room search nowhere").await.exits(0);
    assert!(none.out.is_empty() && none.err.contains("Nothing has that text"), "{}", none.all());

    let wrong =
        desk.run(&format!("message send --chatroom-id={room} --content=x --target-role=painter")).await.exits(1);
    assert!(wrong.err.contains("builder, reviewer") && wrong.err.contains("unknown_role"), "{}", wrong.all());
}

#[tokio::test]
async fn a_person_instructs_the_agents_of_a_room_and_puts_it_away() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
    let none = desk.run(&format!("room instructions show --chatroom-id {room}")).await.exits(0);
    assert!(none.out.is_empty() && none.err.contains("room instructions set"), "{}", none.all());
    desk.pipe(&format!("room instructions set --chatroom-id {room}"), "Always add tests.\n").await.exits(0);
    let shown = desk.run(&format!("room instructions show --chatroom-id {room}")).await.exits(0);
    assert_eq!(shown.out, "Always add tests.\n");
    let prompt = desk.run(&format!("context read --chatroom-id {room} --role builder")).await.exits(0);
    assert!(prompt.out.contains("> Always add tests."), "{}", prompt.all());
    desk.run(&format!("room instructions remove --chatroom-id {room}")).await.exits(0);
    let prompt = desk.run(&format!("context read --chatroom-id {room} --role builder")).await.exits(0);
    assert!(!prompt.out.contains("Always add tests."), "{}", prompt.all());

    desk.run(&format!("room rename --chatroom-id {room} goodbye")).await.exits(0);
    desk.run(&format!("room archive --chatroom-id {room}")).await.exits(0);
    let list = desk.run("room list").await.exits(0);
    assert!(!list.out.contains(&room), "{}", list.all());
    let printed = desk.run(&format!("room export --chatroom-id {room}")).await.exits(0);
    assert!(printed.out.starts_with("# goodbye\n"), "{}", printed.all());
    desk.run(&format!("room export --chatroom-id {room} --format json --output room.json")).await.exits(0);
    let saved = std::fs::read_to_string(desk.work_dir().join("room.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!((&saved["chatroom"]["name"], &saved["messages"]), (&json!("goodbye"), &json!([])));
    let told = desk.run(&format!("activity --chatroom-id {room} --kind room")).await.exits(0);
    let lines: Vec<_> = told.out.lines().collect();
    assert!(lines[1].contains("room.archived") && lines[1].contains("ada"), "{}", told.all());
    assert!(lines[2].contains("room.renamed") && lines[2].ends_with("goodbye"), "{}", told.all());
    let refused = desk.run(&format!("message send --chatroom-id {room} --content hi")).await.exits(1);
    assert!(refused.err.contains("room_archived") && refused.err.contains("room unarchive"), "{}", refused.all());
    desk.run(&format!("room unarchive --chatroom-id {room}")).await.exits(0);
    let list = desk.run("room list --search GOOD").await.exits(0);
    assert!(list.out.contains("goodbye"), "{}", list.all());
    let none = desk.run("room list --archived").await.exits(0);
    assert!(none.out.is_empty() && none.err.contains("No such room"), "{}", none.all());
}

#[tokio::test]
async fn a_file_goes_along_with_a_message_and_is_saved_again() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
    let bytes = b"\x89PNG\r\n\x1a\n\0\xff";
    std::fs::write(desk.work_dir().join("shot.png"), bytes).unwrap();
    std::fs::write(desk.work_dir().join("notes.txt"), "größe").unwrap();
    std::fs::write(desk.work_dir().join("program"), b"\x7fELF\0").unwrap();
    let sent = "--attach shot.png --attach notes.txt --content=look";
    desk.run(&format!("message send --chatroom-id={room} {sent}")).await.exits(0);
    let list = desk.run(&format!("messages --chatroom-id={room}")).await.exits(0);
    assert!(list.out.contains("+ shot.png") && list.out.contains("+ notes.txt"), "{}", list.all());
    let id = list.out.split_whitespace().find(|word| word.starts_with("att_")).unwrap();
    desk.run(&format!("room attachment --chatroom-id={room} {id} --output saved.png")).await.exits(0);
    assert_eq!(std::fs::read(desk.work_dir().join("saved.png")).unwrap(), bytes);
    for (line, part) in [("--attach program", "invalid_request"), ("--attach nowhere", "nowhere cannot be read")] {
        let refused = desk.run(&format!("message send --chatroom-id={room} {line} --content=x")).await.exits(1);
        assert!(refused.err.contains(part), "{}", refused.all());
    }
    let list = desk.run(&format!("messages --chatroom-id={room}")).await.exits(0);
    assert!(!list.out.contains("queue"), "nothing of it was sent: {}", list.all());
}

#[tokio::test]
async fn what_others_wrote_cannot_steer_the_terminal() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let made = ada.post("/api/chatrooms", json!({ "name": "a\u{1b}[2Jb", "roles": ["builder"] })).await;
    let room = if made.status == 201 {
        made.text("chatroomId").to_owned()
    } else {
        desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned()
    };
    let content = "red \u{1b}[31malert\u{1b}[0m\u{1b}]0;title\u{7} \u{9b}2J\u{202e}end";
    let sent = ada.post(&format!("/api/chatrooms/{room}/messages"), json!({ "content": content })).await;
    assert_eq!(sent.status, 201, "{}", sent.raw);
    for line in ["room list", "room list --json", "messages --full", "messages --json", "task list"] {
        let line = if line.starts_with("room") { line.to_owned() } else { format!("{line} --chatroom-id={room}") };
        let ended = desk.run(&line).await.exits(0);
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ended.out.contains(bad), "{line}: {:?}", ended.out);
    }
    let list = desk.run(&format!("messages --chatroom-id={room}")).await.exits(0);
    assert!(list.out.contains("    red alert end"), "{}", list.all());
}
