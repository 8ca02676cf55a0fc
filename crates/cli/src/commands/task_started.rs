//! `chatroom task-started`, later `chatroom task read`: the work begins.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use chatroom_protocol::api::tasks::{Classification, Feature, StartTask};
use clap::{Args, ValueEnum};

use super::{DONE, Format, InRole, parse_task};
use crate::client::Client;
use crate::shell::Shell;
use crate::{input, output};

/// Which task.
#[derive(Debug, Args)]
pub struct TaskStarted {
    #[command(flatten)]
    place: InRole,
    /// The task's id, as its prompt shows it.
    #[arg(long)]
    task_id: String,
    /// How you read the message behind it; `new_feature` takes `TITLE`, `DESCRIPTION` and `TECH_SPECS` on stdin.
    #[arg(long, conflicts_with = "no_classify")]
    origin_message_classification: Option<Kind>,
    /// Say nothing about the message behind it.
    #[arg(long)]
    no_classify: bool,
    #[command(flatten)]
    format: Format,
}

/// How an agent reads a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    Question,
    NewFeature,
    FollowUp,
}

/// Marks the task as begun.
pub async fn run(verb: TaskStarted, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let task = parse_task(&verb.task_id)?;
    let client = Client::caller(shell)?;
    let classification = verb.origin_message_classification.map(|kind| match kind {
        Kind::Question => Classification::Question,
        Kind::NewFeature => Classification::NewFeature,
        Kind::FollowUp => Classification::FollowUp,
    });
    let feature = match classification {
        Some(Classification::NewFeature) => feature_on_stdin()?,
        _ => None,
    };
    let started = client.start_task(room, task, &StartTask { role, classification, feature }).await?;
    output::either(verb.format.json, &started, || started.prompt.clone())?;
    Ok(DONE)
}

/// Reads what the feature is, if something is written to stdin. A pipe that stays silent is left alone.
fn feature_on_stdin() -> Result<Option<Feature>> {
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        let mut first = [0];
        let read = std::io::stdin().lock().read(&mut first);
        // The receiver is gone when the wait was over; then nobody wants the byte.
        let _ = sender.send(read.map(|count| first[..count].to_vec()));
    });
    let Ok(first) = received.recv_timeout(Duration::from_secs(2)) else { return Ok(None) };
    let text = input::rest(first?)?;
    if text.trim().is_empty() { Ok(None) } else { sections(&text).map(Some) }
}

/// Reads the sections: a line with a name (`TITLE`, `TITLE:` or `---TITLE---`), then its text.
fn sections(text: &str) -> Result<Feature> {
    let mut parts: [Option<String>; 3] = [None, None, None];
    let mut current = None;
    for line in text.lines() {
        let (name, same_line) = heading(line);
        if let Some(at) = ["TITLE", "DESCRIPTION", "TECH_SPECS"].into_iter().position(|known| known == name) {
            if parts[at].replace(same_line.to_owned()).is_some() {
                bail!("the section {name} stands twice on stdin");
            }
            current = Some(at);
        } else if let Some(part) = current.and_then(|at: usize| parts[at].as_mut()) {
            part.push('\n');
            part.push_str(line);
        } else if !line.trim().is_empty() {
            bail!("a new feature begins with a line TITLE on stdin, then DESCRIPTION and TECH_SPECS");
        }
    }
    let [title, description, tech_specs] = parts.map(|part| part.map(|part| part.trim().to_owned()));
    let title =
        title.filter(|title| !title.is_empty()).ok_or_else(|| anyhow!("the section TITLE is missing on stdin"))?;
    Ok(Feature { title, description: description.unwrap_or_default(), tech_specs: tech_specs.unwrap_or_default() })
}

fn heading(line: &str) -> (&str, &str) {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("---").and_then(|rest| rest.strip_suffix("---")) {
        return (name, "");
    }
    match line.split_once(':') {
        Some((name, rest)) => (name, rest.trim()),
        None => (line, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_a_feature_are_read_in_every_spelling() {
        let feature = |title: &str, description: &str, specs: &str| Feature {
            title: title.into(),
            description: description.into(),
            tech_specs: specs.into(),
        };
        for (text, expected) in [
            ("TITLE: Limits\nDESCRIPTION: a\nb\nTECH_SPECS: c", feature("Limits", "a\nb", "c")),
            (
                "---TITLE---\nLimits\n---DESCRIPTION---\na: b\n\nc\n---TECH_SPECS---\nd",
                feature("Limits", "a: b\n\nc", "d"),
            ),
            ("\nTITLE\nLimits\n", feature("Limits", "", "")),
        ] {
            assert_eq!(sections(text).unwrap(), expected, "{text:?}");
        }
        for (text, part) in
            [("hello", "begins with"), ("DESCRIPTION: a", "TITLE is missing"), ("TITLE: a\nTITLE: b", "twice")]
        {
            assert!(sections(text).unwrap_err().to_string().contains(part), "{text:?}");
        }
    }
}
