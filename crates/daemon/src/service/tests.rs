use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::*;

/// A home and a program (where that is allowed) whose names hold everything that means something to systemd or XML.
fn odd(manager: Manager) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("an 100% \"odd\" $HOME & <co> \\ 'x'");
    std::fs::create_dir(&odd).unwrap();
    let programs = folder.path().join("100% $HOME & <co>");
    std::fs::create_dir(&programs).unwrap();
    let exe = programs.join("chatroom");
    std::fs::write(&exe, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
    let variables = vec![
        ("PATH".to_owned(), format!("{}:/usr/bin", odd.display())),
        ("CHATROOM_HOME".to_owned(), odd.display().to_string()),
    ];
    let service =
        Service { manager, exe, log: odd.join("logs/daemon.log"), home: odd, variables, is_usual_home: false };
    (folder, service)
}

#[test]
fn systemd_takes_the_unit_whatever_the_paths_hold() {
    let (folder, service) = odd(Manager::Systemd);
    let file = folder.path().join(service.name());
    assert!(service.write(&file).unwrap());
    assert!(!service.write(&file).unwrap(), "the same text is written once");
    let judged = Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .arg(&file)
        .env("XDG_RUNTIME_DIR", folder.path())
        .output()
        .expect("systemd-analyze, of the package systemd");
    let said = String::from_utf8_lossy(&judged.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("chatroom")).collect();
    assert!(judged.status.success() && ours.is_empty(), "{said}\n{}", service.text().unwrap());
    let text = service.text().unwrap();
    for line in ["Restart=on-failure", "KillMode=process", "WantedBy=default.target"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("100%% \\\"odd\\\" $HOME"), "{text}");
    assert!(text.contains("/100%% $HOME & <co>/chatroom\" machine daemon"), "{text}");
}

#[test]
fn the_agent_of_launchd_is_xml_that_says_the_same() {
    let (_folder, service) = odd(Manager::Launchd);
    let text = service.text().unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
    let strings: Vec<&str> =
        document.descendants().filter(|node| node.has_tag_name("string")).filter_map(|node| node.text()).collect();
    assert_eq!(strings[1], service.exe.to_str().unwrap());
    assert_eq!(strings[2..7], ARGS);
    assert!(strings.contains(&service.variables[0].1.as_str()), "{text}");
    let file = service.file(Path::new("/Users/ada"), None);
    assert_eq!(file.parent().unwrap(), Path::new("/Users/ada/Library/LaunchAgents"));
}

#[test]
fn a_line_break_or_a_relative_path_is_refused() {
    for manager in [Manager::Systemd, Manager::Launchd] {
        let (_folder, good) = odd(manager);
        let mut bad = good.clone();
        bad.variables[0].1.push_str("\nExecStartPre=/bin/evil");
        assert!(matches!(bad.text(), Err(ServiceError::Control { .. })));
        let bad = Service { home: "/a\tb".into(), ..good.clone() };
        assert!(matches!(bad.text(), Err(ServiceError::Control { .. })));
        let bad = Service { exe: "chatroom".into(), ..good.clone() };
        assert!(matches!(bad.text(), Err(ServiceError::Relative { .. })));
        let quoted = Service { exe: "/opt/a\"b/chatroom".into(), ..good };
        assert_eq!(matches!(quoted.text(), Err(ServiceError::Quotes(_))), manager == Manager::Systemd);
    }
}

#[test]
fn two_homes_are_two_services() {
    let (_one, one) = odd(Manager::Systemd);
    let (_two, two) = odd(Manager::Systemd);
    assert_ne!(one.name(), two.name());
    let usual = Service { is_usual_home: true, ..one };
    assert_eq!(usual.name(), "chatroom.service");
    let file = usual.file(Path::new("/home/ada"), None);
    assert_eq!(file, Path::new("/home/ada/.config/systemd/user/chatroom.service"));
}
