//! Tasks: made from messages and hand-offs, claimed by one, handed on.
//!
//! Everything here runs inside a [`Work`], and writes come one after another, so
//! "look, then change" is safe: exactly one claims.

pub mod handoff;
pub mod wait;

use chatroom_domain::access::{Caller, may_reach};
use chatroom_domain::messages::{Message, Sender, parse_content};
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::{CLAIM_LIMIT_MS, Holder, Standing, Task, TaskError, TaskEvent, after};
use chatroom_protocol::api::rooms::{MessageKind, Target};
use chatroom_protocol::api::tasks::{Classification, Feature, TaskState, TaskView};
use chatroom_protocol::{MessageId, Role, RunId, TaskId, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;

use crate::agents;
use crate::app::{App, Work};
use crate::error::Error;
use crate::rooms;
use crate::rooms::messages::{Said, say};

/// What a new task is made of.
struct NewTask {
    id: TaskId,
    role: Role,
    message: MessageId,
    position: i64,
    author: UserId,
    carries: Option<UserId>,
    hops: u32,
}

async fn create(work: &mut Work, room: &Room, new: NewTask) -> Result<(), Error> {
    let task = Task {
        id: new.id,
        room: room.id,
        role: new.role,
        state: TaskState::Pending,
        message: new.message,
        position: new.position,
        author: new.author,
        carries: new.carries,
        approved_by: None,
        holder: None,
        held_since: None,
        hops: new.hops,
        handoff: None,
        next: None,
        created_at: work.now,
    };
    chatroom_store::tasks::insert(&work.tx, &task).await?;
    told(work, room, &task, "task.pending", Some(task.author)).await
}

async fn told(
    work: &mut Work,
    room: &Room,
    task: &Task,
    kind: &'static str,
    user: Option<UserId>,
) -> Result<(), Error> {
    let event = NewEvent {
        kind,
        user,
        room: Some(room.id),
        role: Some(task.role.clone()),
        subject: Some(task.id.to_string()),
        outcome: Some(task.state.as_str().to_owned()),
        ..NewEvent::default()
    };
    work.event(room.instance, event).await
}

/// Moves a task and writes the event, if the state really changes.
async fn advance(
    work: &mut Work,
    room: &Room,
    task: &mut Task,
    event: TaskEvent,
    by: Standing,
    user: Option<UserId>,
) -> Result<(), Error> {
    let state = after(task.state, event, by)?;
    if state == task.state {
        return Ok(());
    }
    task.state = state;
    let completed_at = (state == TaskState::Completed).then_some(work.now);
    chatroom_store::tasks::update(&work.tx, task, completed_at).await?;
    let kind = match state {
        TaskState::Pending => "task.released",
        TaskState::Acknowledged => "task.claimed",
        TaskState::InProgress => "task.started",
        TaskState::Completed => "task.completed",
    };
    told(work, room, task, kind, user).await
}

/// Turns the head of the queue into a task while nothing of the room is active:
/// an idle room with a waiting queue never exists.
pub async fn promote(work: &mut Work, room: &Room) -> Result<(), Error> {
    if chatroom_store::tasks::count_active(&work.tx, room.id).await? > 0 {
        return Ok(());
    }
    let Some(message) = chatroom_store::messages::queue(&work.tx, room.id).await?.into_iter().next() else {
        return Ok(());
    };
    let role = match &message.target {
        Some(Target::Role(role)) if room.roles.contains(role) => role.clone(),
        _ => room.entry.clone(),
    };
    let position = chatroom_store::rooms::next_position(&work.tx, room.id, work.now).await?;
    let promoted = NewEvent {
        kind: "message.sent",
        user: message.user,
        room: Some(room.id),
        subject: Some(message.id.to_string()),
        outcome: Some(role.to_string()),
        ..NewEvent::default()
    };
    work.event(room.instance, promoted).await?;
    let id = work.app.id(TaskId::from_parts)?;
    chatroom_store::messages::promote(&work.tx, message.id, position, id, work.now).await?;
    let message = Message { position, task: Some(id), ..message };
    from_message(work, room, id, role, &message).await
}

/// Makes a person's message, which is said already, the task of a role, and offers it to that role's agent.
pub(crate) async fn from_message(
    work: &mut Work,
    room: &Room,
    id: TaskId,
    role: Role,
    message: &Message,
) -> Result<(), Error> {
    let author = message.user.ok_or_else(|| Error::Internal(format!("{} has no sender", message.id)))?;
    let (message, position) = (message.id, message.position);
    create(work, room, NewTask { id, role: role.clone(), message, position, author, carries: None, hops: 0 }).await?;
    agents::offer(work, room, &role).await
}

/// Returns how a caller stands to a task.
fn standing(caller: &Caller, task: &Task) -> Standing {
    let holds = match (caller, &task.holder) {
        (Caller::Run { run, .. }, Some(Holder::Run(holder))) => run == holder,
        (Caller::Person { user, .. }, Some(Holder::Wait(holder, _))) => user == holder,
        _ => false,
    };
    if holds { Standing::Holder } else { Standing::Other }
}

/// Lists the pending tasks of a role that may reach an agent of `owner`, the next one first.
pub async fn pending_for(
    db: &impl Access,
    room: &Room,
    role: &Role,
    owner: UserId,
    shared: bool,
) -> Result<Vec<Task>, Error> {
    let mut tasks = chatroom_store::tasks::active(db, room.id).await?;
    tasks.retain(|task| task.state == TaskState::Pending && task.role == *role && may_reach(task, owner, shared));
    Ok(tasks)
}

/// Returns a task of a room, or says that there is none.
pub async fn find(db: &impl Access, room: &Room, id: TaskId) -> Result<Task, Error> {
    Ok(chatroom_store::tasks::find(db, room.id, id).await?.ok_or(TaskError::NotFound)?)
}

/// Gives a task to a run whose daemon has journalled it as a prompt.
pub async fn claim_for_run(work: &mut Work, room: &Room, id: TaskId, run: RunId) -> Result<(), Error> {
    let task = find(&work.tx, room, id).await?;
    claim(work, room, task, Holder::Run(run), None).await.map(drop)
}

async fn claim(
    work: &mut Work,
    room: &Room,
    mut task: Task,
    holder: Holder,
    user: Option<UserId>,
) -> Result<Task, Error> {
    let by = if task.holder.as_ref() == Some(&holder) { Standing::Holder } else { Standing::Other };
    after(task.state, TaskEvent::Claimed, by)?;
    task.holder = Some(holder);
    task.held_since = Some(work.now);
    advance(work, room, &mut task, TaskEvent::Claimed, by, user).await?;
    Ok(task)
}

/// Marks what a run holds as begun: it gave its first output.
pub async fn begun_by_run(work: &mut Work, room: &Room, run: RunId) -> Result<(), Error> {
    for mut task in chatroom_store::tasks::held_by(&work.tx, &Holder::Run(run)).await? {
        advance(work, room, &mut task, TaskEvent::Started, Standing::Holder, None).await?;
    }
    Ok(())
}

/// Returns what a run holds to `pending`, same assignee; returns how many tasks that were.
pub async fn release_run(work: &mut Work, room: &Room, run: RunId) -> Result<usize, Error> {
    let held = chatroom_store::tasks::held_by(&work.tx, &Holder::Run(run)).await?;
    let count = held.len();
    for mut task in held {
        advance(work, room, &mut task, TaskEvent::Released, Standing::Other, None).await?;
    }
    Ok(count)
}

/// Lists what somebody has right now.
pub async fn held_by(db: &impl Access, holder: &Holder) -> Result<Vec<Task>, Error> {
    Ok(chatroom_store::tasks::held_by(db, holder).await?)
}

/// Marks a task as begun, by the one who holds it.
pub async fn start(work: &mut Work, caller: &Caller, room: &Room, role: &Role, id: TaskId) -> Result<Task, Error> {
    rooms::check_role(caller, room, role)?;
    let mut task = find(&work.tx, room, id).await?;
    if task.role != *role {
        return Err(TaskError::NotFound.into());
    }
    let by = standing(caller, &task);
    advance(work, room, &mut task, TaskEvent::Started, by, Some(caller.user())).await?;
    Ok(task)
}

/// Writes down how the agent reads the message behind its task.
pub async fn classify(
    work: &mut Work,
    caller: &Caller,
    room: &Room,
    task: &Task,
    classification: Option<Classification>,
    feature: Option<Feature>,
) -> Result<(), Error> {
    let text = match (classification, feature) {
        (None, None) => return Ok(()),
        (Some(Classification::NewFeature), Some(feature)) => {
            if !(1..=200).contains(&feature.title.chars().count()) {
                return Err(Error::Invalid("a feature's title must be 1 to 200 characters".into()));
            }
            let parts = [feature.title, feature.description, feature.tech_specs];
            format!(
                "New feature: {}",
                parts.iter().filter(|part| !part.trim().is_empty()).cloned().collect::<Vec<_>>().join("\n\n")
            )
        }
        (_, Some(_)) => return Err(Error::Invalid("a title belongs to the classification new_feature".into())),
        (Some(Classification::NewFeature), None) => "Read as a new feature.".into(),
        (Some(Classification::Question), None) => "Read as a question.".into(),
        (Some(Classification::FollowUp), None) => "Read as a follow-up.".into(),
    };
    let said = Said {
        kind: MessageKind::Progress,
        sender: Sender::Role(task.role.clone()),
        user: Some(caller.user()),
        target: None,
        content: parse_content(&text)?,
        task: Some(task.id),
        queued: false,
        run: caller.run(),
    };
    say(work, room, said).await.map(drop)
}

/// Completes a task: by the role that holds it, or forced by a person who names no role.
pub async fn complete(
    work: &mut Work,
    caller: &Caller,
    room: &Room,
    role: Option<&Role>,
    id: TaskId,
) -> Result<Task, Error> {
    let mut task = find(&work.tx, room, id).await?;
    let (event, by) = match (role, caller) {
        (Some(role), _) => {
            rooms::check_role(caller, room, role)?;
            if task.role != *role {
                return Err(TaskError::NotFound.into());
            }
            (TaskEvent::Finished, standing(caller, &task))
        }
        (None, Caller::Person { .. }) => (TaskEvent::Forced, Standing::Other),
        (None, _) => return Err(Error::Forbidden("only a person may complete a task without naming its role")),
    };
    advance(work, room, &mut task, event, by, Some(caller.user())).await?;
    promote(work, room).await?;
    agents::offer(work, room, &task.role).await?;
    Ok(task)
}

/// Gives a claimed task back that could not be printed.
pub async fn release(work: &mut Work, caller: &Caller, room: &Room, id: TaskId) -> Result<Task, Error> {
    let mut task = find(&work.tx, room, id).await?;
    if standing(caller, &task) == Standing::Other {
        return Err(TaskError::NotTheHolder.into());
    }
    advance(work, room, &mut task, TaskEvent::Released, Standing::Holder, Some(caller.user())).await?;
    Ok(task)
}

/// Lets another member's words through to an agent of the caller.
pub async fn approve(work: &mut Work, user: UserId, room: &Room, id: TaskId) -> Result<Task, Error> {
    let mut task = find(&work.tx, room, id).await?;
    if wait::owner_of(&work.tx, room, &task.role, work.now).await? != Some(user) {
        return Err(Error::Forbidden("only the user of the agent's machine lets tasks through"));
    }
    if task.approved_by != Some(user) {
        task.approved_by = Some(user);
        chatroom_store::tasks::update(&work.tx, &task, None).await?;
        told(work, room, &task, "task.approved", Some(user)).await?;
        agents::offer(work, room, &task.role).await?;
    }
    Ok(task)
}

/// Writes a note on work under way; a note on a claimed task is its start.
pub async fn progress(
    work: &mut Work,
    caller: &Caller,
    room: &Room,
    role: &Role,
    content: &str,
) -> Result<Message, Error> {
    rooms::check_role(caller, room, role)?;
    rooms::pace(work, caller)?;
    room.is_open()?;
    let content = parse_content(content)?;
    let mut own = chatroom_store::tasks::active(&work.tx, room.id).await?.into_iter().find(|task| {
        task.role == *role && task.state != TaskState::Pending && standing(caller, task) == Standing::Holder
    });
    if let Some(task) = &mut own {
        advance(work, room, task, TaskEvent::Started, Standing::Holder, Some(caller.user())).await?;
    }
    let said = Said {
        kind: MessageKind::Progress,
        sender: Sender::Role(role.clone()),
        user: Some(caller.user()),
        target: None,
        content,
        task: own.map(|task| task.id),
        queued: false,
        run: caller.run(),
    };
    say(work, room, said).await
}

/// Gives back claims of waiters that were never started.
pub async fn release_unstarted(app: App) -> Result<(), Error> {
    let before = app.clock.now().plus_millis(-CLAIM_LIMIT_MS);
    if chatroom_store::tasks::unstarted(&app.reader(), before).await?.is_empty() {
        return Ok(());
    }
    let mut work = app.begin().await?;
    for mut task in chatroom_store::tasks::unstarted(&work.tx, before).await? {
        // A run tells by itself when it is over.
        if matches!(task.holder, Some(Holder::Wait(..))) {
            let room = rooms::of(&work.tx, task.room).await?;
            advance(&mut work, &room, &mut task, TaskEvent::Released, Standing::Other, None).await?;
            agents::offer(&mut work, &room, &task.role).await?;
        }
    }
    work.commit().await
}

/// Shows the tasks of a room.
pub async fn views(db: &impl Access, app: &App, room: &Room) -> Result<Vec<TaskView>, Error> {
    let mut tasks = chatroom_store::tasks::active(db, room.id).await?;
    tasks.extend(chatroom_store::tasks::completed(db, room.id, 100).await?);
    let mut owners = std::collections::HashMap::new();
    for role in &room.roles {
        let owner = wait::owner_of(db, room, role, app.clock.now()).await?;
        let shared = match owner {
            Some(owner) => wait::shared_by(db, room, role, owner).await?,
            None => false,
        };
        owners.insert(role.clone(), (owner, shared));
    }
    Ok(tasks
        .into_iter()
        .map(|task| {
            let held = owners
                .get(&task.role)
                .and_then(|(owner, shared)| owner.map(|owner| !may_reach(&task, owner, *shared)))
                .unwrap_or(false);
            let held = held && task.state == TaskState::Pending;
            TaskView { held_for_owner: held, ..view(&task) }
        })
        .collect())
}

/// Shows a task that is not held back.
pub fn view(task: &Task) -> TaskView {
    TaskView {
        task_id: task.id,
        role: task.role.clone(),
        state: task.state,
        message_id: task.message,
        position: task.position,
        author: task.author,
        held_for_owner: false,
        run_id: match &task.holder {
            Some(Holder::Run(run)) => Some(*run),
            Some(Holder::Wait(..)) | None => None,
        },
        created_at: task.created_at,
    }
}
