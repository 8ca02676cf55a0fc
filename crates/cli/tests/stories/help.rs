//! What `--help` says of every verb, so that no change of the surface slips by.

use std::fmt::Write as _;

use crate::desk::Desk;

const VERBS: [&str; 70] = [
    "",
    "up",
    "server",
    "streams",
    "streams serve",
    "admin",
    "admin reset-password",
    "admin sign-in-link",
    "admin backup",
    "admin restore",
    "auth",
    "auth login",
    "auth logout",
    "auth status",
    "room",
    "room create",
    "room list",
    "room show",
    "room search",
    "room read",
    "room export",
    "room attachment",
    "room rename",
    "room instructions",
    "room instructions show",
    "room instructions set",
    "room instructions remove",
    "room archive",
    "room unarchive",
    "message",
    "message send",
    "message list",
    "message edit",
    "message remove",
    "messages",
    "task",
    "task list",
    "task approve",
    "task read",
    "activity",
    "agent",
    "agent list",
    "agent start",
    "agent stop",
    "agent restart",
    "agent interrupt",
    "agent allow",
    "agent deny",
    "agent share",
    "agent runs",
    "agent logs",
    "agent attach",
    "machine",
    "machine list",
    "machine rename",
    "machine remove",
    "machine rotate",
    "machine unlock",
    "machine allow",
    "machine runs",
    "machine journal",
    "machine policy",
    "machine add",
    "machine join",
    "machine daemon",
    "wait-for-task",
    "task-started",
    "report-progress",
    "handoff",
    "context read",
];

#[tokio::test]
async fn every_verb_explains_itself() {
    let desk = Desk::new();
    let mut all = String::new();
    for verb in VERBS {
        let line = format!("{verb} --help");
        let help = desk.run(line.trim_start()).await.exits(0);
        assert_eq!(help.err, "", "{verb}");
        let _ = write!(all, "$ chatroom {verb}\n{}\n", help.out);
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn the_daemon_verbs_explain_themselves() {
    let desk = Desk::new();
    let mut all = String::new();
    for verb in ["start", "stop", "status", "logs", "install", "uninstall"] {
        let help = desk.run(&format!("machine daemon {verb} --help")).await.exits(0);
        let _ = write!(all, "$ chatroom machine daemon {verb}\n{}\n", help.out);
    }
    let help = desk.run("task-complete --help").await.exits(0);
    let _ = write!(all, "$ chatroom task-complete\n{}\n", help.out);
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn hidden_verbs_stay_hidden_and_the_alias_works() {
    let desk = Desk::new();
    let help = desk.run("--help").await.exits(0).out;
    assert!(!help.contains("supervise") && !help.contains("openapi"), "{help}");
    assert!(help.contains("get-next-task"), "{help}");
    let description = desk.run("openapi").await.exits(0).json();
    assert!(description["paths"]["/api/chatrooms"].is_object());
}
