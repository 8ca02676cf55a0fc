//! Handing on: complete the sender's task, say the result, make the target's
//! task, promote the queue. One transaction; repeated, it answers as the first
//! time did.

use chatroom_domain::access::Caller;
use chatroom_domain::messages::{Sender, parse_content};
use chatroom_domain::rooms::{HANDOFF_LIMIT, Room, TASK_LIMIT};
use chatroom_domain::tasks::{Standing, Task, TaskError, TaskEvent, after, allowed};
use chatroom_protocol::api::rooms::{MessageKind, Target};
use chatroom_protocol::api::tasks::{Handoff, HandoffDone, TaskState};
use chatroom_protocol::{Role, TaskId};

use super::{NewTask, advance, create, find, promote, standing};
use crate::agents;
use crate::app::{App, Work};
use crate::error::Error;
use crate::rooms::messages::{Said, notice, say, view};
use crate::rooms::prompts::Loop;
use crate::rooms::{self, prompts};

/// Hands a role's task on to another role or to the people of the room.
pub async fn hand_off(
    work: &mut Work,
    caller: &Caller,
    room: &Room,
    role: &Role,
    body: Handoff,
) -> Result<HandoffDone, Error> {
    rooms::check_role(caller, room, role)?;
    rooms::pace(work, caller)?;
    room.target(&body.next_role)?;
    let content = parse_content(&body.content)?;
    let mut task = own_task(work, caller, room, role, body.task_id).await?;
    let by = standing(caller, &task);
    after(task.state, TaskEvent::Finished, by)?;
    if task.state == TaskState::Completed {
        return repeated(work, caller, room, role, &task).await;
    }
    room.is_open()?;
    if matches!(body.next_role, Target::Role(_)) && task.hops >= HANDOFF_LIMIT {
        return Err(TaskError::HandoffLimit(task.hops).into());
    }

    let said = Said {
        kind: MessageKind::Handoff,
        sender: Sender::Role(role.clone()),
        user: Some(caller.user()),
        target: Some(body.next_role.clone()),
        content,
        task: Some(task.id),
        queued: false,
        run: caller.run(),
    };
    let message = say(work, room, said).await?;
    task.handoff = Some(message.id);
    advance(work, room, &mut task, TaskEvent::Finished, by, Some(caller.user())).await?;
    if let Target::Role(next) = &body.next_role {
        if chatroom_store::tasks::count_active(&work.tx, room.id).await? >= TASK_LIMIT {
            return Err(TaskError::TooMany.into());
        }
        let new = NewTask {
            id: work.app.id(TaskId::from_parts)?,
            role: next.clone(),
            message: message.id,
            position: message.position,
            author: caller.user(),
            carries: [Some(task.author), task.carries].into_iter().flatten().find(|user| *user != caller.user()),
            hops: task.hops + 1,
        };
        task.next = Some(new.id);
        create(work, room, new).await?;
        chatroom_store::tasks::update(&work.tx, &task, None).await?;
        agents::offer(work, room, next).await?;
    }
    promote(work, room).await?;
    agents::offer(work, room, role).await?;
    Ok(HandoffDone {
        completed: task.id,
        message: view(message),
        next_task: task.next,
        prompt: prompts::handed_off(room, role, &body.next_role, Loop::of(caller)),
    })
}

/// Tells the room that a chain of hand-offs was ended, once per task.
pub async fn ask_a_person(
    app: &App,
    caller: &Caller,
    room: &Room,
    role: &Role,
    named: Option<TaskId>,
) -> Result<(), Error> {
    let mut work = app.begin().await?;
    let task = own_task(&work, caller, room, role, named).await?.id;
    let text = format!(
        "{role} reached the limit of {HANDOFF_LIMIT} hand-offs for one message. A person decides how to go on."
    );
    if chatroom_store::messages::has_notice(&work.tx, room.id, task, &text).await? {
        return Ok(());
    }
    notice(&mut work, room, Some(task), text).await?;
    work.commit().await
}

/// Returns the task that is meant: the one named, else the only active one of the role that the caller holds.
async fn own_task(
    work: &Work,
    caller: &Caller,
    room: &Room,
    role: &Role,
    named: Option<TaskId>,
) -> Result<Task, Error> {
    if let Some(id) = named {
        let task = find(&work.tx, room, id).await?;
        return if task.role == *role { Ok(task) } else { Err(TaskError::NotFound.into()) };
    }
    let mut own: Vec<Task> = chatroom_store::tasks::active(&work.tx, room.id)
        .await?
        .into_iter()
        .filter(|task| task.role == *role && standing(caller, task) == Standing::Holder)
        .collect();
    match own.len() {
        0 => Err(TaskError::NoActiveTask(role.clone()).into()),
        1 => Ok(own.remove(0)),
        _ => Err(TaskError::SeveralTasks(role.clone()).into()),
    }
}

async fn repeated(work: &Work, caller: &Caller, room: &Room, role: &Role, task: &Task) -> Result<HandoffDone, Error> {
    let refused = || TaskError::State { state: task.state, allowed: allowed(task.state) };
    let id = task.handoff.ok_or_else(refused)?;
    let message = chatroom_store::messages::find(&work.tx, room.id, id).await?.ok_or_else(refused)?;
    let target = message.target.clone().unwrap_or(Target::User);
    Ok(HandoffDone {
        completed: task.id,
        message: view(message),
        next_task: task.next,
        prompt: prompts::handed_off(room, role, &target, Loop::of(caller)),
    })
}
