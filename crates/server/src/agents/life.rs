//! The life of a run as its machine reports it: prompts taken, turns ended, and
//! the exit, after which its task is somebody else's to do.

use chatroom_domain::agents::{CRASH_WINDOW_MS, Desired, PromptPurpose, PromptState, Run, wait_before_restart};
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::Holder;
use chatroom_protocol::api::agents::{RunActivity, RunForm};
use chatroom_protocol::api::reports::TurnOutcome;
use chatroom_protocol::{PromptId, RunId};

use super::{offer, prompt, slot, tell};
use crate::app::Work;
use crate::error::Error;
use crate::rooms::messages::notice;
use crate::rooms::{self, prompts};
use crate::tasks;

/// How long a reason may be.
const SHORT: usize = 500;

/// How a turn ended.
pub(crate) enum TurnEnd {
    /// As the tool told.
    Told(TurnOutcome, Option<String>),
    /// Nobody knows whether the prompt reached the tool.
    Uncertain,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was asked to.
    Requested,
    /// It stopped by itself; it is started again, unless that happens too often.
    Crashed,
    /// It never began, for a reason that another try would meet again.
    Refused,
}

/// Makes one short line of what a machine or a tool said.
pub(crate) fn short(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHORT).collect();
    line.trim().to_owned()
}

/// Notes that a prompt is in the machine's journal; the task it delivers is the run's now. Again is a no-op.
pub(crate) async fn accepted(work: &mut Work, run: RunId, id: PromptId) -> Result<(), Error> {
    let Some(prompt) = chatroom_store::prompts::find(&work.tx, run, id).await? else {
        return Ok(());
    };
    if prompt.state != PromptState::Pending {
        return Ok(());
    }
    chatroom_store::prompts::set_state(&work.tx, id, PromptState::Accepted).await?;
    let Some(run) = chatroom_store::runs::of(&work.tx, run).await?.filter(Run::live) else {
        return Ok(());
    };
    let PromptPurpose::Task(task) = prompt.purpose else {
        return Ok(());
    };
    let room = rooms::of(&work.tx, run.room).await?;
    match tasks::claim_for_run(work, &room, task, run.id).await {
        Err(Error::Task(error)) => {
            // Somebody ended it in the same moment; the agent will be told when it hands off.
            tracing::info!(task.id = %task, run.id = %run.id, %error, "a delivered task was not claimed");
            Ok(())
        }
        claimed => claimed,
    }
}

/// Notes that the tool has a prompt.
pub(crate) async fn sent(work: &mut Work, run: RunId, id: PromptId) -> Result<(), Error> {
    match chatroom_store::prompts::find(&work.tx, run, id).await? {
        Some(prompt) if prompt.state == PromptState::Accepted => {
            Ok(chatroom_store::prompts::set_state(&work.tx, id, PromptState::Sent).await?)
        }
        _ => Ok(()),
    }
}

/// Notes the first output for a prompt: what the run holds has begun.
pub(crate) async fn begun(work: &mut Work, room: &Room, mut run: Run) -> Result<(), Error> {
    tasks::begun_by_run(work, room, run.id).await?;
    if run.awaiting_handoff {
        run.awaiting_handoff = false;
        chatroom_store::runs::update(&work.tx, &run).await?;
    }
    Ok(())
}

/// Notes the end of a turn. A run that still holds a task awaits its hand-off, and is reminded once.
pub(crate) async fn turn_ended(
    work: &mut Work,
    room: &Room,
    mut run: Run,
    id: PromptId,
    end: TurnEnd,
) -> Result<(), Error> {
    match chatroom_store::prompts::find(&work.tx, run.id, id).await? {
        Some(prompt) if prompt.state != PromptState::Done => {}
        _ => return Ok(()),
    }
    chatroom_store::prompts::set_state(&work.tx, id, PromptState::Done).await?;
    let held = tasks::held_by(&work.tx, &Holder::Run(run.id)).await?;
    let role = run.role.clone();
    let task = held.first();
    run.trouble = None;
    let (how, said) = match end {
        TurnEnd::Told(TurnOutcome::End, _) => ("end", None),
        TurnEnd::Told(TurnOutcome::Interrupted, _) => ("interrupted", None),
        TurnEnd::Told(TurnOutcome::Error, detail) => {
            // What a tool writes may name folders and accounts: it is for the machine's user alone.
            run.trouble = Some(short(&detail.unwrap_or_else(|| "the tool gave no reason".into())));
            ("error", Some(format!("{role}'s turn ended with an error; the user of its machine sees which.")))
        }
        TurnEnd::Uncertain => {
            let text = format!(
                "{role} may or may not have been given its last prompt: its machine was interrupted. It is not given \
                 again; tell {role} to go on, or restart it."
            );
            ("uncertain", Some(text))
        }
    };
    run.awaiting_handoff = !held.is_empty();
    chatroom_store::runs::update(&work.tx, &run).await?;
    tell(work, room, &role, "turn.ended", Some(run.id), Some(how.into())).await?;
    if let Some(text) = said {
        notice(work, room, task.map(|task| task.id), text).await?;
    }
    let Some(task) = task else {
        return offer(work, room, &role).await;
    };
    let reminder = PromptPurpose::Reminder(task.id);
    let more = chatroom_store::prompts::open(&work.tx, run.id).await?;
    let told_before = chatroom_store::prompts::was_made(&work.tx, run.id, &reminder).await?;
    if how == "end" && more.is_empty() && !told_before {
        let text = prompts::reminder(room, &role, task);
        prompt(work, run.id, run.machine, reminder, text).await?;
    }
    Ok(())
}

/// Notes that a run holds no task any more.
pub(super) async fn handed_off(work: &mut Work, room: &Room, mut run: Run) -> Result<Run, Error> {
    if run.awaiting_handoff {
        run.awaiting_handoff = false;
        chatroom_store::runs::update(&work.tx, &run).await?;
        let outcome = Some(run.activity.as_str().to_owned());
        tell(work, room, &run.role, "run.activity", Some(run.id), outcome).await?;
    }
    Ok(run)
}

/// Ends a run: its questions and prompts go with it, its task goes back.
pub(crate) async fn exit(
    work: &mut Work,
    room: &Room,
    mut run: Run,
    ending: Ending,
    reason: &str,
) -> Result<(), Error> {
    if !run.live() {
        return Ok(());
    }
    let reason = short(reason);
    run.activity = RunActivity::Exited;
    run.awaiting_handoff = false;
    run.exited_at = Some(work.now);
    run.exit = Some(reason.clone());
    run.crashed = ending == Ending::Crashed;
    chatroom_store::runs::update(&work.tx, &run).await?;
    chatroom_store::permissions::withdraw_all(&work.tx, run.id).await?;
    chatroom_store::prompts::finish_all(&work.tx, run.id).await?;
    if run.form == RunForm::Terminal {
        // What waited there is gone with it.
        tasks::wait::leave(work, &run).await?;
    }
    let released = tasks::release_run(work, room, run.id).await?;
    // Why is for the machine's user alone: a reason may name folders and hold what a program wrote.
    let how = if ending == Ending::Requested { "requested" } else { "by itself" };
    tell(work, room, &run.role, "run.exited", Some(run.id), Some(how.into())).await?;

    let mut slot = slot(&work.tx, room.id, &run.role).await?;
    if slot.run == Some(run.id) {
        let older = super::live_run(&work.tx, room.id, &run.role).await?;
        match (slot.desired, ending, older) {
            // An older one that still lives is replaced by the next, as was asked for.
            (Desired::Running, Ending::Crashed, _) => {
                let window = work.now.plus_millis(-CRASH_WINDOW_MS).max(slot.counted_from);
                let crashes = chatroom_store::runs::crashes(&work.tx, room.id, &run.role, window).await?;
                slot.restart_at = wait_before_restart(crashes).map(|wait| work.now.plus_millis(wait));
                slot.gave_up = slot.restart_at.is_none().then(|| reason.clone());
            }
            // What should have replaced it never came.
            (_, _, Some(older)) => {
                slot.machine = Some(older.machine);
                slot.run = Some(older.id);
            }
            // Its daemon was stopped, and ended it in good order.
            (Desired::Running, Ending::Requested, None) => slot.desired = Desired::Stopped,
            (Desired::Running, Ending::Refused, None) => slot.gave_up = Some(reason.clone()),
            (Desired::Stopped, _, None) => {}
        }
        chatroom_store::agents::put(&work.tx, &slot).await?;
        if slot.gave_up.is_some() {
            tell(work, room, &run.role, "agent.gave-up", Some(run.id), None).await?;
        }
        let wait = slot.restart_at.map(|at| at.millis_since(work.now) / 1000);
        if let Some(text) = last_words(&run, slot.desired, ending, wait, released) {
            notice(work, room, None, text).await?;
        }
    }
    offer(work, room, &run.role).await
}

/// Returns what the room is told about an exit, if anything; `wait` is how many seconds pass before it is started again.
fn last_words(run: &Run, desired: Desired, ending: Ending, wait: Option<i64>, released: usize) -> Option<String> {
    let role = &run.role;
    let back = if released > 0 { " Its task is pending again, for the next start." } else { "" };
    match (desired, ending, wait) {
        (Desired::Running, _, Some(0)) => Some(format!("{role} stopped by itself and is started again.{back}")),
        (Desired::Running, _, Some(wait)) => {
            Some(format!("{role} stopped by itself again; it is started again in {wait} s.{back}"))
        }
        (Desired::Running, Ending::Crashed, None) => {
            Some(format!("{role} stopped by itself too often and is not started again; a person can.{back}"))
        }
        (Desired::Running, Ending::Refused, None) => Some(format!("{role} could not be started.{back}")),
        _ if released > 0 => Some(format!("{role} was stopped.{back}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(short(" a\nb\u{1b}[2J "), "a b [2J");
        assert_eq!(short(&"é".repeat(1000)).chars().count(), SHORT);
    }
}
