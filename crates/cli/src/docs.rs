//! What the documents tell people to type exists.

use clap::{Command, CommandFactory as _};

use crate::commands::Cli;

const DOCUMENTS: [(&str, &str); 4] = [
    ("README.md", include_str!("../../../README.md")),
    ("ARCHITECTURE.md", include_str!("../../../ARCHITECTURE.md")),
    ("CONTRIBUTING.md", include_str!("../../../CONTRIBUTING.md")),
    ("CHANGELOG.md", include_str!("../../../CHANGELOG.md")),
];

/// Finds every command of ours in a document: indented lines, and code within a line.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.lines().filter_map(|line| line.strip_prefix("    ").map(str::to_owned));
    let inline = text.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " "));
    blocks
        .chain(inline)
        .filter_map(|code| {
            let code = code.replace("cargo run --release -- ", "chatroom ");
            let at = if code.starts_with("chatroom ") { 0 } else { code.find("| chatroom ")? + 2 };
            Some(code[at + "chatroom ".len()..].to_owned())
        })
        .collect()
}

/// Walks down to the verb, then looks for each flag there.
fn check(cli: &Command, line: &str) -> Result<(), String> {
    let mut verb = cli;
    for word in line.split_whitespace() {
        if let Some(flag) = word.strip_prefix("--") {
            let name = flag.split('=').next().unwrap_or(flag);
            if !verb.get_arguments().any(|known| known.get_long() == Some(name)) {
                return Err(format!("no --{name}"));
            }
        } else if verb.has_subcommands() {
            verb = verb.find_subcommand(word).ok_or_else(|| format!("no verb {word}"))?;
        }
    }
    if verb.has_subcommands() { Err("it stops before the verb".into()) } else { Ok(()) }
}

#[test]
fn every_command_the_documents_show_exists() {
    let cli = Cli::command();
    let mut seen = 0;
    for (name, text) in DOCUMENTS {
        for line in commands(text) {
            assert_eq!(check(&cli, &line), Ok(()), "{name}: chatroom {line}");
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} commands were found");
    assert!(check(&cli, "room creat").is_err());
    assert!(check(&cli, "agent list --nonsense").is_err());
}
