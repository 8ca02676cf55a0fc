//! `chatroom machine daemon install`: the daemon as a service of its user.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use chatroom_daemon::control;
use chatroom_daemon::env::SearchPath;
use chatroom_daemon::home::{Home, person_home};
use chatroom_daemon::service::{Manager, Service};
use chatroom_daemon::status;
use serde_json::json;

use super::super::{DONE, Format};
use crate::shell::Shell;
use crate::{output, this_home, usage};

/// Writes the service of this home, and starts it where that is possible.
pub async fn install(format: Format, shell: &Shell) -> Result<ExitCode> {
    let home = super::ready(shell)?;
    super::introduce(shell).await?;
    let (service, file) = service(&home, shell)?;
    let changed = service.write(&file)?;
    let busy = status::query(&home).await.map(|status| status.pid);
    let steps = enabling(&service, &file, busy.is_some());
    let enabled = reachable(service.manager) && all(&steps);
    let view = json!({
        "service": service.name(), "file": file, "changed": changed, "enabled": enabled,
        "path": service.variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value),
    });
    output::either(format.json, &view, || {
        let what = if changed { "Wrote" } else { "Unchanged:" };
        let mut text = format!("{what} {}, with the PATH of this shell.\n", file.display());
        if enabled {
            text.push_str("The daemon starts by itself from now on.\n");
        } else {
            text.push_str("The supervisor of your services cannot be reached from here; run this where it can:\n\n");
            text.push_str(&lines(&steps));
        }
        if let Some(pid) = busy {
            let start = starting(&service, &file);
            let _ = write!(
                text,
                "\nA daemon runs (process {pid}). To have it run as the service, which ends its agents:\n\n    \
                 chatroom machine daemon stop\n{}",
                lines(&[start])
            );
        }
        if service.manager == Manager::Systemd && !lingers() {
            text.push_str("\nSo that it runs while you are not logged in as well:\n\n    loginctl enable-linger\n");
        }
        text
    })?;
    Ok(DONE)
}

/// Stops the service of this home and removes its file.
pub fn uninstall(format: Format, shell: &Shell) -> Result<ExitCode> {
    let home = this_home::open(shell)?;
    let (service, file) = service(&home, shell)?;
    let there = file.exists();
    let steps = disabling(&service, &file);
    let disabled = there && reachable(service.manager) && all(&steps);
    if there {
        std::fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))?;
    }
    if disabled && service.manager == Manager::Systemd {
        all(&[words(&["systemctl", "--user", "daemon-reload"])]);
    }
    output::either(format.json, &json!({ "service": service.name(), "removed": there, "stopped": disabled }), || {
        if !there {
            return format!("There is no service of this home ({} does not exist).", file.display());
        }
        let mut text = format!("Removed {}.\n", file.display());
        if !disabled {
            text.push_str("The supervisor of your services cannot be reached from here; run this where it can:\n\n");
            text.push_str(&lines(&steps));
        }
        text
    })?;
    Ok(DONE)
}

fn service(home: &Home, shell: &Shell) -> Result<(Service, PathBuf)> {
    let Some(manager) = Manager::here() else {
        bail!(
            "services are known for Linux (systemd) and macOS (launchd); here, have \
             `chatroom machine daemon start --foreground` run by what starts your programs"
        );
    };
    let person = person_home().context("no home folder is known for this user; set HOME")?;
    let mut variables = vec![
        ("PATH".to_owned(), SearchPath::of(home)?.joined(None)),
        ("CHATROOM_HOME".to_owned(), home.path().display().to_string()),
    ];
    variables.extend(this_home::server_url(shell)?.map(|url| ("CHATROOM_URL".to_owned(), url)));
    let service = Service {
        manager,
        exe: std::env::current_exe().context("this program cannot find itself")?,
        home: home.path().to_owned(),
        log: control::log_file(home),
        variables,
        is_usual_home: home.path() == person.join(".chatroom"),
    };
    let settings = shell.var("XDG_CONFIG_HOME").map(Path::new).filter(|path| path.is_absolute());
    let file = service.file(&person, settings);
    Ok((service, file))
}

fn words(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn domain() -> String {
    format!("gui/{}", nix::unistd::getuid())
}

fn enabling(service: &Service, file: &Path, busy: bool) -> Vec<Vec<String>> {
    match service.manager {
        Manager::Systemd => {
            let mut enable = words(&["systemctl", "--user", "enable"]);
            if !busy {
                enable.push("--now".to_owned());
            }
            enable.push(service.name());
            vec![words(&["systemctl", "--user", "daemon-reload"]), enable]
        }
        // Loaded while another daemon runs, it ends well and is not started again.
        Manager::Launchd => vec![words(&["launchctl", "bootstrap", &domain(), &file.display().to_string()])],
    }
}

fn starting(service: &Service, _file: &Path) -> Vec<String> {
    match service.manager {
        Manager::Systemd => words(&["systemctl", "--user", "restart", &service.name()]),
        Manager::Launchd => words(&["launchctl", "kickstart", &format!("{}/{}", domain(), service.name())]),
    }
}

fn disabling(service: &Service, _file: &Path) -> Vec<Vec<String>> {
    match service.manager {
        Manager::Systemd => vec![words(&["systemctl", "--user", "disable", "--now", &service.name()])],
        Manager::Launchd => vec![words(&["launchctl", "bootout", &format!("{}/{}", domain(), service.name())])],
    }
}

fn lines(steps: &[Vec<String>]) -> String {
    let line = |step: &Vec<String>| step.iter().map(|word| usage::quoted(word)).collect::<Vec<_>>().join(" ");
    steps.iter().map(|step| ["    ", &line(step), "\n"].concat()).collect()
}

/// Runs commands one after another until one fails.
fn all(steps: &[Vec<String>]) -> bool {
    steps.iter().all(|step| {
        let (program, args) = step.split_first().map_or(("", &[][..]), |(program, args)| (program, args));
        Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

fn reachable(manager: Manager) -> bool {
    match manager {
        Manager::Systemd => all(&[words(&["systemctl", "--user", "show-environment"])]),
        Manager::Launchd => all(&[words(&["launchctl", "print", &domain()])]),
    }
}

/// Returns whether this user's services live on without a login.
fn lingers() -> bool {
    Path::new("/var/lib/systemd/linger").join(this_home::user_name()).exists()
}
