//! `chatroom agent logs`: what a run did, one line per event.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use chatroom_protocol::api::reports::{PermissionOutcome, TurnOutcome};
use chatroom_protocol::transcript::{Fold, RunEvent, Sequenced};

use super::{Logs, find};
use crate::client::Client;
use crate::commands::DONE;
use crate::shell::Shell;
use crate::{output, times};

/// How much of a tool's words stands in one line.
const PREVIEW: usize = 200;

/// Prints the log of an agent's live run, or of its last.
pub async fn run(verb: &Logs, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let client = Client::person(shell)?;
    let Some(run) = find(&client, room, &role).await?.run else {
        bail!("`{role}` has not run yet; start it with `chatroom agent start --chatroom-id={room} --role={role}`");
    };
    let mut response = client.run_log(run.run_id, verb.follow).await?;
    let mut rest = Vec::new();
    let mut fold = Fold::default();
    while let Some(bytes) = response.chunk().await.context("the log broke off")? {
        rest.extend_from_slice(&bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            print(&line, verb.json, &mut fold)?;
        }
    }
    print(&rest, verb.json, &mut fold)?;
    fold.finish().map_or(Ok(()), |event| tell(&event))?;
    Ok(DONE)
}

fn print(line: &[u8], json: bool, fold: &mut Fold) -> Result<()> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    if line.is_empty() {
        return Ok(());
    }
    if json {
        return output::data(&output::printable_json(line));
    }
    match serde_json::from_str::<Sequenced<RunEvent>>(line) {
        Ok(event) => fold.push(event).try_for_each(|event| tell(&event)),
        // What a newer version wrote is shown as it is.
        Err(_) => output::data(&output::cut(&output::one_line(line), PREVIEW)),
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
        RunEvent::PromptSent { prompt_id } => format!("prompt     {prompt_id}"),
        RunEvent::PromptStarted { .. } | RunEvent::Session { .. } | RunEvent::Unknown => return None,
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
        RunEvent::PermissionClosed { permission_id, outcome } => {
            let how = match outcome {
                PermissionOutcome::Allowed => "allowed",
                PermissionOutcome::Denied => "denied",
                PermissionOutcome::Withdrawn => "withdrawn",
            };
            format!("{how:<10} {permission_id}")
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
