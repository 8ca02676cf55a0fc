//! Starting an agent: what was saved is checked, a run is written down, and the
//! machine gets everything it needs with the command.

use chatroom_domain::agents::{Agent, Desired, RUN_TOKEN_MS, Run};
use chatroom_domain::commands::{Command, StartPlan, plan_start};
use chatroom_domain::machines::{AgentConfig, Machine, MachineError};
use chatroom_domain::rooms::Room;
use chatroom_domain::secrets::TokenKind;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::api::commands::CommandType;
use chatroom_protocol::api::daemon::{Slot, StartRun};
use chatroom_protocol::{ConversationId, Role, RunId, UserId};

use super::{Sealed, at_once, draft, queue, seal};
use crate::agents;
use crate::app::Work;
use crate::error::Error;
use crate::rooms;
use crate::rooms::prompts::{Loop, role_prompt};
use crate::tasks::wait::present;

/// Which conversation a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Talk {
    /// A new one.
    New,
    /// That of the role's last run on the machine.
    Last,
}

/// Starts the agent of a role on a machine, or restarts it, as a person asks. A start while one is under way joins it.
pub(super) async fn start(
    work: &mut Work,
    user: UserId,
    machine: &Machine,
    kind: CommandType,
    room: &Room,
    role: &Role,
    talk: Talk,
) -> Result<Command, Error> {
    let slot = agents::slot(&work.tx, room.id, role).await?;
    let live = agents::live_run(&work.tx, room.id, role).await?;
    if live.as_ref().is_some_and(|run| run.machine != machine.id) {
        return Err(MachineError::RunsElsewhere.into());
    }
    let mut command = draft(work, user, machine, kind, Some((room, role)))?;
    let replaces = match plan_start(kind, slot.desired, live.as_ref().map(|run| (run.id, run.activity))) {
        StartPlan::Joins(result) => {
            command.run = live.map(|run| run.id);
            return at_once(work, command, result).await;
        }
        StartPlan::Begins { replaces } => replaces,
    };
    // Its crashes count from here on.
    let slot = Agent { counted_from: work.now, ..slot };
    begin(work, machine, room, slot, &mut command, replaces, talk).await?;
    Ok(command)
}

/// Starts an agent that stopped by itself once more, with what is saved for it now.
pub(crate) async fn again(work: &mut Work, machine: &Machine, room: &Room, slot: Agent) -> Result<(), Error> {
    let role = slot.role.clone();
    let replaces = agents::live_run(&work.tx, room.id, &role).await?.is_some();
    let mut command = draft(work, machine.user, machine, CommandType::StartAgent, Some((room, &role)))?;
    begin(work, machine, room, slot, &mut command, replaces, Talk::New).await
}

/// Checks what is saved and writes down all that makes the machine start it. What is refused has changed nothing.
async fn begin(
    work: &mut Work,
    machine: &Machine,
    room: &Room,
    slot: Agent,
    command: &mut Command,
    replaces: bool,
    talk: Talk,
) -> Result<(), Error> {
    room.is_open()?;
    let role = slot.role.clone();
    let config = chatroom_store::configs::find(&work.tx, machine.id, room.id, &role)
        .await?
        .ok_or(MachineError::NotConfigured)?;
    check(machine, &config)?;
    let conversation = match talk {
        Talk::New => None,
        Talk::Last => Some(last(work, machine, &slot, &config).await?),
    };
    let run = Run { conversation, ..run(work, command, machine, config)? };
    command.run = Some(run.id);
    write(work, slot, command, &run, room, replaces).await?;
    let outcome = Some(run.tool.to_string());
    agents::tell(work, room, &role, "agent.starting", Some(run.id), outcome).await?;
    agents::offer(work, room, &role).await
}

/// Returns the conversation of the role's last run, if a run as it is saved now can go on with it.
///
/// One process has it at a time: a slot has one run, which is over before the next begins.
async fn last(work: &Work, machine: &Machine, slot: &Agent, config: &AgentConfig) -> Result<ConversationId, Error> {
    let last = match slot.run {
        Some(run) => chatroom_store::runs::of(&work.tx, run).await?,
        None => None,
    };
    let refused = |why: &str| MachineError::CannotResume(why.to_owned());
    let last = last.filter(|run| run.machine == machine.id);
    let last = last.ok_or_else(|| refused("this role has not run on this machine"))?;
    if config.form == RunForm::Terminal || last.form == RunForm::Terminal {
        return Err(refused("what runs in a terminal is resumed there, by the program itself").into());
    }
    if last.tool != config.tool {
        return Err(MachineError::CannotResume(format!("it was one of {}, not of {}", last.tool, config.tool)).into());
    }
    if last.working_dir != config.working_dir {
        return Err(refused("it was in another folder than is saved now").into());
    }
    Ok(last.conversation.ok_or_else(|| refused("the last run has not told of one"))?)
}

/// Checks what was saved against what the machine has.
fn check(machine: &Machine, config: &AgentConfig) -> Result<(), MachineError> {
    if !machine.has(config.tool) {
        return Err(MachineError::ToolMissing(config.tool));
    }
    if config.mode == PermissionMode::Ask && !config.tool.can_ask() {
        return Err(MachineError::CannotAsk(config.tool));
    }
    Ok(())
}

fn run(work: &Work, command: &Command, machine: &Machine, config: AgentConfig) -> Result<Run, Error> {
    Ok(Run {
        id: work.app.id(RunId::from_parts)?,
        room: config.room,
        role: config.role,
        machine: machine.id,
        user: machine.user,
        command: command.id,
        tool: config.tool,
        model: config.model,
        working_dir: config.working_dir,
        mode: config.mode,
        form: config.form,
        activity: RunActivity::Starting,
        pid: None,
        start_time: None,
        conversation: None,
        awaiting_handoff: false,
        created_at: work.now,
        exited_at: None,
        exit: None,
        crashed: false,
        trouble: None,
    })
}

/// Writes what is wanted, the run and the command that makes it.
async fn write(
    work: &mut Work,
    slot: Agent,
    command: &Command,
    run: &Run,
    room: &Room,
    replaces: bool,
) -> Result<(), Error> {
    // Sharing was the word of the user it ran for, and holds for nobody else's machine.
    let same_user = agents::owner(&work.tx, room.id, &run.role).await? == Some(run.user);
    let wanted = Agent {
        desired: Desired::Running,
        machine: Some(run.machine),
        run: Some(run.id),
        shared: slot.shared && same_user,
        gave_up: None,
        restart_at: None,
        ..slot
    };
    chatroom_store::agents::put(&work.tx, &wanted).await?;

    let token = work.app.mint(TokenKind::Run)?;
    let token_until = work.now.plus_millis(RUN_TOKEN_MS);
    chatroom_store::runs::insert(&work.tx, run, &token.hash(), token_until).await?;
    let present = present(&work.tx, room, work.now).await?;
    let instructions = rooms::instructions(&work.tx, room, &run.role, run.user).await?;
    let start = StartRun {
        run_id: run.id,
        slot: Slot { chatroom_id: room.id, role: run.role.clone() },
        tool: run.tool,
        model: run.model.clone(),
        conversation: run.conversation.clone(),
        working_dir: run.working_dir.clone(),
        mode: run.mode,
        form: run.form,
        run_token: token.expose().to_owned(),
        system_prompt: role_prompt(room, &run.role, &present, Loop::of_run(run.form), instructions),
    };
    let sealed = seal(&work.app, command.id, &Sealed { start, replaces })?;
    queue(work, command, sealed).await
}
