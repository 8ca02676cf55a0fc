//! Identity, credentials and policy.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use chatroom_daemon::credentials::{Auth, Credentials};
use chatroom_daemon::home::{Home, person_home};
use chatroom_daemon::identity::Identity;
use chatroom_daemon::policy::Policy;
use chatroom_protocol::api::agents::PermissionMode;
use chatroom_protocol::api::machines::{ToolFacts, ToolPresence};
use chatroom_protocol::{Role, RoomId, Timestamp, Tool};

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path().join("home")).unwrap();
    (dir, home)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn twenty_first_runs_at_once_make_one_machine() {
    let (_dir, home) = home();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..20).map(|_| scope.spawn(|| Identity::ensure(&home, &[]).unwrap().machine_id)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(Identity::load(&home).unwrap().unwrap().machine_id, ids[0]);
}

#[test]
fn machine_json_has_exactly_the_fields_of_the_seed() {
    let (_dir, home) = home();
    let tools = [
        ToolFacts { tool: Tool::Claude, presence: ToolPresence::Installed, version: None },
        ToolFacts { tool: Tool::Cursor, presence: ToolPresence::ProbeFailed, version: None },
    ];
    Identity::ensure(&home, &tools).unwrap();
    let room = RoomId::from_parts(Timestamp(1), 1);
    let role = Role::parse("builder").unwrap();
    Identity::record_start(&home, room, &role, Tool::Opencode, Path::new("/srv/app")).unwrap();
    Identity::synced(&home).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(home.join("machine.json")).unwrap()).unwrap();
    let mut fields: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(
        fields,
        ["availableTools", "chatroomAgents", "hostname", "lastSyncedAt", "machineId", "os", "registeredAt"]
    );
    assert_eq!(json["availableTools"], serde_json::json!(["claude"]));
    let agent = &json["chatroomAgents"][room.to_string()]["builder"];
    assert_eq!(agent["agentType"], "opencode");
    assert_eq!(agent["workingDir"], "/srv/app");
    for time in [&json["registeredAt"], &json["lastSyncedAt"], &agent["lastStartedAt"]] {
        assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    assert_eq!(mode(&home.join("machine.json")), 0o600);
    assert_eq!(mode(home.path()), 0o700);
}

#[test]
fn an_identity_that_cannot_be_read_is_an_error_and_stays_as_it_is() {
    let (_dir, home) = home();
    Identity::ensure(&home, &[]).unwrap();
    let good = std::fs::read_to_string(home.join("machine.json")).unwrap();
    let with = |name: &str, value: serde_json::Value| {
        let mut json: serde_json::Value = serde_json::from_str(&good).unwrap();
        json[name] = value;
        json.to_string()
    };
    for (content, expected) in [
        (String::new(), "restore it from a backup"),
        (good[..40].to_owned(), "restore it from a backup"),
        ("null".to_owned(), "restore it from a backup"),
        (with("machineId", "me".into()), "restore it from a backup"),
        (with("color", "red".into()), "color"),
        (with("os", "amiga".into()), "belongs to another computer"),
        (with("availableTools", serde_json::json!(["emacs"])), "emacs"),
    ] {
        std::fs::write(home.join("machine.json"), &content).unwrap();
        let error = Identity::ensure(&home, &[]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("CHATROOM_HOME"), "{content}: {error}");
        assert_eq!(std::fs::read_to_string(home.join("machine.json")).unwrap(), content);
    }
}

#[test]
fn files_of_the_older_product_are_named_and_left_alone() {
    for (name, content) in [
        ("auth.jsonc", "{}"),
        ("machine.json", r#"{"version":"1","machines":{}}"#),
        ("daemon-0123abcd.pid", "1"),
        ("machines/state", "x"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        let error = Home::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("CHATROOM_HOME="), "{name}: {error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    }
}

#[test]
fn a_home_belongs_to_one_server() {
    let (_dir, home) = home();
    let one = Credentials {
        server_url: "https://one.example".parse().unwrap(),
        machine_token: "crm_a".to_owned(),
        platform_token: "crp_a".to_owned(),
        renewal: 0,
    };
    one.save(&home).unwrap();
    assert_eq!(mode(&home.join("credentials.json")), 0o600);
    let same = "https://one.example/".parse().unwrap();
    assert_eq!(Credentials::load_for(&home, &same).unwrap(), Some(one.clone()));
    let other = "https://two.example".parse().unwrap();
    let error = Credentials::load_for(&home, &other).unwrap_err().to_string();
    assert!(error.contains("https://one.example") && error.contains("CHATROOM_HOME"), "{error}");
    let other = Credentials { server_url: other, ..one.clone() };
    assert!(other.save(&home).is_err());
    assert_eq!(Credentials::load(&home).unwrap(), Some(one));

    let person = Auth {
        server_url: "https://two.example".parse().unwrap(),
        token: "crs_a".to_owned(),
        expires_at: Timestamp(1),
        user_name: "alice".to_owned(),
    };
    assert!(person.save(&home).unwrap_err().to_string().contains("CHATROOM_HOME"));
    let person = Auth { server_url: "https://one.example".parse().unwrap(), ..person };
    person.save(&home).unwrap();
    assert_eq!(mode(&home.join("auth.json")), 0o600);
    assert_eq!(Auth::load(&home).unwrap(), Some(person));
    Auth::remove(&home).unwrap();
    assert_eq!(Auth::load(&home).unwrap(), None);
}

#[test]
fn agents_work_where_they_are_allowed_and_nowhere_else() {
    let (dir, home) = home();
    let root = dir.path().canonicalize().unwrap();
    for name in ["project/deep", "project-two", "other"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::write(root.join("project/file"), "").unwrap();
    symlink(root.join("other"), root.join("project/out")).unwrap();
    symlink(root.join("project"), root.join("in")).unwrap();
    assert_eq!(Policy::allow_dir(&home, &root.join("in")).unwrap(), root.join("project"));
    let policy = Policy::load(&home).unwrap();
    let at = |name: &str| root.join(name);
    for (dir, expected) in [
        (at("project"), Ok(at("project"))),
        (at("project/deep"), Ok(at("project/deep"))),
        (at("project/deep/.."), Ok(at("project"))),
        (at("in/deep"), Ok(at("project/deep"))),
        (at("project/out"), Err("chatroom machine allow")),
        (at("project-two"), Err("chatroom machine allow")),
        (at("project/../other"), Err("chatroom machine allow")),
        (root.clone(), Err("chatroom machine allow")),
        (PathBuf::from("/"), Err("chatroom machine allow")),
        (PathBuf::from("project"), Err("absolute")),
        (at("project/file"), Err("not a folder")),
        (at("gone"), Err("not a folder")),
    ] {
        match (policy.allows(&dir), expected) {
            (Ok(canonical), Ok(expected)) => assert_eq!(canonical, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{dir:?}: {error}"),
            (got, _) => panic!("{dir:?}: {got:?}"),
        }
    }
    assert!(Policy::disallow_dir(&home, &at("project")).unwrap());
    assert!(Policy::load(&home).unwrap().allows(&at("project")).is_err());
}

#[test]
fn what_a_project_brings_along_for_a_tool_that_asks_holds_only_where_it_is_trusted() {
    let (dir, home) = home();
    let project = dir.path().canonicalize().unwrap().join("project");
    let deep = project.join("deep");
    std::fs::create_dir_all(&deep).unwrap();
    let leaves_out = |tool, mode| Policy::load(&home).unwrap().leaves_out(tool, mode, &deep);
    for tool in Tool::ALL {
        assert!(!leaves_out(tool, PermissionMode::Ask).unwrap(), "{tool}: there is nothing");
    }
    std::fs::create_dir(project.join(".cursor")).unwrap();
    for name in [".mcp.json", ".cursor/cli.json", "opencode.jsonc"] {
        std::fs::write(project.join(name), "{}").unwrap();
    }
    for tool in [Tool::Claude, Tool::Opencode] {
        assert!(leaves_out(tool, PermissionMode::Ask).unwrap(), "{tool}");
        assert!(!leaves_out(tool, PermissionMode::Auto).unwrap(), "{tool} asks nobody anyway");
    }
    let refused = leaves_out(Tool::Cursor, PermissionMode::Ask).unwrap_err().to_string();
    assert!(refused.contains(".cursor/cli.json") && refused.contains("chatroom machine allow --trust /"), "{refused}");
    Policy::trust_dir(&home, &project).unwrap();
    for tool in Tool::ALL {
        assert!(!leaves_out(tool, PermissionMode::Ask).unwrap(), "{tool}");
    }
    assert!(Policy::distrust_dir(&home, &project).unwrap());
    assert!(leaves_out(Tool::Claude, PermissionMode::Ask).unwrap());
}

#[test]
fn the_whole_home_is_never_allowed_not_even_by_an_edited_file() {
    let (_dir, home) = home();
    let person = person_home().unwrap().canonicalize().unwrap();
    for dir in [Path::new("/"), person.as_path(), person.parent().unwrap()] {
        let error = Policy::allow_dir(&home, dir).unwrap_err().to_string();
        assert!(error.contains("too wide"), "{dir:?}: {error}");
    }
    std::fs::write(home.join("policy.json"), r#"{"version":1,"allowedDirectories":["/"],"allowAuto":false}"#).unwrap();
    assert!(Policy::load(&home).unwrap().allows(Path::new("/usr")).is_err());
    std::fs::write(home.join("policy.json"), "{}").unwrap();
    assert!(Policy::load(&home).is_err());
}

#[test]
fn acting_without_asking_is_off_until_this_machine_permits_it() {
    let (_dir, home) = home();
    for (auto, tool, mode, expected) in [
        (false, Tool::Claude, PermissionMode::Ask, None),
        (false, Tool::Claude, PermissionMode::Auto, Some("chatroom machine allow --auto")),
        (false, Tool::Pi, PermissionMode::Ask, Some("chatroom machine allow --auto")),
        (false, Tool::Pi, PermissionMode::Auto, Some("chatroom machine allow --auto")),
        (true, Tool::Claude, PermissionMode::Auto, None),
        (true, Tool::Pi, PermissionMode::Auto, None),
        (true, Tool::Pi, PermissionMode::Ask, Some("pi cannot ask")),
    ] {
        Policy::set_auto(&home, auto).unwrap();
        let got = Policy::load(&home).unwrap().allows_mode(tool, mode).err().map(|error| error.to_string());
        match (&got, expected) {
            (None, None) => {}
            (Some(got), Some(expected)) if got.contains(expected) => {}
            _ => panic!("{auto} {tool} {mode:?}: {got:?}"),
        }
    }
}
