//! One fact at a time: what it changes in the projection.
//!
//! A fact about something that is not of this machine, or is over, changes
//! nothing: it may be late, or from before a restore.

use chatroom_domain::agents::{Permission, Run};
use chatroom_domain::commands::CommandEvent;
use chatroom_domain::machines::Machine;
use chatroom_domain::rooms::Room;
use chatroom_protocol::CommandId;
use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::reports::{Fact, PermissionOutcome, Report};

use super::{heard, settle, stop};
use crate::agents::life::{self, Ending, TurnEnd};
use crate::app::{Topic, Work};
use crate::error::Error;
use crate::machines::{check_tools, tell};
use crate::{agents, rooms};

/// The most that is kept of what a permission is about.
const INPUT_LIMIT: usize = 256 * 1024;

/// Applies facts in their order. What is said of one command in a row is one change of it.
pub(super) async fn apply_all(work: &mut Work, machine: &Machine, reports: Vec<Report>) -> Result<(), Error> {
    let mut reports = reports.into_iter().peekable();
    while let Some(report) = reports.next() {
        let Some(command) = command_of(&report.fact) else {
            apply(work, machine, report).await?;
            continue;
        };
        let mut events = vec![event_of(report.fact)];
        while let Some(next) = reports.next_if(|next| command_of(&next.fact) == Some(command)) {
            events.push(event_of(next.fact));
        }
        settle(work, machine.id, command, events.into_iter().flatten()).await?;
    }
    Ok(())
}

/// Returns the command a fact is about.
fn command_of(fact: &Fact) -> Option<CommandId> {
    match fact {
        Fact::CommandReceived { command_id } | Fact::CommandFinished { command_id, .. } => Some(*command_id),
        _ => None,
    }
}

/// Returns what a fact means for its command.
fn event_of(fact: Fact) -> Option<CommandEvent> {
    match fact {
        Fact::CommandReceived { .. } => Some(CommandEvent::Received),
        Fact::CommandFinished { status, result, .. } => heard(status, result),
        _ => None,
    }
}

async fn apply(work: &mut Work, machine: &Machine, report: Report) -> Result<(), Error> {
    match report.fact {
        // One change with what else is said of the command.
        Fact::CommandReceived { .. } | Fact::CommandFinished { .. } => {}
        Fact::ToolsDetected { tools } => {
            if let Ok(tools) = check_tools(tools)
                && tools != machine.tools
            {
                chatroom_store::machines::set_tools(&work.tx, machine.id, &tools).await?;
                tell(work, machine, "machine.tools", None).await?;
            }
        }
        Fact::Unknown => {
            tracing::info!(machine.id = %machine.id, seq = report.seq, "a fact this version does not know");
        }
        Fact::RunStarted { run_id, .. }
        | Fact::RunActivity { run_id, .. }
        | Fact::ConversationBegun { run_id, .. }
        | Fact::PromptSent { run_id, .. }
        | Fact::PromptStarted { run_id, .. }
        | Fact::TurnEnded { run_id, .. }
        | Fact::PromptEdited { run_id, .. }
        | Fact::PromptWithdrawn { run_id, .. }
        | Fact::PromptUncertain { run_id, .. }
        | Fact::PermissionAsked { run_id, .. }
        | Fact::PermissionClosed { run_id, .. }
        | Fact::RunExited { run_id, .. } => {
            if let Some(run) = chatroom_store::runs::on_machine(&work.tx, machine.id, run_id).await? {
                let room = rooms::of(&work.tx, run.room).await?;
                if run.live() {
                    of_run(work, &room, run, report).await?;
                } else if run.pid.is_none() && matches!(report.fact, Fact::RunStarted { .. }) {
                    end_unwanted(work, machine, &room, &run).await?;
                }
            }
        }
    }
    Ok(())
}

/// Ends what turns out to live though it was given up here, unless the place is already in other hands.
async fn end_unwanted(work: &mut Work, machine: &Machine, room: &Room, run: &Run) -> Result<(), Error> {
    let taken = agents::live_run(&work.tx, room.id, &run.role).await?.is_some();
    let under_way = chatroom_store::commands::has_open(&work.tx, machine.id, room.id, &run.role).await?;
    if taken || under_way {
        return Ok(());
    }
    stop::order(work, machine, room, &run.role).await
}

async fn of_run(work: &mut Work, room: &Room, mut run: Run, report: Report) -> Result<(), Error> {
    match report.fact {
        Fact::RunStarted { pid, start_time, .. } => {
            run.pid = Some(pid);
            run.start_time = Some(start_time);
            chatroom_store::runs::update(&work.tx, &run).await?;
            agents::tell(work, room, &run.role, "run.started", Some(run.id), None).await?;
            // Its prompts may go out now.
            work.touch(Topic::Machine(run.machine));
            Ok(())
        }
        Fact::ConversationBegun { conversation, .. } => {
            run.conversation = Some(conversation);
            Ok(chatroom_store::runs::update(&work.tx, &run).await?)
        }
        Fact::RunActivity { activity, .. } => activity_is(work, room, run, activity).await,
        Fact::PromptSent { prompt_id, .. } => {
            life::accepted(work, run.id, prompt_id).await?;
            life::sent(work, run.id, prompt_id).await
        }
        Fact::PromptStarted { prompt_id, .. } => {
            life::accepted(work, run.id, prompt_id).await?;
            life::sent(work, run.id, prompt_id).await?;
            life::begun(work, room, run).await
        }
        Fact::TurnEnded { prompt_id, outcome, detail, .. } => {
            let end = TurnEnd::Told(outcome, detail);
            life::turn_ended(work, room, run, prompt_id, end).await
        }
        Fact::PromptEdited { prompt_id, text, .. } => {
            if chatroom_store::prompts::find(&work.tx, run.id, prompt_id).await?.is_some() {
                chatroom_store::prompts::set_text(&work.tx, prompt_id, &capped(text)).await?;
            }
            Ok(())
        }
        Fact::PromptWithdrawn { prompt_id, .. } => {
            if chatroom_store::prompts::find(&work.tx, run.id, prompt_id).await?.is_some() {
                agents::queue::withdrawn(work, prompt_id).await?;
            }
            Ok(())
        }
        Fact::PromptUncertain { prompt_id, .. } => {
            life::accepted(work, run.id, prompt_id).await?;
            life::turn_ended(work, room, run, prompt_id, TurnEnd::Uncertain).await
        }
        Fact::PermissionAsked { permission_id, title, input, always, digest, .. } => {
            let permission = Permission {
                id: permission_id,
                run: run.id,
                title: life::short(&title),
                input: capped(input),
                always: always.map(capped),
                digest: digest.chars().take(128).collect(),
                asked_at: work.now,
                outcome: None,
            };
            if chatroom_store::permissions::insert(&work.tx, &permission).await? {
                let subject = permission_id.to_string();
                agents::tell_of(work, room, &run.role, "permission.asked", subject, None).await?;
                // Said again by the next report; a question is never shown beside another status.
                return activity_is(work, room, run, RunActivity::WaitingPermission).await;
            }
            Ok(())
        }
        Fact::PermissionClosed { permission_id, outcome, .. } => {
            let outcome = match outcome {
                PermissionOutcome::Allowed => "allowed",
                PermissionOutcome::Denied => "denied",
                PermissionOutcome::Withdrawn => "withdrawn",
            };
            let closed = chatroom_store::permissions::close(&work.tx, run.id, permission_id, outcome, None).await?;
            if closed {
                let subject = permission_id.to_string();
                let outcome = Some(outcome.to_owned());
                agents::tell_of(work, room, &run.role, "permission.closed", subject, outcome).await?;
            }
            Ok(())
        }
        Fact::RunExited { requested, reason, .. } => {
            let ending = if requested { Ending::Requested } else { Ending::Crashed };
            life::exit(work, room, run, ending, &reason).await
        }
        Fact::CommandReceived { .. } | Fact::CommandFinished { .. } | Fact::ToolsDetected { .. } | Fact::Unknown => {
            Ok(())
        }
    }
}

async fn activity_is(work: &mut Work, room: &Room, mut run: Run, activity: RunActivity) -> Result<(), Error> {
    // Only the exit itself ends a run: it says how.
    if activity == RunActivity::Exited || activity == run.activity {
        return Ok(());
    }
    run.activity = activity;
    if activity == RunActivity::Working {
        run.awaiting_handoff = false;
    }
    chatroom_store::runs::update(&work.tx, &run).await?;
    let outcome = Some(activity.as_str().to_owned());
    agents::tell(work, room, &run.role, "run.activity", Some(run.id), outcome).await?;
    work.touch(Topic::Machine(run.machine));
    agents::offer(work, room, &run.role).await
}

fn capped(mut text: String) -> String {
    if text.len() > INPUT_LIMIT {
        let mut end = INPUT_LIMIT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
