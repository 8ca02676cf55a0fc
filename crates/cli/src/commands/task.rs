//! `chatroom task`: what is to do in a room.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::tasks::{TaskState, TaskView};
use clap::{Args, Subcommand};

use super::task_started::{self, TaskStarted};
use super::{DONE, Format, InRoom, parse_task};
use crate::client::Client;
use crate::shell::Shell;
use crate::{output, times};

/// Look at tasks.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// List the tasks of a room.
    List(List),
    /// Let another member's words through to your own agent.
    Approve(Approve),
    /// Mark a task as begun, and print it again; the same as `task-started`.
    Read(TaskStarted),
}

/// Which room.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: InRoom,
    #[command(flatten)]
    format: Format,
}

/// Which task.
#[derive(Debug, Args)]
pub struct Approve {
    #[command(flatten)]
    place: InRoom,
    /// The task's id, as `task list` shows it.
    #[arg(long)]
    task_id: String,
    #[command(flatten)]
    format: Format,
}

/// Shows tasks, or lets one through.
pub async fn run(verb: Task, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Task::List(verb) => list(verb, shell).await,
        Task::Approve(verb) => approve(verb, shell).await,
        Task::Read(verb) => task_started::run(verb, shell).await,
    }
}

async fn list(verb: List, shell: &Shell) -> Result<ExitCode> {
    let tasks = Client::caller(shell)?.tasks(verb.place.room()?).await?;
    if !verb.format.json && tasks.tasks.is_empty() {
        output::talk("No tasks yet.");
        return Ok(DONE);
    }
    let now = times::now();
    output::either(verb.format.json, &tasks, || {
        let rows: Vec<_> = tasks
            .tasks
            .iter()
            .map(|task| {
                vec![task.task_id.to_string(), task.role.to_string(), state(task), times::ago(task.created_at, now)]
            })
            .collect();
        output::table(&["TASK ID", "ROLE", "STATE", "MADE"], &rows)
    })?;
    Ok(DONE)
}

fn state(task: &TaskView) -> String {
    let word = match task.state {
        TaskState::Pending if task.held_for_owner => "pending, waits for approval",
        TaskState::Pending => "pending",
        TaskState::Acknowledged => "acknowledged",
        TaskState::InProgress => "in progress",
        TaskState::Completed => "completed",
    };
    word.to_owned()
}

async fn approve(verb: Approve, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("task approve")?;
    let (room, task) = (verb.place.room()?, parse_task(&verb.task_id)?);
    let task = Client::person(shell)?.approve_task(room, task).await?;
    output::either(verb.format.json, &task, || format!("{} may reach your `{}`.", task.task_id, task.role))?;
    Ok(DONE)
}
