//! `chatroom agent list`

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::MachineId;
use chatroom_protocol::api::agents::{AgentView, RunForm};
use chatroom_protocol::api::machines::MachineView;

use super::List;
use crate::client::Client;
use crate::commands::DONE;
use crate::output;
use crate::shell::Shell;

/// Prints one line per agent, and what they ask for.
pub async fn run(verb: &List, shell: &Shell) -> Result<ExitCode> {
    let room = verb.place.room()?;
    let client = Client::caller(shell)?;
    let agents = client.agents(room).await?;
    // A run may not list machines; ids are shown then.
    let machines = if shell.run.is_none() && !verb.format.json { client.machines().await? } else { Vec::new() };
    output::either(verb.format.json, &agents, || {
        let rows: Vec<_> = agents.agents.iter().map(|agent| row(agent, &machines)).collect();
        let mut text = output::table(&["ROLE", "STATUS", "TOOL", "MACHINE", "WHY"], &rows);
        for agent in &agents.agents {
            if agent.restart_needed {
                let _ = write!(
                    text,
                    "\n`{role}` runs with what was saved when it was started; to use what is saved now:\n    chatroom agent \
                     restart --chatroom-id={room} --role={role}\n",
                    role = agent.role,
                );
            }
            for asked in &agent.permissions {
                let _ = write!(
                    text,
                    "\n`{role}` asks: {title}\n    chatroom agent allow --chatroom-id={room} --role={role} {id}\n    \
                     chatroom agent deny --chatroom-id={room} --role={role} {id}\n",
                    role = agent.role,
                    title = output::one_line(&asked.title),
                    id = asked.permission_id,
                );
            }
        }
        text
    })?;
    Ok(DONE)
}

fn row(agent: &AgentView, machines: &[MachineView]) -> Vec<String> {
    let config = agent.configs.iter().find(|config| Some(config.machine_id) == agent.machine_id);
    let config = config.or_else(|| agent.configs.first());
    let runs = match (&agent.run, config) {
        (Some(run), _) => Some((run.tool, run.model.as_ref(), run.form)),
        (None, Some(config)) => Some((config.agent_type, config.model.as_ref(), config.form)),
        (None, None) => None,
    };
    let tool = runs.map_or_else(
        || "–".to_owned(),
        |(tool, model, form)| {
            let model = model.map(|model| format!(" · {model}")).unwrap_or_default();
            let form = if form == RunForm::Terminal { " · terminal" } else { "" };
            format!("{tool}{model}{form}")
        },
    );
    let machine = agent.machine_id.or(config.map(|config| config.machine_id));
    vec![
        agent.role.to_string(),
        agent.status.label().to_owned(),
        tool,
        machine.map_or_else(|| "–".to_owned(), |id| name(id, machines)),
        agent.reason.clone().unwrap_or_default(),
    ]
}

fn name(id: MachineId, machines: &[MachineView]) -> String {
    let known = machines.iter().find(|machine| machine.machine_id == id);
    known.map_or_else(|| id.to_string(), |machine| machine.alias.clone())
}
