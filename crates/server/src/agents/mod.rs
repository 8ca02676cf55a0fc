//! Agents: the slot of a role, the run in it, and how tasks reach that run.

pub mod life;
pub mod queue;
pub mod restart;
pub mod steer;
pub mod terminal;
pub mod views;

use chatroom_domain::agents::{Agent, Desired, Prompt, PromptPurpose, PromptState, Run};
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::{Holder, Task};
use chatroom_protocol::api::agents::{RunActivity, RunForm};
use chatroom_protocol::{MachineId, PromptId, Role, RoomId, RunId, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;

use crate::app::{Topic, Work};
use crate::error::Error;
use crate::rooms;
use crate::rooms::prompts::{Loop, changed_instructions, task_prompt};
use crate::tasks;

/// Returns the slot of a role; one nobody ever touched is stopped.
pub async fn slot(db: &impl Access, room: RoomId, role: &Role) -> Result<Agent, Error> {
    let known = chatroom_store::agents::find(db, room, role).await?;
    Ok(known.unwrap_or_else(|| Agent::untouched(room, role.clone())))
}

/// Returns the live run of a role; while one replaces another, the newer.
pub async fn live_run(db: &impl Access, room: RoomId, role: &Role) -> Result<Option<Run>, Error> {
    let live = chatroom_store::runs::live_in(db, room, role).await?;
    Ok(live.into_iter().next())
}

/// Returns the user of the machine a role runs on, or last ran on.
pub async fn owner(db: &impl Access, room: RoomId, role: &Role) -> Result<Option<UserId>, Error> {
    let Some(machine) = slot(db, room, role).await?.machine else {
        return Ok(None);
    };
    let machine = chatroom_store::machines::of(db, machine).await?;
    Ok(machine.map(|machine| machine.user))
}

/// Gives the run of a role its next task, if it is free for one.
pub async fn offer(work: &mut Work, room: &Room, role: &Role) -> Result<(), Error> {
    let Some(run) = live_run(&work.tx, room.id, role).await? else {
        return Ok(());
    };
    if run.form == RunForm::Terminal {
        // It waits for its tasks itself.
        return Ok(());
    }
    let slot = slot(&work.tx, room.id, role).await?;
    if slot.desired != Desired::Running || slot.run != Some(run.id) {
        return Ok(());
    }
    let holds = tasks::held_by(&work.tx, &Holder::Run(run.id)).await?;
    if !holds.is_empty() {
        return Ok(());
    }
    let run = life::handed_off(work, room, run).await?;
    let free = matches!(run.activity, RunActivity::Starting | RunActivity::Idle);
    if !free || has_task_prompt(work, &run).await? {
        return Ok(());
    }
    for task in tasks::pending_for(&work.tx, room, role, run.user, slot.shared).await? {
        let purpose = PromptPurpose::Task(task.id);
        // A task is given to a run once: one it gave back is for the next run.
        if !chatroom_store::prompts::was_made(&work.tx, run.id, &purpose).await? {
            let text = told(work, room, &run, &task).await?;
            return prompt(work, run.id, run.machine, purpose, text).await.map(drop);
        }
    }
    Ok(())
}

async fn has_task_prompt(work: &Work, run: &Run) -> Result<bool, Error> {
    let open = chatroom_store::prompts::open(&work.tx, run.id).await?;
    Ok(open.iter().any(|prompt| matches!(prompt.purpose, PromptPurpose::Task(_))))
}

async fn told(work: &Work, room: &Room, run: &Run, task: &Task) -> Result<String, Error> {
    let message = chatroom_store::messages::find(&work.tx, room.id, task.message)
        .await?
        .ok_or_else(|| Error::Internal(format!("{} has lost its message", task.id)))?;
    let present = tasks::wait::present(&work.tx, room, work.now).await?;
    let instructions = rooms::instructions(&work.tx, room, &run.role, run.user).await?;
    let changed = instructions.filter(|said| said.at > run.created_at).map(changed_instructions);
    let task = task_prompt(room, &run.role, task, &message, &present, Loop::Managed);
    Ok(changed.unwrap_or_default() + &task)
}

/// Writes down what a run is to be told; it is pushed with the commit.
pub(crate) async fn prompt(
    work: &mut Work,
    run: RunId,
    machine: MachineId,
    purpose: PromptPurpose,
    text: String,
) -> Result<Prompt, Error> {
    let prompt = Prompt {
        id: work.app.id(PromptId::from_parts)?,
        run,
        purpose,
        text,
        state: PromptState::Pending,
        created_at: work.now,
    };
    chatroom_store::prompts::insert(&work.tx, &prompt).await?;
    work.touch(Topic::Machine(machine));
    Ok(prompt)
}

/// Writes an event about an agent, for the whole room.
pub(crate) async fn tell(
    work: &mut Work,
    room: &Room,
    role: &Role,
    kind: &'static str,
    run: Option<RunId>,
    outcome: Option<String>,
) -> Result<(), Error> {
    let event = NewEvent {
        kind,
        room: Some(room.id),
        role: Some(role.clone()),
        subject: run.map(|run| run.to_string()),
        outcome,
        ..NewEvent::default()
    };
    work.event(room.instance, event).await
}

/// Writes an event about something of an agent that has an id of its own.
pub(crate) async fn tell_of(
    work: &mut Work,
    room: &Room,
    role: &Role,
    kind: &'static str,
    subject: String,
    outcome: Option<String>,
) -> Result<(), Error> {
    let event = NewEvent {
        kind,
        room: Some(room.id),
        role: Some(role.clone()),
        subject: Some(subject),
        outcome,
        ..NewEvent::default()
    };
    work.event(room.instance, event).await
}

/// Writes an event about what a person did to an agent.
pub(crate) async fn tell_by(
    work: &mut Work,
    user: UserId,
    room: &Room,
    role: &Role,
    kind: &'static str,
    outcome: Option<String>,
) -> Result<(), Error> {
    let event = NewEvent {
        kind,
        user: Some(user),
        room: Some(room.id),
        role: Some(role.clone()),
        outcome,
        ..NewEvent::default()
    };
    work.event(room.instance, event).await
}
