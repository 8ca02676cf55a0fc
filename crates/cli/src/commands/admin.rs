//! `chatroom admin`: what an operator does at the server's computer, beside the running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use chatroom_server::admin;
use chatroom_server::config::{Config, Flags, Purpose};
use clap::{Args, Subcommand};

use super::DONE;
use crate::shell::Shell;
use crate::{input, output, times};

/// What an operator does.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// End a person's password and sign-ins, and print a link that signs in once.
    ResetPassword(ResetPassword),
    /// Print a link that signs a person in, once; nothing else changes.
    SignInLink(SignInLink),
    /// Write all rows into one file; the server may run.
    Backup(Backup),
    /// Load a backup into a new or empty database of either kind.
    Restore(Restore),
}

/// Which server.
#[derive(Debug, Args)]
pub struct Place {
    /// The server's file of settings, TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of what the server keeps; `CHATROOM_HOME/server` if omitted.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A `postgres://…` or `sqlite://PATH`; SQLite in the data folder if omitted.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The address people use; where the server was last reached if omitted.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Place {
    fn config(self, shell: &Shell) -> Result<Config> {
        let flags = Flags {
            config: self.config,
            data_dir: self.data_dir,
            database: self.database,
            public_url: self.public_url,
            ..Flags::default()
        };
        Ok(Config::load(Purpose::Server, flags, shell.env())?)
    }

    async fn open(self, shell: &Shell) -> Result<admin::Admin> {
        Ok(admin::Admin::open(self.config(shell)?).await?)
    }
}

/// Whose.
#[derive(Debug, Args)]
pub struct ResetPassword {
    /// The person's e-mail or name.
    who: String,
    /// Set the password that comes on stdin, one line.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    place: Place,
}

/// Whose.
#[derive(Debug, Args)]
pub struct SignInLink {
    /// The person's e-mail or name; the oldest account if omitted, as `chatroom up` has it.
    who: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Where to.
#[derive(Debug, Args)]
pub struct Backup {
    /// The new file.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Where from.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Does it.
pub async fn run(verb: Admin, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("admin")?;
    match verb {
        Admin::ResetPassword(verb) => reset_password(verb, shell).await,
        Admin::SignInLink(verb) => sign_in_link(verb, shell).await,
        Admin::Backup(verb) => backup(verb, shell).await,
        Admin::Restore(verb) => restore(verb, shell).await,
    }
}

async fn reset_password(verb: ResetPassword, shell: &Shell) -> Result<ExitCode> {
    let password = if verb.password_stdin {
        let text = input::body("chatroom admin reset-password WHO --password-stdin", "PASSWORD_END")?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\n') {
            bail!("a password is one line, but several came on stdin");
        }
        Some(line.to_owned())
    } else {
        None
    };
    let admin = verb.place.open(shell).await?;
    let user = admin.person(Some(&verb.who)).await?;
    let (ended, link) = admin.reset_password(user.id, password.as_deref()).await?;
    let what = match password {
        Some(_) => "has the new password",
        None => "has no password any more",
    };
    output::talk(format!("{} {what}; sign-ins ended: {ended}.", output::one_line(user.email.as_str())));
    show_link(&link)
}

async fn sign_in_link(verb: SignInLink, shell: &Shell) -> Result<ExitCode> {
    let admin = verb.place.open(shell).await?;
    let user = admin.person(verb.who.as_deref()).await?;
    let link = admin.sign_in_link(user.id).await?;
    output::talk(format!("For {} ({}).", output::one_line(&user.name), output::one_line(user.email.as_str())));
    show_link(&link)
}

fn show_link(link: &str) -> Result<ExitCode> {
    output::talk("The link works once, for 15 minutes:");
    output::data(link)?;
    Ok(DONE)
}

async fn backup(verb: Backup, shell: &Shell) -> Result<ExitCode> {
    let admin = verb.place.open(shell).await?;
    let saved = admin.backup(&verb.file).await?;
    output::data(&format!(
        "{} holds {} rows of {} tables.\n\nIt holds no key: secrets in it are sealed. Keep the server's keys apart from it (the file \
         secret.key in the data folder, or CHATROOM_SECRET_KEYS): without them, the restored server cannot reach its \
         machines.",
        verb.file.display(),
        saved.rows,
        saved.tables
    ))?;
    Ok(DONE)
}

async fn restore(verb: Restore, shell: &Shell) -> Result<ExitCode> {
    let config = verb.place.config(shell)?;
    let loaded = admin::restore(&config, &verb.file).await?;
    let keys = if config.secret_keys.is_some() || config.data_dir.join("secret.key").exists() {
        "The keys of this server must be those of the one that was backed up.".to_owned()
    } else {
        format!(
            "Before you start the server, put the old server's secret.key into {} or set CHATROOM_SECRET_KEYS.",
            config.data_dir.display()
        )
    };
    output::data(&format!(
        "Restored {} rows of {} tables, as of {}.\n\n{keys}",
        loaded.rows,
        loaded.tables,
        times::utc(loaded.taken_at)
    ))?;
    Ok(DONE)
}
