//! `chatroom machine journal`: what a machine's daemon wrote down, one line per entry.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chatroom_protocol::api::daemon::Slot;
use chatroom_protocol::api::reports::{PermissionOutcome, TurnOutcome};
use chatroom_protocol::journal::{JournalEntry, JournalEvent, JournalFact, Place};
use clap::Args;

use super::tools;
use crate::client::Client;
use crate::commands::agent::{named_machine, told_by};
use crate::commands::{DONE, Format};
use crate::output::one_line;
use crate::shell::Shell;
use crate::{follow, output, this_home, times};

/// Which machine, and whether to stay.
#[derive(Debug, Args)]
pub struct Journal {
    /// The machine's name or id; this computer when not given.
    machine: Option<String>,
    /// Stay, and print what comes.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    format: Format,
}

/// Prints it, as the server has it.
pub async fn run(verb: &Journal, shell: &Shell) -> Result<ExitCode> {
    let client = Client::person(shell)?;
    let machine = match &verb.machine {
        Some(name) => named_machine(&client.machines().await?, name)?,
        None => this_home::machine_id(shell)?.context("this computer is no machine yet; name one")?,
    };
    let mut last = None;
    let print = |entry: &str| {
        if verb.format.json {
            return output::data(&output::printable_json(entry));
        }
        match serde_json::from_str::<JournalEntry>(entry) {
            Ok(entry) => tell(&entry, &mut last),
            // What a newer version wrote is shown as it is.
            Err(_) => output::data(&one_line(entry)),
        }
    };
    follow::stream(&client, &format!("/api/machines/{machine}/journal"), "-1".to_owned(), verb.follow, print).await?;
    Ok(DONE)
}

fn tell(entry: &JournalEntry, last: &mut Option<Place>) -> Result<()> {
    if let Some(last) = last {
        if last.journal != entry.journal {
            output::talk("Here the machine began another journal.");
        } else if last.seq + 1 < entry.seq {
            let missing = entry.seq - last.seq - 1;
            output::talk(format!("{missing} entries before this one never arrived: the server was away for too long."));
        }
    }
    *last = Some(entry.place());
    let Some(text) = render(&entry.event) else { return Ok(()) };
    let at = entry.at.map(times::utc).unwrap_or_default();
    output::data(&format!("{at:23}  {text}"))
}

/// Says in one line what happened; `None` for what only programs need, and for what another entry says.
fn render(event: &JournalEvent) -> Option<String> {
    let of = |slot: &Slot| format!("{} in {}", slot.role, slot.chatroom_id);
    Some(match event {
        JournalEvent::CommandReceived { command_id, kind, slot, run_id, .. } => {
            let slot = slot.as_ref().map(|slot| format!(" for {}", of(slot))).unwrap_or_default();
            let run = run_id.map(|run| format!(", {run}")).unwrap_or_default();
            format!("command    {}{slot}{run} ({command_id})", one_line(kind))
        }
        JournalEvent::CommandFinished { command_id, status, result } => {
            format!("{:<10} {command_id}: {}", status.as_str(), one_line(result))
        }
        JournalEvent::RunSpawned { run_id, slot, tool, pid, .. } => {
            format!("run        {run_id} of {}: {tool}, process {pid}", of(slot))
        }
        JournalEvent::RunStarted { run_id } => format!("started    {run_id}"),
        JournalEvent::RunEnded { run_id } => format!("ended      {run_id}: no process of it is left"),
        JournalEvent::PromptAccepted { run_id, prompt_id, from } => {
            let from = from.as_ref().map(|from| format!(", {}", told_by(from))).unwrap_or_default();
            format!("prompt     {prompt_id} for {run_id}{from}")
        }
        JournalEvent::Reported { fact, .. } => return render_fact(fact),
        JournalEvent::RunEventSeen { .. } | JournalEvent::ReportsApplied { .. } | JournalEvent::Unknown => return None,
    })
}

fn render_fact(fact: &JournalFact) -> Option<String> {
    Some(match fact {
        JournalFact::RunActivity { run_id, activity } => format!("status     {run_id} {}", activity.as_str()),
        JournalFact::ConversationBegun { run_id, conversation } => format!("session    {run_id} {conversation}"),
        JournalFact::PromptSent { run_id, prompt_id } => format!("sent       {prompt_id} to {run_id}"),
        JournalFact::TurnEnded { run_id, prompt_id, outcome } => {
            let how = match outcome {
                TurnOutcome::End => "done",
                TurnOutcome::Interrupted => "interrupted",
                TurnOutcome::Error => "error",
            };
            format!("turn       {prompt_id} of {run_id} {how}")
        }
        JournalFact::PromptEdited { prompt_id, .. } => format!("changed    {prompt_id}"),
        JournalFact::PromptWithdrawn { prompt_id, .. } => format!("withdrawn  {prompt_id}"),
        JournalFact::PromptUncertain { run_id, prompt_id } => {
            format!("uncertain  {prompt_id}: {run_id} may have had it; it is not sent again")
        }
        JournalFact::PermissionAsked { run_id, permission_id } => format!("asks       {run_id} ({permission_id})"),
        JournalFact::PermissionClosed { permission_id, outcome, .. } => {
            let how = match outcome {
                PermissionOutcome::Allowed => "allowed",
                PermissionOutcome::Denied => "denied",
                PermissionOutcome::Withdrawn => "withdrawn",
            };
            format!("{how:<10} {permission_id}")
        }
        JournalFact::RunExited { run_id, reason, .. } => format!("exited     {run_id}: {}", one_line(reason)),
        JournalFact::ToolsDetected { tools: found } => format!("tools      {}", one_line(&tools(found))),
        JournalFact::CommandReceived { .. }
        | JournalFact::CommandFinished { .. }
        | JournalFact::RunStarted { .. }
        | JournalFact::PromptStarted { .. }
        | JournalFact::Unknown => return None,
    })
}
