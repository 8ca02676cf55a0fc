//! Command lines and environments, without starting anything.

use std::ffi::OsStr;
use std::path::PathBuf;

use chatroom_daemon::harness::launch::{CannotLaunch, compose};
use chatroom_daemon::harness::{TOOLS, spec};
use chatroom_daemon::supervisor::RunSpec;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::{ModelId, RunId, Timestamp, Tool};

fn run(tool: Tool, mode: PermissionMode) -> RunSpec {
    RunSpec {
        run_id: RunId::from_parts(Timestamp(1), 1),
        tool,
        program: "/bin/tool".into(),
        model: None,
        conversation: None,
        working_dir: "/srv/project".into(),
        mode,
        without_project_settings: false,
        form: RunForm::Managed,
        system_prompt: String::new(),
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        run_token: "crr_secret".to_owned(),
        other_secrets: Vec::new(),
        run_dir: "/runs/1".into(),
    }
}

/// Every place in a command line that takes a value, filled with the worst that could be there.
#[test]
fn no_value_becomes_an_option() {
    let hostile = "--dangerously-skip-permissions";
    assert!(ModelId::parse(hostile).is_err());
    assert!(ModelId::parse("-m").is_err());
    for tool in TOOLS {
        for mode in [PermissionMode::Ask, PermissionMode::Auto] {
            let bare = match compose(&run(tool.tool, mode)) {
                Ok(bare) => bare,
                Err(error) => {
                    assert_eq!((tool.tool, mode), (Tool::Pi, PermissionMode::Ask), "{error}");
                    continue;
                }
            };
            let mut full = run(tool.tool, mode);
            full.model = Some(ModelId::parse("m--model").expect("a model"));
            full.system_prompt = hostile.to_owned();
            full.working_dir = format!("/{hostile}").into();
            full.run_dir = format!("/{hostile}").into();
            let full = compose(&full).expect("it can be composed");
            // What is there more than without values is a constant option, or a value that is none.
            let mut bare = bare.args.iter().peekable();
            for word in &full.args {
                if bare.next_if(|known| *known == word).is_some() {
                    continue;
                }
                let word = word.to_str().expect("text");
                let constant = ["--model", "--append-system-prompt"].contains(&word);
                let joined = word.starts_with("--model=m") || word.starts_with("--append-system-prompt-file=/");
                assert!(constant || joined || !word.starts_with('-'), "{:?}: {word}", tool.tool);
            }
            assert_eq!(bare.next(), None);
            assert!(!full.args.iter().any(|word| word == hostile && mode == PermissionMode::Ask));
        }
    }
}

#[test]
fn a_relative_path_starts_nothing() {
    for tool in Tool::ALL {
        for field in 0..3 {
            let mut run = run(tool, PermissionMode::Auto);
            let path = [&mut run.program, &mut run.working_dir, &mut run.run_dir];
            *path.into_iter().nth(field).expect("a field") = PathBuf::from("-x");
            assert!(matches!(compose(&run), Err(CannotLaunch::NotAbsolute { .. })), "{tool} {field}");
        }
    }
}

#[test]
fn pi_is_refused_where_it_would_have_to_ask() {
    let words = compose(&run(Tool::Pi, PermissionMode::Ask)).expect_err("it cannot ask").to_string();
    assert!(words.contains("`chatroom machine allow --auto`"), "{words}");
    assert!(!Tool::Pi.can_ask());
    for tool in Tool::ALL {
        assert_eq!(spec(tool).ask_argv.is_some(), tool.can_ask(), "{tool}");
        assert_eq!(spec(tool).tool, tool);
    }
}

#[test]
fn the_users_own_settings_of_opencode_stay() {
    let overlay = |own: &str, mode| {
        let mut run = run(Tool::Opencode, mode);
        run.env.push(("OPENCODE_CONFIG_CONTENT".to_owned(), own.to_owned()));
        compose(&run).map(|launch| {
            let (_, text) = launch.env.into_iter().find(|(name, _)| name == "OPENCODE_CONFIG_CONTENT").expect("set");
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
        })
    };
    let own =
        r#"{"theme":"mine","permission":{"bash":{"*":"allow"},"mine_tool":"deny"},"agent":{"build":{"prompt":"p"}}}"#;
    let asks = overlay(own, PermissionMode::Ask).expect("composed");
    assert_eq!(asks["theme"], "mine");
    assert_eq!(asks["permission"]["bash"], "ask");
    assert_eq!(asks["permission"]["mine_tool"], "deny");
    assert_eq!(asks["agent"]["build"]["prompt"], "p");
    assert_eq!(asks["agent"]["build"]["permission"]["edit"], "ask");
    let acts = overlay("", PermissionMode::Auto).expect("composed");
    assert_eq!(acts["permission"]["bash"], "allow");
    assert_eq!(overlay("{ // mine\n}", PermissionMode::Ask), Err(CannotLaunch::BadConfigContent));
}

#[test]
fn the_role_prompt_travels_by_file_or_by_prompt() {
    for (tool, by_file) in [(Tool::Claude, true), (Tool::Pi, true), (Tool::Opencode, false), (Tool::Cursor, false)] {
        let mut run = run(tool, PermissionMode::Auto);
        run.system_prompt = "be good".to_owned();
        let launch = compose(&run).expect("composed");
        assert_eq!(launch.prompt_file.is_some(), by_file, "{tool}");
        assert!(!launch.args.iter().any(|word| word == OsStr::new("be good")), "{tool}");
        let pwd = launch.env.iter().find(|(name, _)| name == "PWD").map(|(_, value)| value.as_str());
        assert_eq!(pwd, Some("/srv/project"), "{tool}");
    }
}

/// Word for word what the seed names, and pi's own; what was chosen beside it goes by each tool's own means.
#[test]
fn in_a_terminal_a_tool_is_started_as_a_person_would() {
    use PermissionMode::{Ask, Auto};
    let prompt = "You are `builder`.\nRun it.";
    let started = |tool, mode, model: Option<&str>, prompt: &str| {
        let run = RunSpec {
            form: RunForm::Terminal,
            model: model.map(|model| ModelId::parse(model).expect("a model")),
            system_prompt: prompt.to_owned(),
            ..run(tool, mode)
        };
        let launch = compose(&run).expect("it can be composed");
        let args: Vec<String> = launch.args.into_iter().map(|word| word.into_string().expect("text")).collect();
        (args, launch.first_words, launch.env)
    };
    for (tool, mode, model, expected) in [
        (Tool::Claude, Ask, None, vec![prompt]),
        (Tool::Claude, Ask, Some("opus"), vec![prompt]),
        (Tool::Claude, Auto, None, vec!["--dangerously-skip-permissions", prompt]),
        (Tool::Opencode, Ask, None, vec![]),
        (Tool::Opencode, Auto, Some("a/b"), vec![]),
        (Tool::Cursor, Ask, None, vec!["chat", prompt]),
        (Tool::Cursor, Auto, Some("m"), vec!["--model", "m", "--force", "chat", prompt]),
        (Tool::Pi, Auto, None, vec![prompt]),
        (Tool::Pi, Auto, Some("a/b"), vec!["--model", "a/b", prompt]),
    ] {
        let (args, first_words, env) = started(tool, mode, model, prompt);
        assert_eq!(args, expected, "{tool} {mode:?} {model:?}");
        assert_eq!(first_words.as_deref(), (tool == Tool::Opencode).then_some(prompt), "{tool}");
        let var = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(var("TERM"), Some("xterm-256color"));
        assert_eq!(var("ANTHROPIC_MODEL"), model.filter(|_| tool == Tool::Claude));
    }
    // A prompt is never an option, a file, a command, or a verb of the tool.
    for (prompt, word) in [
        ("--version", " --version"),
        ("-p now", " -p now"),
        ("@secrets.txt read it", " @secrets.txt read it"),
        ("!rm x y", " !rm x y"),
        ("/logout now", " /logout now"),
        ("update", " update"),
        ("clear \u{1b}[2J\r\n", "clear [2J\n"),
    ] {
        assert_eq!(started(Tool::Claude, Ask, None, prompt).0, [word]);
    }
    assert!(started(Tool::Claude, Ask, None, "").0.is_empty());
    let pi = RunSpec { form: RunForm::Terminal, ..run(Tool::Pi, Ask) };
    assert!(matches!(compose(&pi), Err(CannotLaunch::CannotAsk(Tool::Pi))));
}

#[test]
fn what_an_untrusted_project_brings_along_is_left_out() {
    for (tool, word, variable) in [
        (Tool::Claude, Some("--setting-sources=user"), None),
        (Tool::Opencode, None, Some("OPENCODE_DISABLE_PROJECT_CONFIG")),
    ] {
        for without in [true, false] {
            let mut run = run(tool, PermissionMode::Ask);
            run.without_project_settings = without;
            let launch = compose(&run).expect("composed");
            if let Some(word) = word {
                assert_eq!(launch.args.iter().any(|arg| arg == word), without, "{:?}", launch.args);
            }
            if let Some(variable) = variable {
                assert_eq!(launch.env.iter().any(|(name, _)| name == variable), without, "{:?}", launch.env);
            }
        }
    }
}
