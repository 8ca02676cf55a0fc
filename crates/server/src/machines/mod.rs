//! Machines: registering them, their credential, and what roles run on them.
//!
//! A machine belongs to its user and to no instance. Somebody else's machine and
//! one that does not exist look the same to everybody.

pub mod binary;
pub mod bulk;
pub mod call;
pub mod configs;
pub mod credential;
pub mod enrolment;
pub mod gaps;
pub mod lease;
pub mod link;
pub mod lock;
pub mod policy;
pub mod push;
pub mod removal;
pub mod renewal;

use chatroom_domain::machines::{Alias, Machine, MachineError, check_hostname, check_os};
use chatroom_protocol::api::machines::{MachineView, RegisterMachine, ToolFacts, ToolPresence};
use chatroom_protocol::{MachineId, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;

use crate::app::{App, Work};
use crate::error::Error;

/// How many tools a machine may name.
const TOOL_LIMIT: usize = 16;
/// How long a tool's version may be.
const VERSION_LIMIT: usize = 120;

/// Returns a machine of `user`.
pub async fn find(db: &impl Access, id: MachineId, user: UserId) -> Result<Machine, Error> {
    Ok(chatroom_store::machines::find(db, id, user).await?.ok_or(MachineError::NotFound)?)
}

/// Registers a machine under the id its home made for itself; again is the same as once.
pub async fn register(work: &mut Work, user: UserId, id: MachineId, body: RegisterMachine) -> Result<Machine, Error> {
    check_os(&body.os)?;
    let tools = check_tools(body.available_tools)?;
    let Some(known) = chatroom_store::machines::of(&work.tx, id).await? else {
        return first(work, user, id, body.hostname, body.os, tools).await;
    };
    if known.user != user {
        return Err(MachineError::Foreign.into());
    }
    check_hostname(&body.hostname)?;
    chatroom_store::machines::refresh(&work.tx, id, &body.os, &tools, work.now).await?;
    if known.tools != tools {
        tell(work, &known, "machine.tools", None).await?;
    }
    find(&work.tx, id, user).await
}

async fn first(
    work: &mut Work,
    user: UserId,
    id: MachineId,
    hostname: String,
    os: String,
    tools: Vec<ToolFacts>,
) -> Result<Machine, Error> {
    check_hostname(&hostname)?;
    let short: String = hostname.trim().chars().take(80).collect();
    let machine = Machine {
        id,
        user,
        alias: Alias::parse(&short)?,
        hostname,
        os,
        tools,
        daemon_version: None,
        epoch: 0,
        registered_at: work.now,
        last_seen_at: work.now,
        lease_until: None,
        renewal: 0,
        locked_at: None,
    };
    chatroom_store::machines::insert(&work.tx, &machine).await?;
    let alias = machine.alias.as_str().to_owned();
    tell(work, &machine, "machine.registered", Some(alias)).await?;
    Ok(machine)
}

/// Keeps what a machine says of its tools within bounds; of two facts about one tool the last counts.
pub(crate) fn check_tools(told: Vec<ToolFacts>) -> Result<Vec<ToolFacts>, Error> {
    if told.len() > TOOL_LIMIT {
        return Err(Error::Beyond("tools", format!("a machine names at most {TOOL_LIMIT} tools")));
    }
    let mut tools: Vec<ToolFacts> = Vec::new();
    for mut facts in told {
        facts.version =
            facts.version.map(|version| version.chars().filter(|c| !c.is_control()).take(VERSION_LIMIT).collect());
        tools.retain(|other| other.tool != facts.tool);
        tools.push(facts);
    }
    tools.sort_by_key(|facts| facts.tool);
    Ok(tools)
}

/// Gives a machine another name.
pub async fn rename(work: &mut Work, user: UserId, id: MachineId, alias: &str) -> Result<Machine, Error> {
    let alias = Alias::parse(alias)?;
    if !chatroom_store::machines::rename(&work.tx, id, user, &alias).await? {
        return Err(MachineError::NotFound.into());
    }
    let machine = find(&work.tx, id, user).await?;
    tell(work, &machine, "machine.renamed", Some(alias.as_str().to_owned())).await?;
    Ok(machine)
}

/// Writes an event about a machine, for its user alone, to each feed its user reads.
pub(crate) async fn tell(
    work: &mut Work,
    machine: &Machine,
    kind: &'static str,
    outcome: Option<String>,
) -> Result<(), Error> {
    let event = NewEvent {
        kind,
        machine: Some(machine.id),
        subject: Some(machine.id.to_string()),
        outcome,
        ..NewEvent::default()
    };
    work.event_for(machine.user, event).await
}

/// Shows a machine to its user.
pub fn view(app: &App, machine: Machine) -> MachineView {
    let now = app.clock.now();
    MachineView {
        upgrade: app.gaps.of(machine.id),
        machine_id: machine.id,
        daemon_connected: machine.online(now),
        available_tools: machine
            .tools
            .iter()
            .filter(|facts| facts.presence == ToolPresence::Installed)
            .map(|facts| facts.tool)
            .collect(),
        hostname: machine.hostname,
        alias: machine.alias.as_str().to_owned(),
        os: machine.os,
        tools: machine.tools,
        daemon_version: machine.daemon_version,
        epoch: machine.epoch,
        registered_at: machine.registered_at,
        last_seen_at: machine.last_seen_at,
        locked_at: machine.locked_at,
    }
}
