//! What a run's processes see, and where programs are found.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chatroom_daemon::detect::detect;
use chatroom_daemon::env::{Ambient, RunVars, SearchPath, compose, secrets};
use chatroom_daemon::home::Home;
use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::api::daemon::Slot;
use chatroom_protocol::api::machines::ToolPresence;
use chatroom_protocol::{Role, RoomId, RunId, Timestamp, Tool};

use crate::world::environment;

fn ambient(vars: &[(&str, &str)]) -> Ambient {
    Ambient::new(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn program(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_whole_environment_of_a_child_is_the_person_s_with_ours_and_no_outer_agent() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path().join("home")).unwrap();
    std::fs::write(
        home.join("env"),
        "# mine\nEDITOR=vim\nexport QUOTED=\"a b\"\nLANG=C\nnot a line\nCHATROOM_URL=evil\n",
    )
    .unwrap();
    let ambient = ambient(&[
        ("PATH", "/usr/bin:/bin"),
        ("HOME", dir.path().to_str().unwrap()),
        ("LANG", "de"),
        ("ANTHROPIC_API_KEY", "mine"),
        ("GIT_EDITOR", "vim"),
        ("CHATROOM_HOME", "/x"),
        ("CHATROOM_SECRET_KEYS", "x"),
        ("CHATROOM_RUN_TOKEN", "outer"),
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_ENTRYPOINT", "cli"),
        ("CLAUDE_CODE_SSE_PORT", "1"),
        ("OPENCODE", "1"),
        ("OPENCODE_SERVER_PASSWORD", "x"),
        ("CURSOR_AGENT", "1"),
        ("CURSOR_TRACE_ID", "x"),
    ])
    .with_file(&home)
    .unwrap();
    let slot = Slot { chatroom_id: RoomId::from_parts(Timestamp(1), 1), role: Role::parse("builder").unwrap() };
    let run = RunVars {
        server_url: &"https://chatroom.example".parse().unwrap(),
        run_id: RunId::from_parts(Timestamp(1), 2),
        run_token: "crr_x",
        form: RunForm::Managed,
        slot: &slot,
        bin: Path::new("/run/bin"),
    };
    let printed =
        std::process::Command::new("/usr/bin/env").env_clear().envs(compose(&ambient, &run)).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let pairs = printed.lines().map(|line| line.split_once('=').unwrap());
    let mut env = environment(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    let path = env.remove("PATH").unwrap();
    assert!(path.starts_with("/run/bin:/usr/bin:/bin"), "{path}");
    let home = dir.path().to_str().unwrap().to_owned();
    let room = slot.chatroom_id.to_string();
    let run_id = run.run_id.to_string();
    let expected = [
        ("ANTHROPIC_API_KEY", "mine"),
        ("CHATROOM_ROLE", "builder"),
        ("CHATROOM_ROOM", &room),
        ("CHATROOM_RUN", &run_id),
        ("CHATROOM_RUN_FORM", "managed"),
        ("CHATROOM_RUN_TOKEN", "crr_x"),
        ("CHATROOM_URL", "https://chatroom.example"),
        ("EDITOR", "vim"),
        ("GIT_EDITOR", "true"),
        ("GIT_PAGER", "cat"),
        ("GIT_SEQUENCE_EDITOR", "true"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("HOME", &home),
        ("LANG", "C"),
        ("PAGER", "cat"),
        ("QUOTED", "a b"),
    ];
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, expected);
}

#[test]
fn secrets_of_the_env_file_are_those_marked_and_those_named_so() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path().join("home")).unwrap();
    assert_eq!(secrets(&home).unwrap(), Vec::<String>::new(), "there is no file");
    let file = "EDITOR=emacs-in-a-terminal\nsecret MOTTO=\"eight by ten\"\nexport OPENAI_API_KEY=sk-0123456789\n\
                secret export DB=postgres://u:p@h\nSHORT_TOKEN=1234567\ndb_password='correct horse'\nKEYNOTE=not-a-secret\n";
    std::fs::write(home.join("env"), file).unwrap();
    assert_eq!(secrets(&home).unwrap(), ["eight by ten", "sk-0123456789", "postgres://u:p@h", "correct horse"]);
    let ambient = ambient(&[]).with_file(&home).unwrap();
    assert_eq!((ambient.get("MOTTO"), ambient.get("DB")), (Some("eight by ten"), Some("postgres://u:p@h")));

    std::fs::write(home.join("env"), "secret PIN=1234567\n").unwrap();
    let error = secrets(&home).unwrap_err().to_string();
    assert!(error.starts_with("PIN in ") && error.contains("fewer than 8 bytes"), "{error}");
}

#[tokio::test]
async fn a_service_with_no_environment_finds_what_its_user_installed() {
    let dir = tempfile::tempdir().unwrap();
    let person = dir.path().join("person");
    let home = Home::open(dir.path().join("home")).unwrap();
    let recorded = dir.path().join("recorded");
    std::fs::write(home.join("env"), format!("PATH={}\n", recorded.display())).unwrap();
    // A Node script, as pi is one, with its Node in another of the known folders.
    program(&person.join(".nvm/versions/node/v9.1.0/bin/node"), "#!/bin/sh\nexit 1\n");
    program(&person.join(".nvm/versions/node/v24.2.0/bin/node"), "#!/bin/sh\necho 0.87.1\n");
    program(&person.join(".npm-global/bin/pi"), "#!/usr/bin/env node\n");
    program(&recorded.join("claude"), "#!/bin/sh\necho '2.1.329 (Claude Code)'\n");
    program(&person.join(".local/bin/opencode"), "#!/bin/sh\necho broken >&2\nexit 1\n");
    for ambient in [
        ambient(&[("HOME", person.to_str().unwrap())]),
        ambient(&[("HOME", person.to_str().unwrap()), ("PATH", "/usr/sbin:/sbin")]),
    ] {
        let path = SearchPath::from(&ambient.with_file(&home).unwrap());
        let found = detect(&path).await;
        let of = |tool: Tool| found.iter().find(|facts| facts.tool == tool).unwrap().clone();
        assert_eq!(of(Tool::Claude).version.as_deref(), Some("2.1.329"));
        assert_eq!((of(Tool::Pi).presence, of(Tool::Pi).version.as_deref()), (ToolPresence::Installed, Some("0.87.1")));
        assert_eq!(of(Tool::Opencode).presence, ToolPresence::ProbeFailed);
        assert_eq!(of(Tool::Cursor).presence, ToolPresence::Missing);
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_a_failed_probe_in_bounded_time() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["claude", "opencode", "pi", "cursor-agent"] {
        program(&dir.path().join(name), "#!/bin/sh\nexec sleep 60\n");
    }
    let path = SearchPath::exactly([dir.path().to_owned(), "/usr/bin".into(), "/bin".into()]);
    let begun = std::time::Instant::now();
    let found = detect(&path).await;
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert!(found.iter().all(|facts| facts.presence == ToolPresence::ProbeFailed), "{found:?}");
}
