//! `chatroom agent`: the agents of a room.

mod attach;
mod cast;
mod list;
mod logs;
mod permissions;
mod queue;
mod runs;
mod start;
mod steer;

pub use logs::told_by;
pub use start::named as named_machine;
use steer::Talk;

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::agents::{AgentView, PermissionMode, PermissionScope, RunForm};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::commands::CommandType;
use chatroom_protocol::{ModelId, Role, RoomId, Tool};
use clap::{Args, Subcommand, ValueEnum};

use super::{Format, InRole, InRoom};
use crate::client::Client;
use crate::shell::Shell;

/// Start, watch, steer and stop agents.
#[derive(Debug, Subcommand)]
pub enum Agent {
    /// List the agents of a room and what they are doing.
    List(List),
    /// Start the agent of a role, after saving what is named here.
    Start(Start),
    /// Stop it.
    Stop(OnMachine),
    /// Stop it, then start it.
    Restart(Restart),
    /// Tell it something more; the text is --content or comes on stdin.
    Tell(queue::Tell),
    /// Show and change what waits to be told to it.
    #[command(subcommand)]
    Queue(queue::Queue),
    /// End its turn; it stays ready.
    Interrupt(Place),
    /// Permit what it asks for.
    Allow(Allow),
    /// Refuse what it asks for.
    Deny(Answer),
    /// Let the other members of the room act through it.
    Share(Share),
    /// List its runs, the newest first.
    Runs(runs::Runs),
    /// Print what its run did.
    Logs(Logs),
    /// Join the terminal it runs in; Ctrl-] detaches.
    Attach(attach::Attach),
}

/// Which room.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: InRoom,
    #[command(flatten)]
    format: Format,
}

/// Which agent.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    place: InRole,
    #[command(flatten)]
    format: Format,
}

/// Which agent, on which machine.
#[derive(Debug, Args)]
pub struct OnMachine {
    #[command(flatten)]
    place: InRole,
    /// The machine's name or id; the one it runs on, or this one, if omitted.
    #[arg(long)]
    machine: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Which agent, and what it runs.
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    target: OnMachine,
    /// The agent program: claude, opencode, cursor or pi.
    #[arg(long)]
    tool: Option<Tool>,
    /// The model, as the program spells it.
    #[arg(long)]
    model: Option<ModelId>,
    /// The folder it works in, on its machine.
    #[arg(long)]
    working_dir: Option<String>,
    /// Whether it asks before it acts.
    #[arg(long)]
    mode: Option<Mode>,
    #[command(flatten)]
    resume: Resume,
    /// How it runs: managed gives it its tasks, terminal is one that people join with `agent attach`.
    #[arg(long)]
    form: Option<Form>,
}

/// Which agent, and which conversation it has then.
#[derive(Debug, Args)]
pub struct Restart {
    #[command(flatten)]
    target: OnMachine,
    #[command(flatten)]
    resume: Resume,
}

/// Which conversation a run has.
#[derive(Debug, Clone, Copy, Args)]
struct Resume {
    /// Go on with the conversation of its last run on that machine.
    #[arg(long)]
    resume: bool,
}

impl Resume {
    fn talk(self) -> Talk {
        if self.resume { Talk::Last } else { Talk::New }
    }
}

/// How an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Through its program's protocol.
    Managed,
    /// In a terminal, as a person would start it; the machine must permit that.
    Terminal,
}

impl From<Form> for RunForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Managed => Self::Managed,
            Form::Terminal => Self::Terminal,
        }
    }
}

/// Whether an agent asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// It asks before it acts.
    Ask,
    /// It acts without asking; the machine must permit that.
    Auto,
}

impl From<Mode> for PermissionMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Ask => Self::Ask,
            Mode::Auto => Self::Auto,
        }
    }
}

/// Which question.
#[derive(Debug, Args)]
pub struct Answer {
    #[command(flatten)]
    place: InRole,
    /// The question; what is asked is shown if omitted.
    permission_id: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Which question, and for how long.
#[derive(Debug, Args)]
pub struct Allow {
    #[command(flatten)]
    answer: Answer,
    /// Until the run is over, for what the question calls `always`.
    #[arg(long, requires = "permission_id")]
    always: bool,
}

/// Which agent, and for whom.
#[derive(Debug, Args)]
pub struct Share {
    #[command(flatten)]
    place: InRole,
    /// Keep it to yourself again.
    #[arg(long)]
    off: bool,
}

/// Which agent, how much of what it did, and whether to stay.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    place: InRole,
    /// Stay, and print what comes.
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last so many events.
    #[arg(short = 'n', long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    tail: Option<u64>,
    /// Print the places that have this text instead; letter case does not count.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["follow", "tail", "cast"])]
    search: Option<String>,
    /// Print JSON, one document per line.
    #[arg(long)]
    json: bool,
    /// Print what its terminal showed, as a recording that asciinema plays.
    #[arg(long, conflicts_with_all = ["json", "tail"])]
    cast: bool,
}

/// Does something with agents.
pub async fn run(verb: Agent, shell: &Shell) -> Result<ExitCode> {
    let name = match &verb {
        Agent::List(_) => None,
        Agent::Start(_) => Some("agent start"),
        Agent::Stop(_) => Some("agent stop"),
        Agent::Restart(_) => Some("agent restart"),
        Agent::Tell(_) => Some("agent tell"),
        Agent::Queue(_) => Some("agent queue"),
        Agent::Interrupt(_) => Some("agent interrupt"),
        Agent::Allow(_) => Some("agent allow"),
        Agent::Deny(_) => Some("agent deny"),
        Agent::Share(_) => Some("agent share"),
        Agent::Runs(_) => Some("agent runs"),
        Agent::Logs(_) => Some("agent logs"),
        Agent::Attach(_) => Some("agent attach"),
    };
    name.map_or(Ok(()), |name| shell.owner_only(name))?;
    match verb {
        Agent::List(verb) => list::run(&verb, shell).await,
        Agent::Start(verb) => start::run(verb, shell).await,
        Agent::Stop(verb) => steer::command(&verb, CommandType::StopAgent, Talk::New, shell).await,
        Agent::Restart(verb) => {
            steer::command(&verb.target, CommandType::RestartAgent, verb.resume.talk(), shell).await
        }
        Agent::Tell(verb) => queue::tell(verb, shell).await,
        Agent::Queue(verb) => queue::run(verb, shell).await,
        Agent::Interrupt(verb) => steer::interrupt(&verb, shell).await,
        Agent::Allow(verb) => {
            let scope = if verb.always { PermissionScope::Run } else { PermissionScope::Once };
            permissions::answer(&verb.answer, Decision::Allow, scope, shell).await
        }
        Agent::Deny(verb) => permissions::answer(&verb, Decision::Deny, PermissionScope::Once, shell).await,
        Agent::Share(verb) => steer::share(&verb, shell).await,
        Agent::Runs(verb) => runs::run(&verb, shell).await,
        Agent::Logs(verb) => logs::run(&verb, shell).await,
        Agent::Attach(verb) => attach::run(&verb, shell).await,
    }
}

/// Looks up the agent of a role.
async fn find(client: &Client, room: RoomId, role: &Role) -> Result<AgentView> {
    let agents = client.agents(room).await?.agents;
    let known: Vec<_> = agents.iter().map(|agent| agent.role.to_string()).collect();
    match agents.into_iter().find(|agent| agent.role == *role) {
        Some(agent) => Ok(agent),
        None => anyhow::bail!("{room} has no role `{role}`; possible: {} (unknown_role)", known.join(", ")),
    }
}
