//! The verbs, one file each.

mod activity;
mod admin;
mod agent;
mod auth;
mod context;
mod daemon;
mod handoff;
mod machine;
mod message;
mod openapi;
mod report_progress;
mod room;
mod server;
mod streams;
mod supervise;
mod task;
mod task_complete;
mod task_started;
mod up;
mod wait_for_task;

use std::process::ExitCode;

use anyhow::{Result, bail};
use chatroom_protocol::{Role, RoomId, TaskId};
use clap::{Args, Parser, Subcommand};

use crate::shell::Shell;

/// Put AI coding agents to work on any computer you have.
#[derive(Debug, Parser)]
#[command(name = "chatroom", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start the server and this computer's daemon, and say how to go on.
    Up(up::Up),
    /// Run the server alone.
    Server(server::Server),
    /// Durable streams alone, for anyone who wants just that.
    #[command(subcommand)]
    Streams(streams::Streams),
    /// What an operator does at the server's computer: backups, and ways back in.
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Sign in and out.
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Make, show and change rooms.
    #[command(subcommand)]
    Room(room::Room),
    /// Say something in a room, or read what was said.
    #[command(subcommand)]
    Message(message::Message),
    /// Read what was said in a room; the same as `message list`.
    Messages(message::List),
    /// Look at tasks.
    #[command(subcommand)]
    Task(task::Task),
    /// Show what happened, who did it, and how it went.
    Activity(activity::Activity),
    /// Start, watch, steer and stop agents.
    #[command(subcommand)]
    Agent(agent::Agent),
    /// Your computers, and what this one permits.
    #[command(subcommand)]
    Machine(machine::Machine),
    /// Wait in the foreground until there is a task for a role, print it, and end.
    #[command(visible_alias = "get-next-task")]
    WaitForTask(wait_for_task::WaitForTask),
    /// Mark a task as begun, and print it again.
    TaskStarted(task_started::TaskStarted),
    /// Tell the room how the work goes; the text comes on stdin.
    ReportProgress(report_progress::ReportProgress),
    /// Complete your task without handing it on.
    TaskComplete(task_complete::TaskComplete),
    /// Complete your task and pass the result on; the text comes on stdin.
    Handoff(handoff::Handoff),
    /// Print role, rules, room and current task again.
    #[command(subcommand)]
    Context(context::Context),
    /// Run the supervisor of one run.
    #[command(hide = true)]
    Supervise(supervise::Supervise),
    /// Print the description of the server's API.
    #[command(hide = true)]
    Openapi,
}

/// Does what was asked for.
pub async fn run(verb: Verb, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Verb::Up(verb) => up::run(verb, shell).await,
        Verb::Server(verb) => server::run(verb, shell).await,
        Verb::Streams(streams::Streams::Serve(verb)) => streams::serve(verb, shell).await,
        Verb::Admin(verb) => admin::run(verb, shell).await,
        Verb::Auth(verb) => auth::run(verb, shell).await,
        Verb::Room(verb) => room::run(verb, shell).await,
        Verb::Message(message::Message::Send(verb)) => message::send(verb, shell).await,
        Verb::Message(message::Message::Edit(verb)) => message::edit(verb, shell).await,
        Verb::Message(message::Message::Remove(verb)) => message::remove(&verb, shell).await,
        Verb::Message(message::Message::List(verb)) | Verb::Messages(verb) => message::list(verb, shell).await,
        Verb::Task(verb) => task::run(verb, shell).await,
        Verb::Activity(verb) => activity::run(verb, shell).await,
        Verb::Agent(verb) => agent::run(verb, shell).await,
        Verb::Machine(verb) => machine::run(verb, shell).await,
        Verb::WaitForTask(verb) => wait_for_task::run(verb, shell).await,
        Verb::TaskStarted(verb) => task_started::run(verb, shell).await,
        Verb::ReportProgress(verb) => report_progress::run(verb, shell).await,
        Verb::TaskComplete(verb) => task_complete::run(verb, shell).await,
        Verb::Handoff(verb) => handoff::run(verb, shell).await,
        Verb::Context(context::Context::Read(verb)) => context::read(verb, shell).await,
        Verb::Supervise(verb) => Ok(supervise::run(verb).await),
        Verb::Openapi => openapi::run(),
    }
}

/// In which room.
#[derive(Debug, Clone, Args)]
pub struct InRoom {
    /// The room's id, as `room create` printed it.
    #[arg(long)]
    chatroom_id: String,
}

impl InRoom {
    /// Reads the id.
    pub fn room(&self) -> Result<RoomId> {
        parse_room(&self.chatroom_id)
    }
}

/// In which room, and as or about which role.
#[derive(Debug, Clone, Args)]
pub struct InRole {
    /// The room's id.
    #[arg(long)]
    chatroom_id: String,
    /// The role.
    #[arg(long)]
    role: String,
}

impl InRole {
    /// Reads both.
    pub fn parse(&self) -> Result<(RoomId, Role)> {
        Ok((parse_room(&self.chatroom_id)?, parse_role("--role", &self.role)?))
    }
}

/// Whether data is wanted as JSON.
#[derive(Debug, Clone, Copy, Args)]
pub struct Format {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads a room's id.
fn parse_room(text: &str) -> Result<RoomId> {
    let fits = (20..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        bail!("--chatroom-id must be 20 to 40 letters, digits or _, such as room_01HF7YAT00000000000000000A");
    }
    match text.parse() {
        Ok(room) => Ok(room),
        Err(_) => bail!("there is no room {text}; `chatroom room list` shows yours (not_found)"),
    }
}

/// Reads a role.
fn parse_role(flag: &str, text: &str) -> Result<Role> {
    Role::parse(text).map_err(|error| anyhow::anyhow!("{flag}: {error}"))
}

/// Reads a task's id.
fn parse_task(text: &str) -> Result<TaskId> {
    match text.parse() {
        Ok(task) => Ok(task),
        Err(_) => bail!(
            "--task-id {} is no task's id; it looks like task_01HF7YAT00000000000000000A",
            crate::output::one_line(text)
        ),
    }
}

/// Nothing went wrong.
const DONE: ExitCode = ExitCode::SUCCESS;
