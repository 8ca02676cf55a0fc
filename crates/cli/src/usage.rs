//! What a wrong command is answered: what was wrong, and the nearest right one.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::USAGE;
use crate::output;

/// Prints help where that was asked for, else explains the mistake.
pub fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // As for any data: a reader that is gone has seen enough.
        let _ = output::data(&error.render().to_string());
        return ExitCode::SUCCESS;
    }
    output::talk(error.render().to_string());
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(command) = nearest(error, &words) {
        output::talk(format!("\nThe nearest right command:\n\n    {command}"));
    }
    ExitCode::from(USAGE)
}

/// Returns the command that was probably meant.
fn nearest(error: &clap::Error, words: &[String]) -> Option<String> {
    let strings = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let mut words = words.to_vec();
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            for missing in strings(ContextKind::InvalidArg) {
                words.push(placeholder(&missing));
            }
        }
        ErrorKind::InvalidSubcommand => {
            let wrong = strings(ContextKind::InvalidSubcommand).into_iter().next()?;
            // The best one comes last.
            let right = strings(ContextKind::SuggestedSubcommand).into_iter().last()?;
            replace(&mut words, &wrong, &right)?;
        }
        ErrorKind::UnknownArgument => {
            let wrong = strings(ContextKind::InvalidArg).into_iter().next()?;
            let right = strings(ContextKind::SuggestedArg).into_iter().next()?;
            replace(&mut words, flag(&wrong), flag(&right))?;
        }
        ErrorKind::InvalidValue => {
            let wrong = strings(ContextKind::InvalidValue).into_iter().next()?;
            let right = strings(ContextKind::SuggestedValue).into_iter().next()?;
            replace(&mut words, &wrong, &right)?;
        }
        _ => return None,
    }
    Some(
        std::iter::once("chatroom".to_owned())
            .chain(words.iter().map(|word| quoted(word)))
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// `--role <ROLE>` becomes `--role=ROLE`, `<NAME>` becomes `NAME`.
fn placeholder(missing: &str) -> String {
    let name = |text: &str| text.trim_matches(|c| matches!(c, '<' | '>' | '[' | ']' | '.')).to_owned();
    match missing.split_once([' ', '=']) {
        Some((flag, value)) => format!("{flag}={}", name(value)),
        None => name(missing),
    }
}

/// `--role <ROLE>` and `--role=x` become `--role`.
fn flag(text: &str) -> &str {
    text.split([' ', '=']).next().unwrap_or(text)
}

fn replace(words: &mut [String], wrong: &str, right: &str) -> Option<()> {
    for word in words {
        if word == wrong {
            right.clone_into(word);
            return Some(());
        }
        if let Some((name, value)) = word.split_once('=') {
            if name == wrong {
                *word = format!("{right}={value}");
                return Some(());
            }
            if value == wrong {
                *word = format!("{name}={right}");
                return Some(());
            }
        }
    }
    None
}

/// Quotes a word for a shell where that is needed.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::commands::Cli;

    #[test]
    fn a_wrong_command_is_answered_with_the_nearest_right_one() {
        for (line, expected) in [
            ("wait-for-task --role builder", Some("chatroom wait-for-task --role builder --chatroom-id=CHATROOM_ID")),
            (
                "handoff --chatroom-id=room_1",
                Some("chatroom handoff --chatroom-id=room_1 --role=ROLE --next-role=NEXT_ROLE"),
            ),
            ("wait-for-tsk --role b", Some("chatroom wait-for-task --role b")),
            ("wait-for-task --chatroom-di=x --role=b", Some("chatroom wait-for-task --chatroom-id=x --role=b")),
            ("agent strat --role b", Some("chatroom agent start --role b")),
            ("machine daemon statsu", Some("chatroom machine daemon status")),
            ("room create --role b", Some("chatroom room create --role b NAME")),
            (
                "agent start --chatroom-id=x --role=b --mode=atuo",
                Some("chatroom agent start --chatroom-id=x --role=b --mode=auto"),
            ),
            ("quux", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let error = Cli::try_parse_from(std::iter::once("chatroom".to_owned()).chain(words.clone())).err();
            let error = error.unwrap_or_else(|| panic!("{line} was read"));
            assert_eq!(nearest(&error, &words).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn words_with_spaces_are_quoted() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("--role=builder"), "--role=builder");
    }
}
