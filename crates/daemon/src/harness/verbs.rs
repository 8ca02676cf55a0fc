//! Which shell commands are the platform's own verbs, and so need no permission.
//!
//! In mode `ask` an agent must still be able to hand off its work without a
//! person allowing each `chatroom handoff`. The tools' own allow rules match by
//! prefix and differ in what they do with redirections and heredocs, so the
//! judgement is made here, once: exactly one `chatroom` command with plain words,
//! perhaps with a quoted heredoc. Anything a shell would expand, redirect, chain
//! or run besides is asked like every other command.

/// What an agent does with the platform in its ordinary work. Verbs of the machine's owner are never among them.
const VERBS: [&str; 10] = [
    "wait-for-task",
    "get-next-task",
    "task-started",
    "task",
    "report-progress",
    "task-complete",
    "handoff",
    "message",
    "messages",
    "context",
];

/// Returns whether `command` is one platform verb and nothing else.
pub fn is_platform_verb(command: &str) -> bool {
    let Some(words) = simple_command(command) else {
        return false;
    };
    matches!(words.as_slice(), [program, verb, ..] if program == "chatroom" && VERBS.contains(&verb.as_str()))
}

/// Splits one simple command into its words; `None` when it is anything more.
fn simple_command(command: &str) -> Option<Vec<String>> {
    let command = command.trim();
    let (line, rest) = match command.split_once('\n') {
        Some((line, rest)) => (line, Some(rest)),
        None => (command, None),
    };
    let (line, terminator) = match line.split_once("<<") {
        Some((line, mark)) => (line, Some(quoted_terminator(mark)?)),
        None => (line, None),
    };
    match (rest, terminator) {
        (None, None) => {}
        (Some(body), Some(end)) if ends_at_last_line(body, end) => {}
        _ => return None,
    }
    split_words(line)
}

/// The word after `<<`, which must be quoted: only then the shell expands nothing in the body.
fn quoted_terminator(mark: &str) -> Option<&str> {
    let mark = mark.trim();
    let inner = mark
        .strip_prefix('\'')
        .and_then(|mark| mark.strip_suffix('\''))
        .or_else(|| mark.strip_prefix('"').and_then(|mark| mark.strip_suffix('"')))?;
    let plain = !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then_some(inner)
}

/// The terminator stands exactly once, as the last line: what follows one would be a command again.
fn ends_at_last_line(body: &str, terminator: &str) -> bool {
    let mut lines = body.lines();
    lines.next_back() == Some(terminator) && lines.all(|line| line != terminator)
}

fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        inner => word.push(inner),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        // The shell would look into these; `!` is history in an interactive one.
                        '$' | '`' | '\\' | '!' => return None,
                        inner => word.push(inner),
                    }
                }
            }
            c if c.is_alphanumeric() || "-_=.,:/@+%".contains(c) => {
                word.get_or_insert_default().push(c);
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_platform_verb_needs_no_permission() {
        for (command, allowed) in [
            ("chatroom handoff --next-role=reviewer --chatroom-id room_01", true),
            ("  chatroom context read --role 'a b' \n", true),
            ("chatroom handoff --next-role user <<'END'\nall done; rm -rf / $(id)\nEND", true),
            ("chatroom handoff --next-role user << \"END\"\ndone\nEND\n", true),
            ("chatroom message send --content \"it is done\"", true),
            ("chatroom", false),
            ("chatroom machine allow --auto", false),
            ("chatroom agent start --role x", false),
            ("chatroom handoff; rm -rf x", false),
            ("chatroom handoff && rm x", false),
            ("chatroom handoff | sh", false),
            ("chatroom handoff &", false),
            ("chatroom handoff\nrm x", false),
            ("chatroom handoff > /etc/passwd", false),
            ("chatroom handoff < /etc/shadow", false),
            ("chatroom handoff $(rm x)", false),
            ("chatroom handoff `rm x`", false),
            ("chatroom handoff \"$(rm x)\"", false),
            ("chatroom handoff $HOME", false),
            ("chatroom handoff ~", false),
            ("chatroom handoff *", false),
            ("chatroom handoff <<END\n$(rm x)\nEND", false),
            ("chatroom handoff <<'END'\nx\nEND\nrm x", false),
            ("chatroom handoff <<'END'\nx\nEND\nrm x\nEND", false),
            ("chatroom handoff <<'END'; rm x\nx\nEND", false),
            ("chatroom handoff <<'END' > x\nx\nEND", false),
            ("chatroom handoff <<'END'\nx", false),
            ("chatroom handoff <<<'x'", false),
            ("chatroom handoff 'open", false),
            ("PATH=. chatroom handoff", false),
            ("./chatroom handoff", false),
            ("/tmp/chatroom handoff", false),
            ("(chatroom handoff)", false),
            ("chatroom handoff #x", false),
            ("chatroom handoff \\\nrm", false),
            ("", false),
        ] {
            assert_eq!(is_platform_verb(command), allowed, "{command:?}");
        }
    }
}
