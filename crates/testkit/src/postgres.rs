//! A PostgreSQL that lives as long as the tests.
//!
//! With `TEST_POSTGRES_URL` set, that server is used (`cargo xtask test` sets it). Otherwise each
//! test process that asks starts a cluster of its own, without durability, reachable only through
//! a socket in a private folder, and a watcher removes it when the process is gone, however it
//! ended. Every test gets a database of its own; a server from outside keeps them.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use nix::unistd::{Uid, User};
use url::Url;

/// The name of the variable that points at a server which is already there.
pub const URL_VARIABLE: &str = "TEST_POSTGRES_URL";

static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();

/// Returns the URL of a server on which the caller may create databases.
pub async fn url() -> anyhow::Result<Url> {
    if let Ok(url) = env::var(URL_VARIABLE) {
        return Url::parse(&url).context("TEST_POSTGRES_URL is not a URL");
    }
    let cluster =
        tokio::task::spawn_blocking(|| CLUSTER.get_or_init(|| Cluster::start().map_err(|error| format!("{error:#}"))));
    match cluster.await? {
        Ok(cluster) => Ok(cluster.url.clone()),
        Err(error) => anyhow::bail!("no PostgreSQL for the tests: {error}"),
    }
}

/// Creates an empty database and returns its URL.
pub async fn fresh_database() -> anyhow::Result<Url> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = url().await?;
    let since_epoch = std::time::UNIX_EPOCH.elapsed()?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("t{}_{}_{count}", since_epoch.as_millis(), std::process::id());

    let mut database = server.clone();
    database.set_path(&name);
    tokio::task::spawn_blocking(move || {
        let mut psql = Command::new(program("psql")?);
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command"])
            .arg(format!("CREATE DATABASE {name}"))
            .arg(server.as_str());
        run(&mut psql)
    })
    .await??;
    Ok(database)
}

/// A running cluster of this process; the watcher stops it when `lifeline` closes.
pub struct Cluster {
    url: Url,
    folder: PathBuf,
    _lifeline: std::process::ChildStdin,
}

impl Cluster {
    /// Starts a cluster that stops when the returned value is dropped or the process ends.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&["fsync = off", "synchronous_commit = off", "full_page_writes = off"])
    }

    /// Starts one that writes to the disk as one in production does, to be measured.
    pub fn start_durable() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    fn start_with(settings: &[&str]) -> anyhow::Result<Self> {
        let owner = Owner::choose()?;
        let folder = owner.private_folder()?;
        let data = folder.join("data");
        // Before anything else, so that nothing is left behind whatever fails.
        let lifeline = owner.watch(&folder)?;

        let mut initdb = owner.command("initdb")?;
        initdb
            .arg("--pgdata")
            .arg(&data)
            .args(["--username=chatroom", "--auth=trust", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"]);
        run(&mut initdb)?;
        run(&mut owner.settings(&data, &folder, settings))?;

        run(&mut owner.start(&folder)?)?;

        let mut url = Url::parse("postgres://chatroom@localhost/postgres")?;
        url.query_pairs_mut().append_pair("host", &folder.to_string_lossy());
        Ok(Self { url, folder, _lifeline: lifeline })
    }

    /// Stops it, whoever is connected; its data stays.
    pub fn halt(&self) -> anyhow::Result<()> {
        let mut stop = Owner::choose()?.command("pg_ctl")?;
        stop.arg("--pgdata").arg(self.folder.join("data")).args(["--mode", "fast", "--silent", "stop"]);
        run(&mut stop)
    }

    /// Starts it again.
    pub fn resume(&self) -> anyhow::Result<()> {
        run(&mut Owner::choose()?.start(&self.folder)?)
    }

    /// Returns the URL of its `postgres` database.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// The user the server runs as: PostgreSQL refuses to run as root.
struct Owner(Option<User>);

impl Owner {
    fn choose() -> anyhow::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self(Some(user)));
            }
        }
        anyhow::bail!("running as root, and there is neither a user postgres nor nobody to drop to")
    }

    fn command(&self, name: &str) -> anyhow::Result<Command> {
        Ok(self.become_owner(Command::new(program(name)?)))
    }

    fn start(&self, folder: &Path) -> anyhow::Result<Command> {
        let mut start = self.command("pg_ctl")?;
        start.arg("--pgdata").arg(folder.join("data")).args(["--wait", "--silent", "--log"]);
        start.arg(folder.join("log")).arg("start");
        Ok(start)
    }

    fn become_owner(&self, mut command: Command) -> Command {
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir("/").env_remove("PGHOST").env_remove("PGPORT");
        command
    }

    /// Makes a folder with a short name: the path of a socket holds about 100 bytes.
    fn private_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = tempfile::Builder::new().prefix("crpg").tempdir_in("/tmp")?.keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if let Some(user) = &self.0 {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        Ok(folder)
    }

    fn settings(&self, data: &Path, folder: &Path, more: &[&str]) -> Command {
        let script = r#"data=$1 folder=$2; shift 2
            printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$folder'" \
            'max_connections = 300' 'shared_buffers = 32MB' "$@" >> "$data/postgresql.conf""#;
        let mut shell = self.become_owner(Command::new("sh"));
        shell.args(["-c", script, "settings"]).arg(data).arg(folder).args(more);
        shell
    }

    /// Starts the process that stops the server and removes its folder once its stdin closes.
    ///
    /// It has a process group of its own, so that an interrupted test run does not take it along.
    fn watch(&self, folder: &Path) -> anyhow::Result<std::process::ChildStdin> {
        let script = r#"read -r _; "$1" --pgdata "$2/data" --mode immediate --silent stop; rm -rf "$2""#;
        let mut shell = self.become_owner(Command::new("sh"));
        shell.args(["-c", script, "watcher"]).arg(program("pg_ctl")?).arg(folder);
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watcher = shell.spawn().context("cannot start the watcher of the cluster")?;
        watcher.stdin.take().context("the watcher has no stdin")
    }
}

/// Finds a program of PostgreSQL; Debian keeps the server's outside PATH.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join(name));
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    versions.sort_by_key(|folder| {
        let version = folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    let of_debian = versions.into_iter().map(|folder| folder.join("bin").join(name));
    on_path.chain(of_debian).find(|candidate| candidate.is_file()).with_context(|| {
        format!("{name} not found: run cargo xtask test, which installs PostgreSQL, or set {URL_VARIABLE}")
    })
}

/// Runs a program to its end and quotes its output when it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().display().to_string();
    // A server started by pg_ctl would hold a pipe open, so its output goes to a file.
    let mut output = tempfile::tempfile()?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    if status.success() {
        return Ok(());
    }
    output.flush()?;
    std::io::Seek::rewind(&mut output)?;
    let said = std::io::read_to_string(output)?;
    anyhow::bail!("{name} failed ({status}): {}", said.trim())
}
