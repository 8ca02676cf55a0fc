//! `chatroom agent stop|restart|interrupt|share`, and how the outcome of a command is waited for.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use chatroom_protocol::api::agents::ShareAgent;
use chatroom_protocol::api::commands::{CommandStatus, CommandType, CommandView, SendCommand};
use chatroom_protocol::{MachineId, Role, RoomId};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{OnMachine, Place, Share, find, start};
use crate::client::Client;
use crate::commands::{DONE, Format};
use crate::failure::REFUSED;
use crate::output;
use crate::shell::Shell;

/// A little longer than any command's deadline.
const PATIENCE: Duration = Duration::from_secs(130);
/// How often the outcome is looked for.
const EVERY: Duration = Duration::from_millis(300);

/// Which conversation a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// A new one.
    New,
    /// That of the role's last run on the machine.
    Last,
}

/// Stops or restarts an agent.
pub async fn command(verb: &OnMachine, kind: CommandType, talk: Talk, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let client = Client::person(shell)?;
    let agent = find(&client, room, &role).await?;
    let machines = client.machines().await?;
    let machine = match &verb.machine {
        Some(name) => start::named(&machines, name)?,
        None => match agent.run.as_ref().map(|run| run.machine_id).or(agent.machine_id) {
            Some(machine) => machine,
            None => start::choose(shell, &agent, &machines)?,
        },
    };
    send(&client, machine, room, role, kind, talk, verb.format).await
}

/// Sends a command, waits for its outcome and prints it.
pub async fn send(
    client: &Client,
    machine: MachineId,
    room: RoomId,
    role: Role,
    kind: CommandType,
    talk: Talk,
    format: Format,
) -> Result<ExitCode> {
    let body = SendCommand { kind, chatroom_id: Some(room), role: Some(role), resume: talk == Talk::Last };
    let sent = client.command(machine, &body).await?;
    let command = outcome(client, sent).await?;
    let result = command.result.as_deref().map(output::one_line).unwrap_or_default();
    output::either(format.json, &command, || format!("{}: {result}", command.status.as_str()))?;
    match command.status {
        CommandStatus::Completed => Ok(DONE),
        CommandStatus::Pending | CommandStatus::Processing => bail!(
            "{} has no outcome yet; `chatroom agent list --chatroom-id={room}` shows how it goes on",
            command.command_id
        ),
        CommandStatus::Failed | CommandStatus::Expired => Ok(ExitCode::from(REFUSED)),
    }
}

async fn outcome(client: &Client, mut command: CommandView) -> Result<CommandView> {
    let until = Instant::now() + PATIENCE;
    while !command.status.is_terminal() && Instant::now() < until {
        sleep(EVERY).await;
        match client.command_status(command.machine_id, command.command_id).await {
            Ok(newer) => command = newer,
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(command)
}

/// Ends an agent's turn.
pub async fn interrupt(verb: &Place, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let interrupted = Client::person(shell)?.interrupt(room, &role).await?;
    output::either(verb.format.json, &json!({ "interrupted": interrupted }), || {
        if interrupted { format!("`{role}` was interrupted.") } else { format!("`{role}` is not in a turn.") }
    })?;
    Ok(DONE)
}

/// Lets other members act through an agent, or not.
pub async fn share(verb: &Share, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    Client::person(shell)?.share(room, &role, ShareAgent { shared: !verb.off }).await?;
    output::talk(if verb.off {
        format!("What other members write to `{role}` waits for you again.")
    } else {
        format!(
            "The other members of {room} act through your `{role}` now: what they write reaches it, on your machine."
        )
    });
    Ok(DONE)
}
