//! `chatroom agent logs`: what a run did, one line per event.

use std::process::ExitCode;

use anyhow::{Result, bail};
use chatroom_protocol::RunId;
use chatroom_protocol::api::agents::PermissionScope;
use chatroom_protocol::api::daemon::{PromptFrom, Steerer};
use chatroom_protocol::api::reports::{PermissionOutcome, TurnOutcome};
use chatroom_protocol::transcript::{Fold, RunEvent, Sequenced};

use super::cast::Cast;
use super::{Logs, find};
use crate::client::Client;
use crate::commands::DONE;
use crate::shell::Shell;
use crate::{follow, output, times};

/// How much of a tool's words stands in one line.
const PREVIEW: usize = 200;

/// Prints the transcript of an agent's live run, or of its last.
pub async fn run(verb: &Logs, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let client = Client::person(shell)?;
    let Some(run) = find(&client, room, &role).await?.run else {
        bail!("`{role}` has not run yet; start it with `chatroom agent start --chatroom-id={room} --role={role}`");
    };
    if let Some(text) = &verb.search {
        return search(&client, run.run_id, text, verb.json).await;
    }
    let offset = match verb.tail {
        Some(most) => tail(&client, run.run_id, most).await?,
        None => "-1".to_owned(),
    };
    let mut form = match verb {
        Logs { cast: true, .. } => Form::Cast(Cast::default()),
        Logs { json: true, .. } => Form::Json,
        _ => Form::Lines(Fold::default()),
    };
    let stream = format!("/api/runs/{}/transcript", run.run_id);
    follow::stream(&client, &stream, offset, verb.follow, |event| form.print(event)).await?;
    form.end()?;
    Ok(DONE)
}

/// Returns where the last so many events begin.
async fn tail(client: &Client, run: RunId, most: u64) -> Result<String> {
    let Some(last) = client.transcript_index(run, None).await?.last_event else {
        return Ok("-1".to_owned());
    };
    let first = client.transcript_index(run, Some(last.saturating_sub(most - 1))).await?.place;
    Ok(first.map_or_else(|| "-1".to_owned(), |place| place.offset))
}

async fn search(client: &Client, run: RunId, text: &str, json: bool) -> Result<ExitCode> {
    let mut from = "-1".to_owned();
    let mut found = false;
    loop {
        let hits = client.search_transcript(run, text, &from).await?;
        for hit in hits.hits {
            found = true;
            if json {
                output::data(&output::printable_json(&serde_json::to_string(&hit)?))?;
            } else {
                let (at, excerpt) = (times::utc(hit.at), output::one_line(&hit.excerpt));
                output::data(&format!("{at}  #{:<7} {:<12} {excerpt}", hit.event, output::one_line(&hit.kind)))?;
            }
        }
        match hits.next {
            Some(next) => from = next,
            None => break,
        }
    }
    if !found {
        output::talk("nothing in this transcript has that text");
    }
    Ok(if found { DONE } else { ExitCode::FAILURE })
}

/// What is made of a transcript.
enum Form {
    Json,
    Cast(Cast),
    /// One line per event, texts in one piece.
    Lines(Fold),
}

impl Form {
    fn print(&mut self, event: &str) -> Result<()> {
        match self {
            Self::Json => output::data(&output::printable_json(event)),
            Self::Cast(cast) => cast.line(event),
            Self::Lines(fold) => match serde_json::from_str::<Sequenced<RunEvent>>(event) {
                Ok(event) => fold.push(event).try_for_each(|event| tell(&event)),
                // What a newer version wrote is shown as it is.
                Err(_) => output::data(&output::cut(&output::one_line(event), PREVIEW)),
            },
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Json => Ok(()),
            Self::Cast(cast) => cast.end(),
            Self::Lines(fold) => fold.finish().map_or(Ok(()), |event| tell(&event)),
        }
    }
}

fn tell(event: &Sequenced<RunEvent>) -> Result<()> {
    render(&event.event).map_or(Ok(()), |text| output::data(&format!("{}  {text}", times::utc(event.at))))
}

/// Says in one line what happened; `None` for what only programs need.
fn render(event: &RunEvent) -> Option<String> {
    let short = |text: &str| output::cut(&output::one_line(text), PREVIEW);
    Some(match event {
        RunEvent::ToolStarted { pid, .. } => format!("started    process {pid}"),
        RunEvent::Activity { activity } => format!("status     {}", activity.as_str()),
        RunEvent::PromptSent { prompt_id, from, text } => {
            let from = from.as_ref().map_or_else(|| prompt_id.to_string(), told_by);
            let text = text.as_deref().map(|text| format!(": {}", short(text))).unwrap_or_default();
            format!("prompt     {from}{text}")
        }
        RunEvent::InterruptAsked { by } => format!("interrupt  asked{}", named(by.as_ref())),
        RunEvent::StopAsked { by } => format!("stop       asked{}", named(by.as_ref())),
        RunEvent::TerminalOpened { width, height } => {
            format!("terminal   {width}x{height}; --cast prints what it shows, as a recording")
        }
        RunEvent::TerminalFrame { .. }
        | RunEvent::PromptStarted { .. }
        | RunEvent::Session { .. }
        | RunEvent::Unknown => return None,
        RunEvent::TurnEnded { outcome, detail, .. } => {
            let how = match outcome {
                TurnOutcome::End => "done",
                TurnOutcome::Interrupted => "interrupted",
                TurnOutcome::Error => "error",
            };
            let detail = detail.as_deref().map(|detail| format!(": {}", short(detail))).unwrap_or_default();
            format!("turn       {how}{detail}")
        }
        RunEvent::PermissionAsked { permission_id, title, .. } => {
            format!("asks       {} ({permission_id})", short(title))
        }
        RunEvent::PermissionClosed { permission_id, outcome, by, scope } => {
            let how = match outcome {
                PermissionOutcome::Allowed => "allowed",
                PermissionOutcome::Denied => "denied",
                PermissionOutcome::Withdrawn => "withdrawn",
            };
            let always = if *scope == PermissionScope::Run { ", always for this run" } else { "" };
            format!("{how:<10} {permission_id}{}{always}", named(by.as_ref()))
        }
        RunEvent::PermissionRepeated { permission_id, title, .. } => {
            format!("allowed    {} (always, as {permission_id})", short(title))
        }
        // What an agent says is shown whole; it is what people read a log for.
        RunEvent::Message { text, .. } => format!("says       {}", output::one_line(text)),
        RunEvent::Thought { text, .. } => format!("thinks     {}", short(text)),
        RunEvent::ToolCall { name, input, .. } => format!("uses       {} {}", short(name), short(input)),
        RunEvent::ToolResult { output, is_error, .. } => {
            format!("{}     {}", if *is_error { "failed" } else { "result" }, short(output))
        }
        RunEvent::Usage { input_tokens, output_tokens } => {
            format!("tokens     {input_tokens} in, {output_tokens} out")
        }
        RunEvent::Notice { text } => format!("notice     {}", short(text)),
        RunEvent::Exited { reason, .. } => format!("exited     {}", short(reason)),
    })
}

/// Says who a prompt is from.
pub fn told_by(from: &PromptFrom) -> String {
    match from {
        PromptFrom::Task { task_id } => task_id.to_string(),
        PromptFrom::Reminder { task_id } => format!("reminder of {task_id}"),
        PromptFrom::FollowUp { by } => format!("follow-up{}", named(by.as_ref())),
        PromptFrom::Unknown => "somebody".to_owned(),
    }
}

fn named(by: Option<&Steerer>) -> String {
    by.map(|by| format!(" by {}", output::one_line(&by.name))).unwrap_or_default()
}
