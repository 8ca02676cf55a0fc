//! What a role runs on a machine. Only the machine's user says so.

use chatroom_domain::machines::{AgentConfig, check_working_dir};
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::api::machines::{AgentConfigView, UpdateAgentConfig};
use chatroom_protocol::{MachineId, Role, UserId};
use chatroom_store::events::NewEvent;

use crate::app::Work;
use crate::error::Error;

/// Saves what a role runs on a machine of `user`, or with `only_if_absent` shows what is saved.
pub async fn update(
    work: &mut Work,
    user: UserId,
    machine: MachineId,
    room: &Room,
    role: Role,
    body: UpdateAgentConfig,
) -> Result<AgentConfig, Error> {
    let machine = super::find(&work.tx, machine, user).await?;
    room.role(&role)?;
    check_working_dir(&body.working_dir)?;
    let saved = chatroom_store::configs::find(&work.tx, machine.id, room.id, &role).await?;
    let before = match saved {
        Some(saved) if body.only_if_absent => return Ok(saved),
        before => before,
    };
    // A model belongs to its tool.
    let kept = before.as_ref().filter(|before| before.tool == body.agent_type).and_then(|before| before.model.clone());
    let config = AgentConfig {
        machine: machine.id,
        room: room.id,
        role,
        tool: body.agent_type,
        working_dir: body.working_dir,
        model: body.model.or(kept),
        mode: body.mode.or(before.as_ref().map(|before| before.mode)).unwrap_or(PermissionMode::Ask),
        form: body.form.or(before.as_ref().map(|before| before.form)).unwrap_or(RunForm::Managed),
        updated_at: work.now,
    };
    chatroom_store::configs::put(&work.tx, &config).await?;
    let event = NewEvent {
        kind: "agent.configured",
        private_to: Some(user),
        user: Some(user),
        room: Some(room.id),
        role: Some(config.role.clone()),
        machine: Some(machine.id),
        outcome: Some(config.tool.to_string()),
        ..NewEvent::default()
    };
    work.event(room.instance, event).await?;
    Ok(config)
}

/// Shows a configuration to the machine's user.
pub fn view(config: AgentConfig) -> AgentConfigView {
    AgentConfigView {
        machine_id: config.machine,
        chatroom_id: config.room,
        role: config.role,
        agent_type: config.tool,
        working_dir: config.working_dir,
        model: config.model,
        mode: config.mode,
        form: config.form,
        updated_at: config.updated_at,
    }
}
