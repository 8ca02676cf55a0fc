//! The default script: what the markers in a prompt make the model do.

use super::answer::Reply;
use super::turn::{Outcome, Turn};

#[derive(Debug, PartialEq, Eq)]
enum Marker<'a> {
    Run(&'a str),
    Say(&'a str),
    Hang,
}

/// Returns the next answer to a prompt with markers.
///
/// The position in the script is the number of tool calls since the prompt, so an agent that
/// resumes a conversation goes on where it was.
pub(super) fn reply(turn: &Turn) -> Reply {
    if turn.shell.is_none() {
        return Reply::text("Scripted title");
    }
    if let Some(result) = &turn.result
        && result.outcome == Outcome::Denied
    {
        return Reply::text(format!("denied: {}", result.text.trim()));
    }

    let mut runs = 0;
    let mut said = Vec::new();
    for marker in markers(&turn.prompt) {
        match marker {
            Marker::Run(command) => {
                runs += 1;
                if runs > turn.calls {
                    return Reply::tool_shell(command).saying(said.join("\n"));
                }
                said.clear();
            }
            Marker::Say(text) => said.push(text),
            Marker::Hang => return Reply::hang().saying(said.join("\n")),
        }
    }

    match &turn.result {
        _ if !said.is_empty() => Reply::text(said.join("\n")),
        Some(result) if runs > 0 => Reply::text(format!("done: {}", result.text.trim())),
        _ => Reply::text("ok"),
    }
}

/// Finds the markers of a text; each ends at the first `]]`.
fn markers(text: &str) -> Vec<Marker<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, inner)) = rest.split_once("[[") {
        rest = inner;
        let Some((inner, after)) = inner.split_once("]]") else {
            break;
        };
        let marker = if inner.trim() == "hang" {
            Marker::Hang
        } else if let Some(command) = inner.strip_prefix("run:") {
            Marker::Run(command.trim())
        } else if let Some(text) = inner.strip_prefix("say:") {
            Marker::Say(text.trim())
        } else {
            continue;
        };
        found.push(marker);
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Marker, markers};

    #[test]
    fn markers_are_found_anywhere() {
        use Marker::{Hang, Run, Say};
        for (text, expected) in [
            ("nothing here", vec![]),
            ("[[run: echo hi]]", vec![Run("echo hi")]),
            ("<task>\n[[run: a]]\n then [[say: b c]] [[hang]]</task>", vec![Run("a"), Say("b c"), Hang]),
            ("[[ other ]] [[run: x\ny]]", vec![Run("x\ny")]),
            ("[[run: unclosed", vec![]),
            ("[[[run: inner]]", vec![]),
        ] {
            assert_eq!(markers(text), expected, "{text:?}");
        }
    }
}
