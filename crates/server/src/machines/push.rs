//! Pushing what a machine has not taken yet down its tunnel.
//!
//! Work is pushed in lanes: one lane per agent keeps starts and stops in order,
//! one per run keeps prompts in order, and a ping has a lane of its own, so that
//! a slow start never delays it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use chatroom_domain::access::may_reach;
use chatroom_domain::agents::{Prompt, PromptPurpose, PromptState};
use chatroom_domain::attachments::Attachment;
use chatroom_domain::commands::{Command, CommandEvent};
use chatroom_domain::tasks::{Holder, Task};
use chatroom_protocol::api::commands::CommandType;
use chatroom_protocol::api::daemon::{CommandReceipt, PromptFile, PromptReceipt, PushPrompt};
use chatroom_protocol::api::tasks::TaskState;
use chatroom_protocol::{CommandId, MachineId, Role, RoomId, RunId};
use chatroom_store::commands::Pending;
use chatroom_tunnel::Link;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::call::{CallError, Peer};
use super::credential;
use crate::agents;
use crate::app::{App, Topic};
use crate::commands;
use crate::error::Error;
use crate::rooms;

/// How long a lane rests after a push that failed.
const REST: Duration = Duration::from_secs(2);

/// What is pushed one after another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    Agent(RoomId, Role),
    Run(RunId),
    Alone(CommandId),
}

type Push<'a> = BoxFuture<'a, (Lane, Result<Pushed, Error>)>;

/// Whether a push may have left something to push that nobody wakes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// Nothing: a command is settled, and what follows from it wakes.
    Settled,
    /// Itself, or the next prompt of its run.
    LookAgain,
}

/// What there is to push.
#[derive(Default)]
struct Found<'a> {
    pushes: Vec<Push<'a>>,
    /// Whether there is more, in lanes that are busy.
    more: bool,
}

/// Pushes whatever there is to push, for as long as it is polled.
///
/// Nothing awaited in the loop itself may write: a push that has begun a write
/// only moves on while the loop polls it.
pub(super) async fn push(app: &App, id: MachineId, link: &Link) -> Result<Infallible, Error> {
    let mut changes = app.wake.subscribe(Topic::Machine(id));
    let mut busy = HashSet::new();
    let mut pushes: FuturesUnordered<Push<'_>> = FuturesUnordered::new();
    let mut more = false;
    let mut look_again = true;
    loop {
        if look_again {
            changes.borrow_and_update();
            let found = Box::pin(look(app, id, link, &mut busy)).await?;
            pushes.extend(found.pushes);
            more = found.more;
        }
        look_again = tokio::select! {
            woken = changes.changed() => match woken {
                Ok(()) => true,
                Err(_) => return Err(Error::Internal("nobody wakes this machine any more".into())),
            },
            Some((lane, done)) = pushes.next(), if !pushes.is_empty() => {
                busy.remove(&lane);
                done? == Pushed::LookAgain || more
            }
        };
    }
}

/// Returns the pushes of lanes that are not busy, and makes them so.
async fn look<'a>(app: &'a App, id: MachineId, link: &Link, busy: &mut HashSet<Lane>) -> Result<Found<'a>, Error> {
    let reader = app.reader();
    let mut found = Found::default();
    let commands = chatroom_store::commands::pending(&reader, id);
    let prompts = chatroom_store::prompts::pending(&reader, id);
    let (commands, prompts) = tokio::try_join!(commands, prompts)?;
    if commands.is_empty() && prompts.is_empty() {
        return Ok(found);
    }
    // Read each time: the credential may have been replaced while the tunnel stayed open.
    let proof = match commands.first().and_then(|pending| pending.platform_token_sealed.clone()) {
        Some(sealed) => credential::open(app, id, sealed)?,
        None => credential::proof(app, &reader, id).await?,
    };
    let peer = Peer { link: link.clone(), token: proof.token };
    for Pending { command, push_sealed, .. } in commands {
        let peer = peer.clone();
        let lane = match &command.slot {
            Some((room, role)) => Lane::Agent(*room, role.clone()),
            None => Lane::Alone(command.id),
        };
        if busy.insert(lane.clone()) {
            found.pushes.push(Box::pin(async move { (lane, push_command(app, &peer, command, &push_sealed).await) }));
        } else {
            found.more = true;
        }
    }
    for prompt in prompts {
        let peer = peer.clone();
        let lane = Lane::Run(prompt.run);
        if busy.insert(lane.clone()) {
            found.pushes.push(Box::pin(async move { (lane, push_prompt(app, &peer, prompt).await) }));
        } else {
            found.more = true;
        }
    }
    Ok(found)
}

async fn push_command(app: &App, peer: &Peer, command: Command, sealed: &str) -> Result<Pushed, Error> {
    let now = app.clock.now();
    if command.is_overdue(now) {
        return settle(app, &command, [CommandEvent::DeadlinePassed]).await;
    }
    let mut push = match commands::push_body(app, &command, sealed, now) {
        Ok(push) => push,
        Err(error) => {
            tracing::error!(command.id = %command.id, %error, "a command could not be read back");
            let why = "the server could not read what it had kept for this; send it again".into();
            return settle(app, &command, [CommandEvent::Refused(why)]).await;
        }
    };
    if command.slot.is_some() && push.kind != CommandType::StartAgent.as_str() {
        push.by = agents::steer::steerer(&app.reader(), command.sent_by).await?;
    }
    match peer.post::<CommandReceipt>("/commands", &push).await {
        Ok(CommandReceipt { outcome, .. }) => {
            let outcome = outcome.and_then(|outcome| commands::heard(outcome.status, outcome.result));
            let events = std::iter::once(CommandEvent::Received).chain(outcome);
            settle(app, &command, events).await
        }
        Err(error) if error.is_final() => {
            let why = format!("the machine refused it: {error}");
            settle(app, &command, [CommandEvent::Refused(why)]).await
        }
        Err(error) => {
            tracing::info!(command.id = %command.id, %error, "a command could not be pushed; it will be again");
            rest(peer, &error).await;
            Ok(Pushed::LookAgain)
        }
    }
}

async fn settle(app: &App, command: &Command, events: impl IntoIterator<Item = CommandEvent>) -> Result<Pushed, Error> {
    let mut work = app.begin().await?;
    commands::settle(&mut work, command.machine, command.id, events).await?;
    work.commit().await?;
    Ok(Pushed::Settled)
}

async fn push_prompt(app: &App, peer: &Peer, prompt: Prompt) -> Result<Pushed, Error> {
    if !still_wanted(app, &prompt).await? {
        return drop_prompt(app, &prompt).await;
    }
    let path = format!("/agents/{}/prompts", prompt.run);
    let from = Some(agents::queue::from(&app.reader(), &prompt.purpose).await?);
    let files = files(app, &prompt).await?;
    let push = PushPrompt { prompt_id: prompt.id, text: prompt.text.clone(), from, files };
    match peer.post::<PromptReceipt>(&path, &push).await {
        Ok(_) => {
            let mut work = app.begin().await?;
            agents::life::accepted(&mut work, prompt.run, prompt.id).await?;
            work.commit().await?;
            Ok(Pushed::LookAgain)
        }
        Err(error) if error.is_final() => {
            tracing::info!(run.id = %prompt.run, %error, "a machine refused a prompt");
            drop_prompt(app, &prompt).await
        }
        Err(error) => {
            tracing::info!(run.id = %prompt.run, %error, "a prompt could not be pushed; it will be again");
            rest(peer, &error).await;
            Ok(Pushed::LookAgain)
        }
    }
}

/// Returns what a machine is to bring along with a prompt: what is beside the message of a task.
async fn files(app: &App, prompt: &Prompt) -> Result<Vec<PromptFile>, Error> {
    let reader = app.reader();
    let PromptPurpose::Task(task) = prompt.purpose else { return Ok(Vec::new()) };
    let Some(run) = chatroom_store::runs::of(&reader, prompt.run).await? else { return Ok(Vec::new()) };
    let Some(task) = chatroom_store::tasks::find(&reader, run.room, task).await? else { return Ok(Vec::new()) };
    let beside = chatroom_store::attachments::of_messages(&reader, &[task.message]).await?;
    let file = |attachment: Attachment| PromptFile {
        attachment_id: attachment.id,
        name: attachment.name.plain(),
        size: attachment.size,
    };
    Ok(beside.into_iter().map(file).collect())
}

/// Returns whether a prompt is still about what it was made for.
async fn still_wanted(app: &App, prompt: &Prompt) -> Result<bool, Error> {
    let reader = app.reader();
    let (id, held) = match &prompt.purpose {
        PromptPurpose::FollowUp { .. } => return Ok(true),
        PromptPurpose::Task(task) => (*task, false),
        PromptPurpose::Reminder(task) => (*task, true),
    };
    let Some(run) = chatroom_store::runs::of(&reader, prompt.run).await? else {
        return Ok(false);
    };
    let task: Option<Task> = chatroom_store::tasks::find(&reader, run.room, id).await?;
    let shared = agents::slot(&reader, run.room, &run.role).await?.shared;
    Ok(task.is_some_and(|task| {
        let by_run = task.holder == Some(Holder::Run(run.id));
        match task.state {
            // The agent may have been shared when this was written, and not be any more.
            TaskState::Pending => !held && may_reach(&task, run.user, shared),
            TaskState::Acknowledged | TaskState::InProgress => by_run,
            TaskState::Completed => false,
        }
    }))
}

async fn drop_prompt(app: &App, prompt: &Prompt) -> Result<Pushed, Error> {
    let mut work = app.begin().await?;
    chatroom_store::prompts::set_state(&work.tx, prompt.id, PromptState::Done).await?;
    if let Some(run) = chatroom_store::runs::of(&work.tx, prompt.run).await? {
        let room = rooms::of(&work.tx, run.room).await?;
        agents::offer(&mut work, &room, &run.role).await?;
    }
    work.commit().await?;
    Ok(Pushed::LookAgain)
}

async fn rest(peer: &Peer, error: &CallError) {
    if error.is_distrust() {
        // It does not know us any more; it dials again with what it has now.
        peer.link.close();
    }
    tokio::time::sleep(REST).await;
}
