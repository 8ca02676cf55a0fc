//! `chatroom up`: everything on one computer, for its one person.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chatroom_daemon::env::Ambient;
use chatroom_daemon::{Options, Shutdown, status};
use chatroom_protocol::api::machines::{ToolFacts, ToolPresence};
use chatroom_protocol::{MachineId, Tool, UserId};
use chatroom_server::accounts;
use chatroom_server::config::{Config, Flags, Purpose};
use chatroom_server::serve::Server;
use clap::Args;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{DONE, daemon, server};
use crate::client::{self, Client};
use crate::shell::Shell;
use crate::signals::Signals;
use crate::{failure, logging, output, this_home, usage};

/// How long the daemon may take to be seen by the server.
const SETTLING: Duration = Duration::from_secs(10);
/// Where the server may have its database from, the first that is set.
const DATABASE: [&str; 2] = ["CHATROOM_DATABASE_URL", "DATABASE_URL"];

/// Where.
#[derive(Debug, Args)]
pub struct Up {
    /// The port; 8787 if omitted.
    #[arg(long)]
    port: Option<u16>,
    /// The folder of what the server keeps; `CHATROOM_HOME/server` if omitted.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs server and daemon until Ctrl+C or SIGTERM.
pub async fn run(verb: Up, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("up")?;
    let home = this_home::open(shell)?;
    if let Some(status) = status::query(&home).await {
        bail!(
            "a daemon of {} runs already (process {}): end it with `chatroom machine daemon stop`, or with Ctrl+C where \
             `chatroom up` runs, or set another CHATROOM_HOME",
            shell.home()?.display(),
            status.pid
        );
    }
    let flags =
        Flags { port: verb.port, data_dir: verb.data_dir, binary: std::env::current_exe().ok(), ..Flags::default() };
    let config = Config::load(Purpose::Up, flags, shell.env())?;
    logging::start(shell, server::look(&config), "warn", std::io::stderr)?;
    let mut signals = Signals::listen()?;
    let server = tokio::select! {
        started = Server::start(config) => started?,
        signal = signals.next() => bail!("{signal} before everything was up"),
    };
    let shutdown = Shutdown::default();
    let mut started = None;
    let begun = tokio::select! {
        begun = begin(&server, shell, &shutdown, &mut started) => begun,
        signal = signals.next() => Err(anyhow::anyhow!("{signal} before everything was up")),
    };
    match (begun, started) {
        (Ok(()), Some(daemon)) => until_told(server, daemon, shutdown, &mut signals).await,
        (begun, started) => {
            let stopping = async {
                if let Some(daemon) = started {
                    shutdown.stop.cancel();
                    // What went wrong first is told.
                    let _ = daemon.await;
                }
                server.stop().await;
            };
            tokio::select! {
                () = stopping => {}
                signal = signals.next() => bail!("{signal} again: ended at once"),
            }
            begun.map(|()| DONE)
        }
    }
}

/// Serves until a signal, or until the daemon ends; then ends the rest.
async fn until_told(
    server: Server,
    mut daemon: JoinHandle<Result<()>>,
    shutdown: Shutdown,
    signals: &mut Signals,
) -> Result<ExitCode> {
    let mut failure = None;
    let ended = tokio::select! {
        ended = &mut daemon => Some(ended),
        stopped = server.failed() => {
            failure = Some(server::failure(stopped));
            None
        }
        signal = signals.next() => {
            output::talk(format!("{signal}: stopping the agents, the daemon and the server; once more ends at once."));
            None
        }
    };
    let stopping = async {
        let ended = if let Some(ended) = ended {
            ended
        } else {
            shutdown.stop.cancel();
            daemon.await
        };
        server.stop().await;
        ended.context("the daemon broke down")?
    };
    let stopped = tokio::select! {
        stopped = stopping => stopped,
        signal = signals.next() => bail!("{signal} again: ended at once"),
    };
    match failure {
        Some(failure) => bail!(failure),
        None => stopped.map(|()| DONE),
    }
}

/// Signs this computer in, registers it, starts its daemon, and says how to go on.
///
/// The daemon is put into `started`, so that it can be ended when the rest fails.
async fn begin(
    server: &Server,
    shell: &Shell,
    shutdown: &Shutdown,
    started: &mut Option<JoinHandle<Result<()>>>,
) -> Result<()> {
    let url = address(server);
    // What is wrong with the identity is told before anything of the home changes.
    let machine = this_home::identify(shell).await?;
    this_home::leave_local_server(shell)?;
    this_home::refuse_other_server(shell, &url)?;
    let owner = accounts::local_owner(&server.app, &this_home::user_name()).await?;
    let session = accounts::cli_session(&server.app, owner, &this_home::hostname()).await?;
    let client = Client::with_session(&url, session.token.clone())?;

    client.register(machine.id, &machine.registration()).await?;
    let issued = client.issue_credential(machine.id).await?;
    machine.save_credential(&url, &issued.credential)?;
    machine.synced()?;
    this_home::save_auth(shell, &url, &session)?;
    let allowed = this_home::allow_directory(shell, &shell.cwd);

    // No agent is told where the server's database is. A project's own DATABASE_URL is another matter.
    let own = std::env::var_os(DATABASE[0]).is_some();
    let withheld = if own { &DATABASE[..1] } else { &DATABASE[..] };
    let vars =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let ambient = Ambient::new(vars.filter(|(name, _)| !withheld.contains(&name.as_str())));
    let options = Options { ambient: Some(ambient), ..Options::new(this_home::open(shell)?, shutdown.clone()) };
    let running = chatroom_daemon::run(options);
    let daemon = started.insert(tokio::spawn(async { daemon::ending(running.await).map(drop) }));
    settled(&client, daemon, machine.id, &machine.tools).await;
    let text = guide(server, owner, shell, &client, &machine.tools).await?;
    output::data(&text)?;
    if let Err(error) = allowed {
        output::talk(format!("note: {}", failure::chain(&error)));
    }
    Ok(())
}

/// Waits until the server sees this machine and its tools, so that what the guide says works at once.
async fn settled(client: &Client, daemon: &JoinHandle<Result<()>>, id: MachineId, found: &[ToolFacts]) {
    let installed = |facts: &&ToolFacts| facts.presence == ToolPresence::Installed;
    let until = Instant::now() + SETTLING;
    while Instant::now() < until && !daemon.is_finished() {
        let machines = client.machines().await.unwrap_or_default();
        let here = machines.iter().find(|machine| machine.machine_id == id && machine.daemon_connected);
        let knows = |facts: &ToolFacts| here.is_some_and(|here| here.available_tools.contains(&facts.tool));
        if here.is_some() && found.iter().filter(installed).all(knows) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    output::talk("note: the daemon is not connected yet; `chatroom machine daemon status` tells what it waits for");
}

/// Returns the address by which this computer reaches its own server.
fn address(server: &Server) -> String {
    let config = &server.app.config;
    if config.on_loopback() && config.tls.is_none() {
        return format!("http://127.0.0.1:{}", server.addr.port());
    }
    config.public_url.to_string().trim_end_matches('/').to_owned()
}

async fn guide(server: &Server, owner: UserId, shell: &Shell, client: &Client, tools: &[ToolFacts]) -> Result<String> {
    let public = server.app.config.public_url.to_string();
    let link = accounts::sign_in_link(&server.app, owner).await?;
    let mut text = format!(
        "chatroom runs at {public}\n\nSign in with this link; it works once, for 15 minutes:\n\n    {link}\n\n{}",
        programs(tools)
    );
    let tool =
        tools.iter().find(|facts| facts.presence == ToolPresence::Installed).map_or(Tool::Claude, |facts| facts.tool);
    let mode = if tool.can_ask() { "" } else { " --mode auto" };
    let folder = usage::quoted(&shell.cwd.display().to_string());
    let _ = write!(
        text,
        "\nGo on in a second terminal; ROOM is the id that the first command prints:\n\n    \
         chatroom room create hello --role builder\n    \
         chatroom agent start --chatroom-id ROOM --role builder --tool {tool} --working-dir {folder}{mode}\n    \
         echo \"Write a haiku about this folder into haiku.txt\" | chatroom message send --chatroom-id ROOM\n    \
         chatroom agent logs --chatroom-id ROOM --role builder --follow\n"
    );
    if !tool.can_ask() {
        let _ = write!(
            text,
            "\n{tool} cannot ask before it acts; permit that first:\n\n    chatroom machine allow --auto\n"
        );
    }
    match client::parse(public.trim_end_matches('/')) {
        Ok(url) if !client::is_loopback(&url) => {
            let enrolment = client.enrol().await?;
            let _ = write!(text, "\nA second computer joins with this line, once, within 15 minutes:\n\n    {}\n", enrolment.line);
        }
        _ => text.push_str(
            "\nOther computers cannot reach this server. For more than this one, run `chatroom server` with --listen and \
             --public-url.\n",
        ),
    }
    text.push_str("\nCtrl+C stops everything this started, agents included.\n");
    Ok(text)
}

/// Tells which agent programs were found, and how to get one if there is none.
fn programs(tools: &[ToolFacts]) -> String {
    let mut text = "Agent programs on this computer:\n\n".to_owned();
    for facts in tools {
        let state = match (facts.presence, &facts.version) {
            (ToolPresence::Installed, Some(version)) => output::one_line(version),
            (ToolPresence::Installed, None) => "found".to_owned(),
            (ToolPresence::Missing, _) => "–".to_owned(),
            (ToolPresence::ProbeFailed, _) => "found, but it does not tell its version".to_owned(),
        };
        let _ = writeln!(text, "    {:<9} {state}", facts.tool.as_str());
    }
    if tools.iter().all(|facts| facts.presence == ToolPresence::Missing) {
        text.push_str(
            "\nNone was found. Get one, sign in to it, and start this again:\n\n    \
             npm i -g @anthropic-ai/claude-code\n    npm i -g opencode-ai\n    \
             npm i -g @earendil-works/pi-coding-agent\n    cursor: its installer is at cursor.com/install\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_agent_program_it_says_how_to_get_one() {
        let facts =
            |tool, presence, version: Option<&str>| ToolFacts { tool, presence, version: version.map(str::to_owned) };
        let none = programs(&Tool::ALL.map(|tool| facts(tool, ToolPresence::Missing, None)));
        assert!(none.contains("npm i -g @anthropic-ai/claude-code"), "{none}");
        let one = programs(&[facts(Tool::Claude, ToolPresence::Installed, Some("2.1.0"))]);
        assert!(one.contains("claude    2.1.0") && !one.contains("npm"), "{one}");
    }
}
