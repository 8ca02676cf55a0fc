//! Which words are understood, and what a wrong command is answered.

use crate::desk::Desk;

/// Nobody is signed in here, so what is understood ends with 1, what is not with 2.
const SIGNED_OUT: &str = "run `chatroom auth login`";
const ROOM: &str = "room_01HF7YAT00000000000000000A";
const TASK: &str = "task_01HF7YAT00000000000000000A";

#[tokio::test]
async fn words_are_understood_or_answered_with_the_nearest_right_command() {
    let desk = Desk::new();
    let mut wrong = Vec::new();
    for (line, code, part) in [
        ("wait-for-task --chatroom-id ROOM --role builder", 1, SIGNED_OUT),
        ("wait-for-task --chatroom-id=ROOM --role=builder", 1, SIGNED_OUT),
        ("get-next-task --chatroom-id=ROOM --role=builder --agent-type=claude --duration=5m", 1, SIGNED_OUT),
        ("wait-for-task --chatroom-id=ROOM --role=builder --timeout 1000 --take-over", 1, SIGNED_OUT),
        ("wait-for-task --chatroom-id=ROOM --role=builder --timeout=1 --duration=1s", 2, "cannot be used with"),
        ("wait-for-task --chatroom-id=ROOM --role=builder --duration=soon", 2, "30s, 5m or 1h"),
        ("wait-for-task --chatroom-id=ROOM --role=builder --agent-type=emacs", 2, "claude, opencode, cursor, pi"),
        ("wait-for-task --role=builder", 2, "chatroom wait-for-task --role=builder --chatroom-id=CHATROOM_ID"),
        ("wait-for-task --chatroom-id=short --role=builder", 1, "20 to 40 letters, digits or _"),
        ("wait-for-task --chatroom-id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --role=b", 1, "20 to 40"),
        ("wait-for-task --chatroom-id=aaaaaaaaaaaaaaaaaaaaaaa/b --role=b", 1, "20 to 40"),
        ("wait-for-task --chatroom-id=jx750h696te75x67z5q6cbwkph7zvm2x --role=b", 1, "there is no room"),
        ("wait-for-task --chatroom-id=ROOM --role=-b", 1, "--role: a role must be"),
        ("task-started --chatroom-id=ROOM --role=b --task-id=TASK --no-classify", 1, SIGNED_OUT),
        (
            "task-started --chatroom-id=ROOM --role=b --task-id=TASK --origin-message-classification=follow_up",
            1,
            SIGNED_OUT,
        ),
        (
            "task-started --chatroom-id=ROOM --role=b --task-id=TASK --origin-message-classification=new",
            2,
            "new_feature",
        ),
        ("task read --chatroom-id=ROOM --role=b --task-id=TASK", 1, SIGNED_OUT),
        ("task-started --chatroom-id=ROOM --role=b --task-id=nonsense", 1, "is no task's id"),
        ("task-complete --chatroom-id=ROOM --role=b", 2, "--task-id=TASK_ID"),
        ("handoff --chatroom-id=ROOM --role=b --next-role=user --task-id=TASK", 1, SIGNED_OUT),
        ("handoff --chatroom-id=ROOM --role=b --next-role=-x", 1, "--next-role: a role must be"),
        ("handof --chatroom-id=ROOM", 2, "chatroom handoff --chatroom-id=ROOM"),
        ("report-progress --chatroom-id=ROOM --role=b", 1, SIGNED_OUT),
        ("context read --chatroom-id=ROOM --role=b", 1, SIGNED_OUT),
        ("message send --chatroom-id=ROOM --content=hello --target-role=user", 1, SIGNED_OUT),
        ("messages --chatroom-id=ROOM --sender-role=user --limit=5 --full", 1, SIGNED_OUT),
        ("messages --chatroom-id=ROOM --limit=0", 2, "1..=500"),
        ("room create hello --role builder --role reviewer --entry reviewer", 1, SIGNED_OUT),
        ("room create hello", 2, "chatroom room create hello --role=ROLE"),
        ("room lsit", 2, "chatroom room list"),
        (
            "agent start --chatroom-id=ROOM --role=b --mode=ask --tool=claude --model=opus --working-dir=/",
            1,
            SIGNED_OUT,
        ),
        ("agent start --chatroom-id=ROOM --role=b --model=--evil", 2, "a model must be"),
        ("agent start --chatroom-id=ROOM --role=b --mode=atuo", 2, "--mode=auto"),
        ("agent allow --chatroom-id=ROOM --role=b", 1, SIGNED_OUT),
        ("agent logs --chatroom-id=ROOM --role=b --follow --json", 1, SIGNED_OUT),
        ("machine rename laptop", 2, "chatroom machine rename laptop NAME"),
        ("machine list", 1, SIGNED_OUT),
        ("machine join CODE", 2, "--url=URL"),
        ("machine join --url=nonsense CODE", 1, "is no server address"),
        ("machine daemon strat", 2, "chatroom machine daemon start"),
        ("server --port=soon", 2, "invalid value 'soon'"),
        ("up --prot=1", 2, "chatroom up --port=1"),
        ("machine", 2, "Usage"),
    ] {
        let line = line.replace("ROOM", ROOM).replace("=TASK", &format!("={TASK}"));
        let part = part.replace("=ROOM", &format!("={ROOM}"));
        let ended = desk.run(&line).await;
        if ended.code != code || !ended.err.contains(&part) || !ended.out.is_empty() {
            wrong.push(format!("`{line}` should end with {code} and say {part:?}\n{}", ended.all()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_wrong_value_of_the_surroundings_is_named() {
    for (name, value, part) in [
        ("CHATROOM_HOME", "relative/home", "CHATROOM_HOME"),
        ("CHATROOM_RUN", "run_01HF7YAT00000000000000000A", "CHATROOM_URL"),
    ] {
        let ended = Desk::new().with(name, value).run("auth status").await.exits(1);
        assert!(ended.err.contains(part), "{}", ended.all());
    }
}
