//! What comes on stdin is taken whole or refused; then nothing is changed.

use chatroom_testkit::world::World;

use crate::desk::Desk;

#[tokio::test]
async fn a_text_is_sent_whole_or_refused() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = desk.run("room create hello --role builder").await.exits(0).out;
    let send = format!("message send --chatroom-id={}", room.trim());
    let too_long = "ü".repeat(100_001);
    for (text, part) in [
        (&b""[..], "empty"),
        (b" \n ", "empty"),
        (b"a\xff", "not UTF-8 (byte 2"),
        (too_long.as_bytes(), "at most 100000 characters"),
        (b"before\nCHATROOM_HANDOFF_END\nafter", "CHATROOM_HANDOFF_END"),
    ] {
        let ended = desk.pipe(&send, text).await.exits(1);
        assert!(ended.err.contains(part), "{part}\n{}", ended.all());
    }
    let messages = desk.run(&format!("messages --chatroom-id={} --json", room.trim())).await.exits(0).json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(0), "{messages}");

    let longest = "ü".repeat(100_000);
    desk.pipe(&send, &longest).await.exits(0);
    desk.pipe(&send, "---MESSAGE---\n$HOME stays, EOF\nEOF\ntoo\n").await.exits(0);
    let messages = desk.run(&format!("messages --chatroom-id={} --json", room.trim())).await.exits(0).json();
    assert_eq!(messages["messages"][0]["content"].as_str().map(|text| text.chars().count()), Some(100_000));
    let queued = messages["queue"][0]["content"].as_str().expect("the second text");
    assert!(queued.starts_with("$HOME stays, EOF\nEOF\ntoo"), "{queued:?}");
}
