//! `chatroom machine allow`: the one way to change what this machine permits. No server is asked.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::commands::{DONE, Format};
use crate::output;
use crate::shell::Shell;
use crate::this_home;

/// What to permit.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Allow {
    /// A folder agents may work in, with everything below it.
    dirs: Vec<PathBuf>,
    /// What projects in the folders bring along for agent programs (settings, hooks, plugins) holds in mode ask too.
    #[arg(long, requires = "dirs")]
    trust: bool,
    /// Agents may act without asking.
    #[arg(long)]
    auto: bool,
    /// Agents may be started in a terminal, into which what you type elsewhere is passed on.
    #[arg(long)]
    terminal: bool,
    /// Take the permission back.
    #[arg(long)]
    remove: bool,
    /// Print what is permitted.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    format: Format,
}

/// Changes or prints the policy.
pub fn run(verb: &Allow, shell: &Shell) -> Result<ExitCode> {
    for dir in &verb.dirs {
        let full = shell.cwd.join(dir);
        if verb.trust {
            trust(verb, shell, &full)?;
        } else if verb.remove {
            let was = this_home::forbid_directory(shell, &full)?;
            let full = full.display();
            output::talk(if was {
                format!("Agents may no longer work in {full}.")
            } else {
                format!("{full} was not permitted as such.")
            });
        } else {
            let real = this_home::allow_directory(shell, &full)?;
            output::talk(format!("Agents may work in {}.", real.display()));
        }
    }
    if verb.auto {
        this_home::allow_auto(shell, !verb.remove)?;
        output::talk(if verb.remove {
            "Agents must ask before they act."
        } else {
            "Agents may be started in mode auto: they act without asking, as you."
        });
    }
    if verb.terminal {
        this_home::allow_terminal(shell, !verb.remove)?;
        output::talk(if verb.remove {
            "Agents are not started in a terminal any more; those that run go on."
        } else {
            "Agents may be started in a terminal: what you type in `chatroom agent attach` is typed on this machine, \
             as you. Whether a program asks there before it acts is up to its own settings."
        });
    }
    if verb.list || (verb.dirs.is_empty() && !verb.auto && !verb.terminal) {
        let policy = this_home::policy(shell)?;
        let view = json!({
            "allowedDirectories": policy.allowed_directories,
            "trustedDirectories": policy.trusted_directories,
            "allowAuto": policy.allow_auto,
            "allowTerminal": policy.allow_terminal,
        });
        output::either(verb.format.json, &view, || {
            let word = |is_permitted: bool| if is_permitted { "permitted" } else { "not permitted" };
            let mut text =
                format!("mode auto    {}\nterminals    {}\n", word(policy.allow_auto), word(policy.allow_terminal));
            match &policy.allowed_directories[..] {
                [] => text.push_str("folders      none; `chatroom machine allow DIR` permits one\n"),
                dirs => {
                    for dir in dirs {
                        let _ = writeln!(text, "folder       {}", dir.display());
                    }
                }
            }
            for dir in &policy.trusted_directories {
                let _ = writeln!(text, "trusted      {}", dir.display());
            }
            text
        })?;
    }
    Ok(DONE)
}

fn trust(verb: &Allow, shell: &Shell, full: &Path) -> Result<()> {
    output::talk(if !verb.remove {
        let real = this_home::trust_directory(shell, full)?;
        format!("What projects in {} bring along for agent programs holds.", real.display())
    } else if this_home::distrust_directory(shell, full)? {
        format!("What projects in {} bring along is left out in mode ask.", full.display())
    } else {
        format!("{} was not trusted as such.", full.display())
    });
    Ok(())
}
