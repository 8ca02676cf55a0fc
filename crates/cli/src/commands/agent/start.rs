//! `chatroom agent start`: saves what is named, then starts.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use chatroom_protocol::MachineId;
use chatroom_protocol::api::agents::{AgentView, RunForm};
use chatroom_protocol::api::commands::CommandType;
use chatroom_protocol::api::machines::{MachineView, UpdateAgentConfig};

use super::{Start, find, steer};
use crate::client::Client;
use crate::failure::Usage;
use crate::shell::Shell;
use crate::{output, this_home};

/// Starts an agent.
pub async fn run(verb: Start, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.target.place.parse()?;
    let client = Client::person(shell)?;
    let agent = find(&client, room, &role).await?;
    let machines = client.machines().await?;
    let machine = match &verb.target.machine {
        Some(name) => named(&machines, name)?,
        None => choose(shell, &agent, &machines)?,
    };
    let saved = agent.configs.iter().find(|config| config.machine_id == machine);
    let changes = verb.tool.is_some()
        || verb.model.is_some()
        || verb.working_dir.is_some()
        || verb.mode.is_some()
        || verb.form.is_some();
    if changes {
        let form = |missing: &str| {
            Usage::new(
                format!("nothing is saved for `{role}` on this machine yet, so {missing} is needed"),
                format!(
                    "chatroom agent start --chatroom-id={room} --role={role} --machine={machine} --tool=TOOL \
                     --working-dir=DIR"
                ),
            )
        };
        let agent_type = verb.tool.or(saved.map(|config| config.agent_type)).ok_or_else(|| form("--tool"))?;
        let working_dir = match (&verb.working_dir, saved) {
            (Some(dir), _) => folder(dir, machine, shell)?,
            (None, Some(config)) => config.working_dir.clone(),
            (None, None) => return Err(form("--working-dir").into()),
        };
        let body = UpdateAgentConfig {
            agent_type,
            working_dir,
            model: verb.model,
            mode: verb.mode.map(Into::into),
            form: verb.form.map(Into::into),
            only_if_absent: false,
        };
        let saved = client.configure(machine, room, &role, &body).await?;
        let how = if saved.form == RunForm::Terminal { ", in a terminal" } else { "" };
        output::talk(format!(
            "Saved: {} in {}, mode {}{how}.",
            saved.agent_type,
            output::one_line(&saved.working_dir),
            saved.mode.as_str()
        ));
        if let Some(run) = agent.run.as_ref().filter(|run| run.exited_at.is_none())
            && (run.tool, &run.model, &run.working_dir, run.mode, run.form)
                != (saved.agent_type, &saved.model, &saved.working_dir, saved.mode, saved.form)
        {
            output::talk(format!(
                "{} runs on with what it was started with; to use what was saved now: chatroom agent restart \
                 --chatroom-id={room} --role={role}",
                run.run_id
            ));
        }
    }
    steer::send(&client, machine, room, role, CommandType::StartAgent, verb.resume.talk(), verb.target.format).await
}

/// Makes a folder's name absolute, if it is a folder of this computer.
fn folder(dir: &str, machine: MachineId, shell: &Shell) -> Result<String> {
    if this_home::machine_id(shell)? != Some(machine) {
        if !Path::new(dir).is_absolute() {
            bail!("--working-dir {dir} must be absolute: it is a folder of another computer");
        }
        return Ok(dir.to_owned());
    }
    let full = shell.cwd.join(dir);
    let full = full.canonicalize().with_context(|| format!("--working-dir {} cannot be used", full.display()))?;
    full.to_str().map(str::to_owned).context("the name of --working-dir is not UTF-8")
}

/// Finds a machine by its id or its name.
pub fn named(machines: &[MachineView], name: &str) -> Result<MachineId> {
    let fits = |machine: &&MachineView| machine.machine_id.to_string() == name || machine.alias == name;
    match machines.iter().filter(fits).collect::<Vec<_>>()[..] {
        [machine] => Ok(machine.machine_id),
        [] => bail!("you have no machine {name}; yours are:\n{}", candidates(machines)),
        _ => bail!("several of your machines are called {name}; name one by its id:\n{}", candidates(machines)),
    }
}

/// Picks the machine where nobody named one: this one if something is saved for it, else the only one that could be meant.
pub fn choose(shell: &Shell, agent: &AgentView, machines: &[MachineView]) -> Result<MachineId> {
    let here = this_home::machine_id(shell)?;
    let of = |id| machines.iter().find(|machine| machine.machine_id == id);
    let configured: Vec<_> = agent.configs.iter().filter_map(|config| of(config.machine_id)).collect();
    if let Some(machine) = configured.iter().find(|machine| Some(machine.machine_id) == here) {
        return Ok(machine.machine_id);
    }
    let online: Vec<_> = machines.iter().filter(|machine| machine.daemon_connected).collect();
    let configured_online: Vec<_> = configured.iter().copied().filter(|machine| machine.daemon_connected).collect();
    for group in [&configured_online, &configured, &online] {
        match group[..] {
            [] => {}
            [machine] => return Ok(machine.machine_id),
            _ => bail!("several machines could be meant; name one with --machine:\n{}", candidates(machines)),
        }
    }
    if machines.is_empty() {
        bail!("you have no machine yet: run `chatroom up` on this one, or `chatroom machine add` for another");
    }
    bail!(
        "none of your machines is online: run `chatroom machine daemon start` there, or name one with --machine:\n{}",
        candidates(machines)
    )
}

fn candidates(machines: &[MachineView]) -> String {
    let rows: Vec<_> = machines
        .iter()
        .map(|machine| {
            let online = if machine.daemon_connected { "online" } else { "offline" };
            vec![machine.alias.clone(), online.to_owned(), machine.machine_id.to_string()]
        })
        .collect();
    output::indent(&output::table(&["NAME", "", "MACHINE ID"], &rows))
}
