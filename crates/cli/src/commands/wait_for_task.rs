//! `chatroom wait-for-task`: registers this machine, waits for a task of a role, prints it, ends.
//!
//! A newcomer would get wrong: nothing on the way to the server ends a wait. It
//! ends with a task, with a word of the server, or by whoever runs it; and every
//! end without a task says what happened and how to come back.

mod ending;
mod patience;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chatroom_protocol::api::machines::{AgentConfigView, UpdateAgentConfig};
use chatroom_protocol::api::tasks::{Join, TaskView, Wait, WaitOutcome};
use chatroom_protocol::{ErrorCode, MachineId, Role, RoomId, Tool};
use clap::Args;

use super::{DONE, InRole};
use crate::client::{ApiError, Client};
use crate::failure::{self, REFUSED};
use crate::shell::{InRun, Shell};
use crate::signals::Signals;
use crate::{output, this_home, times};

use ending::Ending;
use patience::Patience;

/// For whom to wait, and how long.
#[derive(Debug, Args)]
pub struct WaitForTask {
    #[command(flatten)]
    place: InRole,
    /// The agent program that waits: claude, opencode, cursor or pi; seen in the environment if omitted.
    #[arg(long, value_name = "TOOL")]
    agent_type: Option<Tool>,
    /// Give up after this time, such as 30s, 5m or 1h; without it the wait has no end.
    #[arg(long, value_parser = times::duration)]
    duration: Option<Duration>,
    /// The same in milliseconds.
    #[arg(long, value_name = "MS", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Take the role over from a run that lives.
    #[arg(long)]
    take_over: bool,
}

/// One wait, once its words are read.
struct Waiting<'a> {
    shell: &'a Shell,
    client: Client,
    room: RoomId,
    role: Role,
    tool: Option<Tool>,
    take_over: bool,
    connection: String,
}

/// How a wait came out.
enum Outcome {
    Task { task: TaskView, prompt: String },
    Ended(Ending),
}

/// Waits.
pub async fn run(verb: WaitForTask, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    if let Some(run) = shell.run.as_ref().filter(|run| !run.in_terminal) {
        output::data(&inside(run))?;
        return Ok(DONE);
    }
    let limit = verb.duration.or(verb.timeout.map(Duration::from_millis));
    let waiting = Waiting {
        shell,
        client: Client::caller(shell)?,
        room,
        role,
        tool: verb.agent_type.or_else(|| shell.tool()),
        take_over: verb.take_over,
        connection: uuid::Uuid::new_v4().simple().to_string(),
    };
    let mut signals = Signals::listen()?;
    let outcome = tokio::select! {
        outcome = waiting.outcome() => outcome?,
        signal = signals.next() => Outcome::Ended(Ending::Stopped(signal)),
        limit = over(limit) => Outcome::Ended(Ending::TimeUp(limit)),
    };
    match outcome {
        Outcome::Task { task, prompt } => waiting.deliver(&task, &prompt).await,
        Outcome::Ended(ending) => {
            output::talk(ending.text(times::now(), &waiting.come_back()));
            Ok(DONE)
        }
    }
}

async fn over(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

impl Waiting<'_> {
    /// Gets ready, then asks until there is an answer.
    async fn outcome(&self) -> Result<Outcome> {
        let mut patience = Patience::default();
        // A run is known, and so is what it was started with.
        let machine = if self.shell.run.is_some() {
            None
        } else {
            let machine = self.register(&mut patience).await?;
            self.remember(&mut patience, machine).await?;
            Some(machine)
        };
        let join = Join {
            connection_id: self.connection.clone(),
            machine_id: machine,
            agent_type: self.tool,
            take_over: self.take_over,
        };
        let joined = patience.with(async || self.client.join(self.room, &self.role, &join).await).await;
        let joined = joined.map_err(|error| self.refused(error))?;
        output::data(&joined.prompt)?;
        output::talk(format!("Waiting for a task for `{}` in {}.", self.role, self.room));

        let wait = Wait { connection_id: self.connection.clone() };
        loop {
            match patience.with(async || self.client.wait(self.room, &self.role, &wait).await).await {
                Ok(WaitOutcome::Task { task, prompt }) => return Ok(Outcome::Task { task, prompt }),
                Ok(WaitOutcome::Nothing) => {}
                Ok(WaitOutcome::Superseded { at }) => return Ok(Outcome::Ended(Ending::Superseded(Some(at)))),
                Ok(WaitOutcome::Reconnect) => patience.after("The server stops for a moment.").await,
                Ok(WaitOutcome::Closed { reason }) => return Ok(Outcome::Ended(Ending::Closed(reason))),
                Err(error) if error.code() == Some(ErrorCode::Superseded) => {
                    return Ok(Outcome::Ended(Ending::Superseded(None)));
                }
                Err(error) => return Err(self.refused(error)),
            }
        }
    }

    /// Makes sure that the server knows this machine, and this machine its credential.
    async fn register(&self, patience: &mut Patience) -> Result<MachineId> {
        let machine = this_home::identify(self.shell).await?;
        this_home::refuse_other_server(self.shell, &self.client.url())?;
        let facts = machine.registration();
        patience.with(async || self.client.register(machine.id, &facts).await).await?;
        machine.synced()?;
        if !machine.has_credential()? {
            let issued = patience.with(async || self.client.issue_credential(machine.id).await).await?;
            machine.save_credential(&self.client.url(), &issued.credential)?;
        }
        Ok(machine.id)
    }

    /// Saves what runs here where nothing is saved yet, and tells the difference where something is.
    async fn remember(&self, patience: &mut Patience, machine: MachineId) -> Result<()> {
        let here = self.shell.cwd.canonicalize().context("this folder cannot be read")?;
        if let Err(error) = this_home::allow_directory(self.shell, &here) {
            output::talk(format!("note: {}", failure::chain(&error)));
        }
        let Some(tool) = self.tool else {
            output::talk(
                "note: no agent program is seen around this shell, so nothing is saved for a later start; name one \
                 with --agent-type",
            );
            return Ok(());
        };
        let body = UpdateAgentConfig {
            agent_type: tool,
            working_dir: here.to_str().context("the name of this folder is not UTF-8")?.to_owned(),
            model: None,
            mode: None,
            form: None,
            only_if_absent: true,
        };
        let configure = async || self.client.configure(machine, self.room, &self.role, &body).await;
        let saved = patience.with(configure).await.map_err(|error| self.refused(error))?;
        if let Some(text) = difference(&saved, tool, &here) {
            output::talk(text);
        }
        this_home::record_start(self.shell, self.room, &self.role, tool, &here)
    }

    /// Prints the task. One that cannot be printed goes back.
    async fn deliver(&self, task: &TaskView, prompt: &str) -> Result<ExitCode> {
        let Err(error) = output::data(prompt) else { return Ok(DONE) };
        let back = match self.client.release_task(self.room, task.task_id).await {
            Ok(_) => "it went back to the queue",
            Err(_) => "it goes back to the queue within a minute",
        };
        output::talk(format!(
            "error: {} could not be printed ({error}); {back}. Come back with:\n\n    {}",
            task.task_id,
            self.come_back()
        ));
        Ok(ExitCode::from(REFUSED))
    }

    /// Adds to a refusal what helps.
    fn refused(&self, error: ApiError) -> anyhow::Error {
        let taken = error.code() == Some(ErrorCode::RoleTaken);
        let error = anyhow::Error::new(error);
        if !taken || self.take_over {
            return error;
        }
        anyhow::anyhow!("{error}\n\nTo stop that run and wait here instead:\n\n    {} --take-over", self.come_back())
    }

    /// Returns the command that continues this wait.
    fn come_back(&self) -> String {
        format!("chatroom wait-for-task --chatroom-id={} --role={}", self.room, self.role)
    }
}

/// What an agent is told that waits though its tasks are given to it.
fn inside(run: &InRun) -> String {
    let (room, role) = (&run.room, &run.role);
    format!(
        "You are `{role}` in {room}, in a run that chatroom manages: your tasks come to you as messages by themselves, \
         so there is nothing to wait for here. When a task is done, hand it on and end your turn:\n\n\
         chatroom handoff --chatroom-id={room} --role={role} --next-role=user <<'CHATROOM_HANDOFF_END'\n\
         What was done, how it was checked, what is open.\n\
         CHATROOM_HANDOFF_END\n\n\
         `chatroom context read --chatroom-id={room} --role={role}` prints your current task again.\n"
    )
}

/// Tells what is saved where it is not what runs here.
fn difference(saved: &AgentConfigView, tool: Tool, here: &Path) -> Option<String> {
    let other_tool = saved.agent_type != tool;
    let other_folder = Path::new(&saved.working_dir) != here;
    if !other_tool && !other_folder {
        return None;
    }
    Some(format!(
        "note: for `{}` on this machine {} in {} is saved, and stays saved; here runs {tool} in {}. A start from \
         elsewhere uses what is saved; change it with:\n\n    chatroom agent start --chatroom-id={} --role={} \
         --tool={tool} --working-dir={}",
        saved.role,
        saved.agent_type,
        output::one_line(&saved.working_dir),
        here.display(),
        saved.chatroom_id,
        saved.role,
        here.display(),
    ))
}
