//! Waiting for a task: one waiter per role, the newer supersedes.
//!
//! A wait is a question the server holds for up to 25 s. It subscribes before it
//! looks, so what is written in between wakes it. The claim is repeated to the
//! connection that made it: an answer that got lost on the way costs nothing.

use std::time::Duration;

use chatroom_domain::access::{Caller, may_reach};
use chatroom_domain::agents::Run;
use chatroom_domain::messages::Message;
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::{Holder, Standing, Task, TaskEvent, Waiter};
use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::api::tasks::{Join, Joined, TaskState, WaitOutcome};
use chatroom_protocol::{Role, Timestamp, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;

use super::{advance, claim, promote, view};
use crate::agents;
use crate::app::{App, Topic, Work};
use crate::error::{AgentError, Error};
use crate::rooms::{self, prompts};

/// How long one question is held.
const HOLD: Duration = Duration::from_secs(25);

/// Makes the caller the waiter of a role: a person in a shell, or an agent in the terminal of its run.
pub async fn join(work: &mut Work, caller: &Caller, room: &Room, role: &Role, body: Join) -> Result<Joined, Error> {
    room.role(role)?;
    room.is_open()?;
    may_wait(caller, room, role)?;
    let user = caller.user();
    let own_run = caller.run();
    let fits =
        (20..=64).contains(&body.connection_id.len()) && body.connection_id.chars().all(|c| c.is_ascii_alphanumeric());
    if !fits {
        return Err(Error::Invalid("connectionId must be 20 to 64 letters and digits".into()));
    }
    let live = agents::live_run(&work.tx, room.id, role).await?;
    let machine = match (&live, own_run) {
        (Some(run), Some(own)) if run.id == own => run.machine,
        // A newer run has its role.
        (_, Some(_)) => return Err(AgentError::RoleTaken.into()),
        (_, None) => body.machine_id.ok_or_else(|| Error::Invalid("machineId is missing".into()))?,
    };
    if let Some(run) = live.filter(|run| Some(run.id) != own_run) {
        if !body.take_over || run.user != user {
            return Err(AgentError::RoleTaken.into());
        }
        crate::commands::stop_slot(work, user, room, role).await?;
    }
    release_older(work, user, room, role).await?;
    let waiter = Waiter {
        room: room.id,
        role: role.clone(),
        connection: body.connection_id,
        user,
        machine,
        joined_at: work.now,
        seen_at: work.now,
        ended_at: None,
    };
    chatroom_store::waiters::put(&work.tx, &waiter).await?;
    let joined = NewEvent {
        kind: "role.joined",
        user: Some(user),
        room: Some(room.id),
        role: Some(role.clone()),
        ..NewEvent::default()
    };
    work.event(room.instance, joined).await?;
    if *role == room.entry {
        promote(work, room).await?;
    }
    let present = present(&work.tx, room, work.now).await?;
    let instructions = rooms::instructions(&work.tx, room, role, user).await?;
    Ok(Joined { prompt: prompts::role_prompt(room, role, &present, prompts::Loop::Waiting, instructions) })
}

/// Ends the wait of a run that is over.
pub(crate) async fn leave(work: &mut Work, run: &Run) -> Result<(), Error> {
    let waiter = chatroom_store::waiters::find(&work.tx, run.room, &run.role).await?;
    if let Some(waiter) = waiter.filter(|waiter| waiter.user == run.user && waiter.machine == run.machine) {
        chatroom_store::waiters::put(&work.tx, &Waiter { ended_at: Some(work.now), ..waiter }).await?;
    }
    Ok(())
}

/// Gives back what an older wait of the same person left unfinished: unfinished work comes before new.
async fn release_older(work: &mut Work, user: UserId, room: &Room, role: &Role) -> Result<(), Error> {
    for mut task in chatroom_store::tasks::active(&work.tx, room.id).await? {
        let theirs = matches!(&task.holder, Some(Holder::Wait(holder, _)) if *holder == user);
        if theirs && task.role == *role && task.state != TaskState::Pending {
            advance(work, room, &mut task, TaskEvent::Released, Standing::Other, Some(user)).await?;
        }
    }
    Ok(())
}

/// Refuses who is given its tasks.
fn may_wait(caller: &Caller, room: &Room, role: &Role) -> Result<(), Error> {
    rooms::check_role(caller, room, role)?;
    match caller {
        Caller::Run { form: RunForm::Managed, .. } => Err(AgentError::GivenTasks.into()),
        Caller::Machine { .. } => Err(Error::Forbidden("a machine does not act in rooms")),
        Caller::Run { .. } | Caller::Person { .. } => Ok(()),
    }
}

/// Waits for a task; returns after 25 s at the latest.
pub async fn wait(
    app: &App,
    caller: &Caller,
    room: &Room,
    role: &Role,
    connection: &str,
) -> Result<WaitOutcome, Error> {
    room.role(role)?;
    may_wait(caller, room, role)?;
    let user = caller.user();
    let mut changes = app.wake.subscribe(Topic::Room(room.id));
    let mut theirs = app.wake.subscribe(Topic::User(user));
    let until = tokio::time::Instant::now() + HOLD;
    let mut first = true;
    loop {
        // Boxed: thousands wait, and what they looked with is not kept meanwhile.
        let looked = Box::pin(look(app, caller, room, role, connection, first));
        if let Some(outcome) = looked.await? {
            return Ok(outcome);
        }
        first = false;
        tokio::select! {
            woken = changes.changed() => if woken.is_err() { return Ok(WaitOutcome::Reconnect) },
            woken = theirs.changed() => if woken.is_err() { return Ok(WaitOutcome::Reconnect) },
            () = app.stopping.cancelled() => return Ok(WaitOutcome::Reconnect),
            () = tokio::time::sleep_until(until) => return Ok(WaitOutcome::Nothing),
        }
    }
}

/// Looks once. Reads first: a thousand waiters woken for nothing must not queue up to write.
async fn look(
    app: &App,
    caller: &Caller,
    room: &Room,
    role: &Role,
    connection: &str,
    first: bool,
) -> Result<Option<WaitOutcome>, Error> {
    let reader = app.reader();
    let user = caller.user();
    let holder = match caller {
        Caller::Person { .. } => Holder::Wait(user, connection.to_owned()),
        Caller::Run { run, .. } => Holder::Run(*run),
        Caller::Machine { .. } => return Err(Error::Forbidden("a machine does not act in rooms")),
    };
    // Asked at once: each answer comes from another thread, or another process.
    let (may, waiter, active) = tokio::join!(
        may_go_on(app, caller, room),
        chatroom_store::waiters::find(&reader, room.id, role),
        chatroom_store::tasks::active(&reader, room.id),
    );
    may?;
    match waiter? {
        Some(waiter) if waiter.user != user || waiter.connection != connection => {
            return Ok(Some(WaitOutcome::Superseded { at: waiter.joined_at }));
        }
        Some(_) => {}
        None => return Err(AgentError::Superseded.into()),
    }
    let active = active?;
    let there = match claimed(&active, &holder) {
        Some(task) => Some(task),
        None => next_for(&reader, room, role, user, &active).await?,
    };
    if !first && there.is_none() {
        return Ok(None);
    }
    // Read beside the change, not inside: others wait for their turn to write.
    let early = async {
        match there {
            Some(task) => words(&reader, room, task, app.clock.now()).await.map(Some),
            None => Ok(None),
        }
    };
    let (taken, early) = tokio::join!(take(app, caller, room, role, connection, &holder), early);
    let task = match taken? {
        Taken::Task(task) => task,
        Taken::Nothing => return Ok(None),
        Taken::Superseded(at) => return Ok(Some(WaitOutcome::Superseded { at })),
    };
    // A claim whose answer is lost is answered again.
    let words = match early? {
        Some(words) if words.message.id == task.message => words,
        _ => words(&reader, room, &task, app.clock.now()).await?,
    };
    let prompt = prompts::task_prompt(room, role, &task, &words.message, &words.present, prompts::Loop::Waiting);
    Ok(Some(WaitOutcome::Task { task: view(&task), prompt }))
}

/// What a connection that asks is given.
enum Taken {
    Task(Box<Task>),
    Nothing,
    /// Nothing: another connection is the waiter of the role.
    Superseded(Timestamp),
}

/// Notes that a connection asks, and claims the task it is to have.
async fn take(
    app: &App,
    caller: &Caller,
    room: &Room,
    role: &Role,
    connection: &str,
    holder: &Holder,
) -> Result<Taken, Error> {
    let user = caller.user();
    let mut work = app.begin().await?;
    if !chatroom_store::waiters::seen(&work.tx, room.id, role, connection, work.now).await? {
        return Ok(Taken::Superseded(work.now));
    }
    let active = chatroom_store::tasks::active(&work.tx, room.id).await?;
    let task = match claimed(&active, holder) {
        Some(task) => Some(task.clone()),
        None if agents::live_run(&work.tx, room.id, role).await?.is_some_and(|run| Some(run.id) != caller.run()) => {
            None
        }
        None => match next_for(&work.tx, room, role, user, &active).await? {
            Some(task) => Some(claim(&mut work, room, task.clone(), holder.clone(), Some(user)).await?),
            None => None,
        },
    };
    work.commit().await?;
    Ok(task.map_or(Taken::Nothing, |task| Taken::Task(Box::new(task))))
}

/// What a waiter is told of a task beside the task itself.
struct Words {
    message: Message,
    present: Vec<Role>,
}

async fn words(db: &impl Access, room: &Room, task: &Task, now: Timestamp) -> Result<Words, Error> {
    let (message, present) =
        tokio::join!(chatroom_store::messages::find(db, room.id, task.message), present(db, room, now));
    let message = message?.ok_or_else(|| Error::Internal(format!("{} has lost its message", task.id)))?;
    Ok(Words { message, present: present? })
}

/// Refuses a caller whose sign-in, run or membership ended while its wait is held.
async fn may_go_on(app: &App, caller: &Caller, room: &Room) -> Result<(), Error> {
    let (reader, now) = (app.reader(), app.clock.now());
    let live = match caller {
        Caller::Person { session, user } => {
            if chatroom_store::sessions::lets_into(&reader, *session, *user, room.instance, now).await? {
                return Ok(());
            }
            chatroom_store::sessions::find(&reader, *session, *user, now).await?.is_some()
        }
        Caller::Run { run, .. } => chatroom_store::runs::of(&reader, *run).await?.is_some_and(|run| run.live()),
        Caller::Machine { .. } => false,
    };
    if !live {
        return Err(Error::NotSignedIn);
    }
    rooms::find(&reader, room.id, caller.user()).await.map(drop)
}

/// Returns the task this very connection has claimed and not begun, or a run has not handed on: unfinished work comes
/// before new.
fn claimed<'a>(active: &'a [Task], holder: &Holder) -> Option<&'a Task> {
    let of_run = matches!(holder, Holder::Run(_));
    active.iter().filter(|task| task.holder.as_ref() == Some(holder)).find(|task| match task.state {
        TaskState::Acknowledged => true,
        TaskState::InProgress => of_run,
        TaskState::Pending | TaskState::Completed => false,
    })
}

/// Returns the next of a room's active tasks that is one of this role and may reach an agent of `owner`.
async fn next_for<'a>(
    db: &impl Access,
    room: &Room,
    role: &Role,
    owner: UserId,
    active: &'a [Task],
) -> Result<Option<&'a Task>, Error> {
    let mut pending = active.iter().filter(|task| task.state == TaskState::Pending && task.role == *role);
    let Some(first) = pending.clone().next() else { return Ok(None) };
    if may_reach(first, owner, false) {
        return Ok(Some(first));
    }
    let shared = shared_by(db, room, role, owner).await?;
    Ok(pending.find(|task| may_reach(task, owner, shared)))
}

/// Returns the person an agent of this role acts for right now: its run's user, else the waiter's, else its
/// machine's.
pub async fn owner_of(db: &impl Access, room: &Room, role: &Role, now: Timestamp) -> Result<Option<UserId>, Error> {
    if let Some(run) = agents::live_run(db, room.id, role).await? {
        return Ok(Some(run.user));
    }
    if let Some(waiter) = chatroom_store::waiters::find(db, room.id, role).await?
        && waiter.present(now)
    {
        return Ok(Some(waiter.user));
    }
    agents::owner(db, room.id, role).await
}

/// Returns whether `owner` lets other members act through the agent of a role. Sharing is the word of the agent's
/// user: it opens no other person's shell.
pub async fn shared_by(db: &impl Access, room: &Room, role: &Role, owner: UserId) -> Result<bool, Error> {
    let slot = agents::slot(db, room.id, role).await?;
    Ok(slot.shared && agents::owner(db, room.id, role).await? == Some(owner))
}

/// Returns the roles somebody works or waits in right now.
pub async fn present(db: &impl Access, room: &Room, now: Timestamp) -> Result<Vec<Role>, Error> {
    let (waiters, live) = tokio::try_join!(
        chatroom_store::waiters::of_room(db, room.id),
        chatroom_store::runs::live_roles(db, room.id),
    )?;
    let waits = |role: &Role| waiters.iter().any(|waiter| waiter.role == *role && waiter.present(now));
    Ok(room.roles.iter().filter(|role| waits(role) || live.contains(role)).cloned().collect())
}
