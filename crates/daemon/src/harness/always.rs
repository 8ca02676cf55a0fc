//! What "always for this run" permits: the narrowest rule a person would expect.
//!
//! The programs' own rules are not used. Claude would suggest `echo *` for one `echo` and write it into the project's
//! settings; ACP does not say what its "always" covers. Nobody permits what they do not see.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What kind of thing a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A command in a shell.
    Shell,
    /// A change of a file.
    Edit,
    /// An address that is read.
    Fetch,
    /// Anything else.
    Other,
}

/// Names of the field that says which file or address.
const TARGETS: [&str; 6] = ["file_path", "filePath", "filepath", "notebook_path", "path", "url"];

/// Equal for the questions that one answer permits, and only for those.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule([u8; 32]);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it was made of is told in words.
        f.debug_struct("Rule").finish_non_exhaustive()
    }
}

/// A rule that a question would begin, were it allowed for the whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Always {
    /// Which questions it answers.
    pub rule: Rule,
    /// What it permits, for people.
    pub words: String,
}

/// Returns the rule of a question: the same command, the same file, the same address, or else exactly the same again.
pub(super) fn always(kind: Kind, name: &str, input: &Value) -> Always {
    let target = TARGETS.iter().find_map(|field| input[*field].as_str());
    let (about, words) = match (kind, target) {
        (Kind::Shell, _) => {
            let mut about = input.clone();
            if let Some(fields) = about.as_object_mut() {
                // The program words it anew each time.
                fields.remove("description");
            }
            (about, "exactly this command".to_owned())
        }
        (Kind::Edit, Some(target)) => (json!(target), format!("{name} of {target}, whatever is to be written there")),
        (Kind::Fetch, Some(target)) => (json!(target), format!("{name} of {target}")),
        (Kind::Edit | Kind::Fetch | Kind::Other, _) => (input.clone(), format!("{name}, with exactly this input")),
    };
    let rule = Rule(Sha256::digest(json!([format!("{kind:?}"), name, about]).to_string()).into());
    Always { rule, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_answers_what_a_person_would_expect_and_nothing_more() {
        let shell = |command: &str| (Kind::Shell, "Bash", json!({ "command": command, "description": "words" }));
        let edit = |path: &str, text: &str| (Kind::Edit, "Write", json!({ "file_path": path, "content": text }));
        for (one, other, same) in [
            (shell("ls"), shell("ls"), true),
            (shell("ls"), (Kind::Shell, "Bash", json!({ "command": "ls", "description": "other words" })), true),
            (shell("ls"), shell("ls -a"), false),
            (shell("ls"), (Kind::Shell, "Bash", json!({ "command": "ls", "sandbox": false })), false),
            (edit("/a", "x"), edit("/a", "y"), true),
            (edit("/a", "x"), edit("/b", "x"), false),
            (edit("/a", "x"), (Kind::Edit, "Edit", json!({ "file_path": "/a" })), false),
            (edit("/a", "x"), (Kind::Other, "Write", json!({ "file_path": "/a" })), false),
            (
                (Kind::Fetch, "WebFetch", json!({ "url": "http://a", "prompt": "x" })),
                (Kind::Fetch, "WebFetch", json!({ "url": "http://a", "prompt": "y" })),
                true,
            ),
            (
                (Kind::Other, "drop", json!({ "path": "/a", "all": false })),
                (Kind::Other, "drop", json!({ "path": "/a", "all": true })),
                false,
            ),
        ] {
            let rule = |(kind, name, input): &(Kind, &str, Value)| always(*kind, name, input).rule;
            assert_eq!(rule(&one) == rule(&other), same, "{one:?} {other:?}");
        }
        let (kind, name, input) = edit("/srv/a.txt", "x");
        assert_eq!(always(kind, name, &input).words, "Write of /srv/a.txt, whatever is to be written there");
    }
}
