//! What waits to be told to an agent: shown, changed and taken back until the agent has it.
//!
//! The machine's journal decides: a prompt that is written down here may be with the agent already.

use chatroom_domain::agents::{Prompt, PromptPurpose, PromptState, Run};
use chatroom_domain::messages::parse_content;
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::agents::{PromptStage, PromptView, RunActivity};
use chatroom_protocol::api::daemon::{ChangePrompt, PromptFrom};
use chatroom_protocol::{ErrorCode, PromptId, Role, RoomId, UserId};
use chatroom_store::Access;

use super::steer::{peer, steerer, target};
use super::tell_by;
use crate::app::{App, Work};
use crate::error::{AgentError, Error};

/// Lists what the live run of a role is told next, and what it is told now.
pub async fn list(db: &impl Access, user: UserId, room: RoomId, role: &Role) -> Result<Vec<PromptView>, Error> {
    let run = match target(db, user, room, role).await {
        Ok((_, run)) => run,
        Err(Error::Agent(AgentError::NotRunning)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut views = Vec::new();
    for prompt in chatroom_store::prompts::open(db, run.id).await? {
        views.push(view(db, prompt).await?);
    }
    Ok(views)
}

/// Tells an agent something else than `user` told it before, as long as it does not have that.
pub async fn edit(
    app: &App,
    user: UserId,
    room: RoomId,
    role: &Role,
    id: PromptId,
    text: &str,
) -> Result<PromptView, Error> {
    let text = parse_content(text)?.trim().to_owned();
    let from = from(&app.reader(), &PromptPurpose::FollowUp { by: Some(user) }).await?;
    let change = ChangePrompt::Edit { text: text.clone(), from: Some(from) };
    let (mut work, room, prompt) = decided(app, user, room, role, id, &change).await?;
    chatroom_store::prompts::set_text(&work.tx, id, &text).await?;
    tell_by(&mut work, user, &room, role, "agent.follow-up", Some("edited".into())).await?;
    work.commit().await?;
    view(&app.reader(), Prompt { text, ..prompt }).await
}

/// Takes back what `user` told an agent, as long as it does not have that.
pub async fn withdraw(app: &App, user: UserId, room: RoomId, role: &Role, id: PromptId) -> Result<(), Error> {
    let (mut work, room, _) = decided(app, user, room, role, id, &ChangePrompt::Withdraw).await?;
    withdrawn(&mut work, id).await?;
    tell_by(&mut work, user, &room, role, "agent.follow-up", Some("withdrawn".into())).await?;
    work.commit().await
}

/// Notes that a prompt will not be given. Again is a no-op.
pub(crate) async fn withdrawn(work: &mut Work, id: PromptId) -> Result<(), Error> {
    Ok(chatroom_store::prompts::set_state(&work.tx, id, PromptState::Done).await?)
}

/// Says who a prompt is from, as people see it.
pub(crate) async fn from(db: &impl Access, purpose: &PromptPurpose) -> Result<PromptFrom, Error> {
    Ok(match purpose {
        PromptPurpose::Task(task) => PromptFrom::Task { task_id: *task },
        PromptPurpose::Reminder(task) => PromptFrom::Reminder { task_id: *task },
        PromptPurpose::FollowUp { by: None } => PromptFrom::FollowUp { by: None },
        PromptPurpose::FollowUp { by: Some(user) } => PromptFrom::FollowUp { by: steerer(db, *user).await? },
    })
}

/// Shows a prompt.
pub(crate) async fn view(db: &impl Access, prompt: Prompt) -> Result<PromptView, Error> {
    Ok(PromptView {
        prompt_id: prompt.id,
        from: from(db, &prompt.purpose).await?,
        text: prompt.text,
        stage: match prompt.state {
            PromptState::Pending | PromptState::Accepted => PromptStage::Waiting,
            PromptState::Sent | PromptState::Done => PromptStage::Given,
        },
        created_at: prompt.created_at,
    })
}

/// Returns a follow-up of `user` that may still be changed.
async fn waiting(
    db: &impl Access,
    user: UserId,
    room: RoomId,
    role: &Role,
    id: PromptId,
) -> Result<(Room, Run, Prompt), Error> {
    let (room, run) = target(db, user, room, role).await?;
    let prompt = chatroom_store::prompts::find(db, run.id, id).await?.ok_or(Error::NotFound)?;
    match (&prompt.purpose, prompt.state) {
        (PromptPurpose::FollowUp { by }, _) if by.is_none_or(|by| by == user) => {}
        _ => return Err(Error::Forbidden("only a follow-up of yours can be changed; the platform made this prompt")),
    }
    match prompt.state {
        PromptState::Pending | PromptState::Accepted => Ok((room, run, prompt)),
        PromptState::Sent | PromptState::Done => Err(AgentError::PromptSettled.into()),
    }
}

/// Lets the machine decide about a change; what it says yes to is to be written then.
async fn decided(
    app: &App,
    user: UserId,
    room: RoomId,
    role: &Role,
    id: PromptId,
    change: &ChangePrompt,
) -> Result<(Work, Room, Prompt), Error> {
    let work = app.begin().await?;
    let (room, run, prompt) = waiting(&work.tx, user, room, role, id).await?;
    // A run without a process was told nothing yet, and will be told what is written by then.
    if run.pid.is_none() && run.activity == RunActivity::Starting {
        return Ok((work, room, prompt));
    }
    drop(work);
    let told = peer(app, &run).await?.tell(&format!("/agents/{}/prompts/{id}", run.id), change).await;
    match told.map_err(Error::from) {
        Ok(()) => Ok((app.begin().await?, room, prompt)),
        Err(Error::Agent(AgentError::Refused(problem))) if problem.code == ErrorCode::NotFound => {
            let why = "its daemon is of an older version, which gives every prompt as it came; update it";
            Err(AgentError::MachineFailed(why.into()).into())
        }
        Err(error) => Err(error),
    }
}
