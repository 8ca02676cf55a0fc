//! Agents as people see them. What concerns a person's machine alone is shown to that person alone.

use chatroom_domain::agents::{Agent, CRASH_WINDOW_MS, Desired, Known, Outside, Permission, Run, status};
use chatroom_domain::machines::{AgentConfig, Machine};
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::{Holder, Task, Waiter};
use chatroom_protocol::api::agents::{AgentStatus, AgentView, PermissionView, RunActivity, RunForm, RunView};
use chatroom_protocol::api::tasks::TaskState;
use chatroom_protocol::{Role, Timestamp, UserId};
use chatroom_store::Access;

use super::slot;
use crate::error::Error;
use crate::machines;

/// Shows the agents of a room to one of its members.
pub async fn views(db: &impl Access, room: &Room, viewer: UserId, now: Timestamp) -> Result<Vec<AgentView>, Error> {
    let configs = chatroom_store::configs::of_room(db, room.id, viewer).await?;
    let waiters = chatroom_store::waiters::of_room(db, room.id).await?;
    let active = chatroom_store::tasks::active(db, room.id).await?;
    let mut views = Vec::new();
    for role in &room.roles {
        let outside = outside(role, &waiters, &active, now);
        let mut view = one(db, room, role, viewer, outside, &active, now).await?;
        let own = configs.iter().filter(|config| config.role == *role);
        view.restart_needed = own.clone().any(|config| runs_otherwise(&view, config));
        view.configs = own.cloned().map(machines::configs::view).collect();
        views.push(view);
    }
    Ok(views)
}

/// Returns whether a live run was started with something else than what is saved for it now.
fn runs_otherwise(view: &AgentView, config: &AgentConfig) -> bool {
    view.run.as_ref().is_some_and(|run| {
        run.exited_at.is_none()
            && run.machine_id == config.machine
            && (run.tool, &run.model, &run.working_dir, run.mode, run.form)
                != (config.tool, &config.model, &config.working_dir, config.mode, config.form)
    })
}

/// Returns who works a role from a shell, as far as its waits and its tasks under way tell.
pub(crate) fn outside(role: &Role, waiters: &[Waiter], active: &[Task], now: Timestamp) -> Outside {
    let in_a_shell = |task: &Task| {
        task.role == *role && task.state != TaskState::Pending && matches!(task.holder, Some(Holder::Wait(..)))
    };
    if active.iter().any(in_a_shell) {
        Outside::Working
    } else if waiters.iter().any(|waiter| waiter.role == *role && waiter.present(now)) {
        Outside::Waiting
    } else {
        Outside::Nobody
    }
}

/// Returns the one word for what the agent of a slot is doing.
pub(crate) fn status_of(
    slot: &Agent,
    machine: Option<&Machine>,
    run: Option<&Run>,
    outside: Outside,
    active: &[Task],
    now: Timestamp,
) -> AgentStatus {
    // In a terminal only a wait tells that it rests: a screen that stands still does not.
    let rests = |run: &Run| {
        let holds = |task: &Task| task.state != TaskState::Pending && task.holder == Some(Holder::Run(run.id));
        run.form == RunForm::Terminal
            && run.activity == RunActivity::Working
            && outside == Outside::Waiting
            && !active.iter().any(holds)
    };
    status(Known {
        desired: slot.desired,
        online: machine.is_some_and(|machine| machine.online(now)),
        activity: run.map(|run| if rests(run) { RunActivity::Idle } else { run.activity }),
        awaiting_handoff: run.is_some_and(|run| run.awaiting_handoff),
        gave_up: slot.gave_up.is_some(),
        outside,
    })
}

async fn one(
    db: &impl Access,
    room: &Room,
    role: &Role,
    viewer: UserId,
    outside: Outside,
    active: &[Task],
    now: Timestamp,
) -> Result<AgentView, Error> {
    let slot = slot(db, room.id, role).await?;
    let machine = match slot.machine {
        Some(id) => chatroom_store::machines::of(db, id).await?,
        None => None,
    };
    let run = match slot.run {
        Some(id) => chatroom_store::runs::of(db, id).await?,
        None => None,
    };
    let status = status_of(&slot, machine.as_ref(), run.as_ref(), outside, active, now);
    let own = machine.as_ref().is_some_and(|machine| machine.user == viewer);
    let asked = match &run {
        Some(run) if run.live() => chatroom_store::permissions::open(db, run.id).await?,
        _ => Vec::new(),
    };
    Ok(AgentView {
        role: role.clone(),
        status,
        reason: reason(status, &slot, machine.as_ref(), run.as_ref(), &asked, own, now),
        offline_since: machine.as_ref().filter(|_| status == AgentStatus::Offline).map(|machine| machine.last_seen_at),
        restart_at: slot.restart_at.filter(|_| status == AgentStatus::Starting),
        crashes: crashes(db, &slot, now).await?,
        machine_id: slot.machine,
        run: run.map(|run| run_view(run, viewer)),
        permissions: if own { asked.into_iter().map(permission).collect() } else { Vec::new() },
        shared: slot.shared,
        restart_needed: false,
        configs: Vec::new(),
    })
}

/// Returns how often an agent stopped by itself, as far as that counts.
async fn crashes(db: &impl Access, slot: &Agent, now: Timestamp) -> Result<u64, Error> {
    if slot.run.is_none() {
        return Ok(0);
    }
    let since = now.plus_millis(-CRASH_WINDOW_MS).max(slot.counted_from);
    Ok(chatroom_store::runs::crashes(db, slot.room, &slot.role, since).await?)
}

fn reason(
    status: AgentStatus,
    slot: &Agent,
    machine: Option<&Machine>,
    run: Option<&Run>,
    asked: &[Permission],
    own: bool,
    now: Timestamp,
) -> Option<String> {
    match status {
        AgentStatus::Offline => {
            let machine = machine?;
            let name = if own { machine.alias.as_str() } else { "its machine" };
            let since = ago(now.millis_since(machine.last_seen_at));
            let wish = if slot.desired == Desired::Stopped { "; it stops when that comes back" } else { "" };
            Some(format!("{name} was last seen {since} ago{wish}"))
        }
        AgentStatus::GaveUp if own => slot.gave_up.clone(),
        AgentStatus::GaveUp => Some("the user of its machine sees why".to_owned()),
        AgentStatus::Starting => {
            let wait = slot.restart_at?.millis_since(now).max(0) / 1000;
            let when = if wait == 0 { "now".to_owned() } else { format!("in {wait} s") };
            let why = run.and_then(|run| run.exit.as_ref()).filter(|_| own);
            Some(why.map_or_else(
                || format!("it stopped by itself and is started again {when}"),
                |why| format!("it stopped by itself and is started again {when}: {why}"),
            ))
        }
        AgentStatus::Waiting | AgentStatus::AwaitingHandoff => {
            let trouble = run?.trouble.as_ref()?;
            let plain = "its last turn ended with an error";
            Some(if own { format!("{plain}: {trouble}") } else { plain.to_owned() })
        }
        AgentStatus::NeedsYou if own => asked.first().map(|question| question.title.clone()),
        AgentStatus::NeedsYou => Some("waits for the user of its machine".to_owned()),
        AgentStatus::Working => {
            let in_terminal = run.is_some_and(|run| run.form == RunForm::Terminal && run.live());
            in_terminal.then(|| "in a terminal; attach to it to see what it does".to_owned())
        }
        AgentStatus::Stopped | AgentStatus::Stopping | AgentStatus::Unknown => None,
    }
}

/// Says a length of time in its largest whole unit.
fn ago(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn permission(permission: Permission) -> PermissionView {
    PermissionView {
        permission_id: permission.id,
        title: permission.title,
        input: permission.input,
        always: permission.always,
        digest: permission.digest,
        asked_at: permission.asked_at,
    }
}

/// Shows a run. Where on the machine it works, and as which process, is for the machine's user alone.
pub fn run_view(run: Run, viewer: UserId) -> RunView {
    let own = run.user == viewer;
    RunView {
        run_id: run.id,
        chatroom_id: run.room,
        role: run.role,
        machine_id: run.machine,
        tool: run.tool,
        model: run.model,
        working_dir: if own { run.working_dir } else { String::new() },
        mode: run.mode,
        form: run.form,
        activity: run.activity,
        pid: run.pid.filter(|_| own),
        created_at: run.created_at,
        exited_at: run.exited_at,
        exit: run.exit.filter(|_| own),
        crashed: run.crashed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_reads_well() {
        for (millis, expected) in
            [(-5, "0 s"), (40_000, "40 s"), (300_000, "5 min"), (3 * 3_600_000, "3 h"), (3 * 86_400_000, "3 days")]
        {
            assert_eq!(ago(millis), expected, "{millis}");
        }
    }
}
