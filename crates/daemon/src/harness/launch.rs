//! The command line and environment of a run.
//!
//! Nothing from outside becomes an option. A value that is put into a command
//! line is a [`ModelId`] or a conversation's id, which cannot begin with `-`, or a path in the run's own
//! folder, which is absolute. Everything else (prompts, the role's system prompt)
//! goes by stdin or by file. In a terminal the role prompt is the last word of the
//! command line, as a person would write it there: see [`Slot::Prompt`].

use std::ffi::OsString;

use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::{ModelId, Tool};
use serde_json::{Map, Value, json};

use super::spec;
use crate::supervisor::RunSpec;

/// The file of a run that holds its role prompt.
pub const SYSTEM_PROMPT: &str = "system-prompt.md";

/// One place in a command line.
#[derive(Debug, Clone, Copy)]
pub enum Slot {
    /// This word.
    Word(&'static str),
    /// The model in one word with its option (`--model=…`), where one was chosen.
    JoinedModel(&'static str),
    /// The option and then the model, where one was chosen.
    Model(&'static str),
    /// The conversation in one word with its option, where the run goes on with one.
    JoinedConversation(&'static str),
    /// The option and then the conversation, where the run goes on with one.
    Conversation(&'static str),
    /// The path of the role prompt in one word with its option, where there is a prompt.
    JoinedPromptFile(&'static str),
    /// The option and then the path of the role prompt, where there is a prompt.
    PromptFile(&'static str),
    /// The role prompt itself as one word, where there is one. It never is an option, a file or a verb of the tool.
    Prompt,
}

/// Why a run cannot be started. The words say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotLaunch {
    /// The tool acts without asking.
    #[error(
        "{0} cannot ask for permission, so it is not started in mode ask; to let it act on its own, \
         run `chatroom machine allow --auto` on this machine and choose mode auto"
    )]
    CannotAsk(Tool),
    /// A path that is not absolute.
    #[error("{what} is not an absolute path: {path}")]
    NotAbsolute {
        /// Which path.
        what: &'static str,
        /// The path.
        path: String,
    },
    /// The user's own setting, into which ours must go, cannot be read.
    #[error("OPENCODE_CONFIG_CONTENT of this machine is not a JSON object; correct or remove it")]
    BadConfigContent,
}

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The arguments after the program.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The role prompt, to be written to [`SYSTEM_PROMPT`] first.
    pub prompt_file: Option<String>,
    /// The role prompt, to be typed once the tool takes it.
    pub first_words: Option<String>,
}

/// Composes command line and environment, or says why there can be none. Executes and writes nothing.
pub fn compose(run: &RunSpec) -> Result<Launch, CannotLaunch> {
    let tool = spec(run.tool);
    for (what, path) in
        [("the program", &run.program), ("the working directory", &run.working_dir), ("the run's folder", &run.run_dir)]
    {
        if !path.is_absolute() {
            return Err(CannotLaunch::NotAbsolute { what, path: path.display().to_string() });
        }
    }
    let by_mode = match run.mode {
        PermissionMode::Ask => tool.ask_argv.ok_or(CannotLaunch::CannotAsk(run.tool))?,
        PermissionMode::Auto => tool.auto_argv,
    };
    let slots = match run.form {
        RunForm::Managed => [tool.argv, by_mode, tool.last_argv],
        // In mode `ask` a tool asks in its terminal as it does for everybody; that needs no words of ours.
        RunForm::Terminal if run.mode == PermissionMode::Ask => [tool.terminal.argv, &[], tool.terminal.last_argv],
        RunForm::Terminal => [tool.terminal.argv, tool.auto_argv, tool.terminal.last_argv],
    };
    let without = tool.project.without.as_ref().filter(|_| run.without_project_settings);
    let [first, by_mode, last] = slots;
    let slots = [first, by_mode, without.map_or(&[], |without| without.argv), last];
    let has_prompt = !run.system_prompt.is_empty();
    let args: Vec<OsString> = slots.into_iter().flatten().flat_map(|slot| fill(*slot, run)).collect();
    let takes = |wanted: fn(&Slot) -> bool| slots.into_iter().flatten().any(wanted);
    let by_file = takes(|slot| matches!(slot, Slot::PromptFile(_) | Slot::JoinedPromptFile(_)));
    let by_word = takes(|slot| matches!(slot, Slot::Prompt));
    let by_keys = run.form == RunForm::Terminal && !by_word;
    Ok(Launch {
        args,
        env: environment(run)?,
        prompt_file: (by_file && has_prompt).then(|| run.system_prompt.clone()),
        first_words: (by_keys && has_prompt).then(|| plain(&run.system_prompt)),
    })
}

/// The text without what would steer a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The text as a word that is no option, names no file (`@`), runs nothing (`!`, `/`) and is no verb of a tool.
fn prompt_word(text: &str) -> String {
    let text = plain(text);
    let is_plain = text.starts_with(char::is_alphanumeric) && text.contains(char::is_whitespace);
    if is_plain { text } else { format!(" {text}") }
}

fn fill(slot: Slot, run: &RunSpec) -> Vec<OsString> {
    let has_prompt = !run.system_prompt.is_empty();
    let model = run.model.as_ref();
    let file = has_prompt.then(|| run.run_dir.join(SYSTEM_PROMPT));
    let joined = |option: &str, value: &std::ffi::OsStr| {
        let mut word = OsString::from(option);
        word.push("=");
        word.push(value);
        vec![word]
    };
    let model = model.map(|model| std::ffi::OsStr::new(model.as_str()));
    let conversation = run.conversation.as_ref().map(|id| std::ffi::OsStr::new(id.as_str()));
    let file = file.as_ref().map(|path| path.as_os_str());
    let apart = |option: &str, value: &std::ffi::OsStr| vec![option.into(), value.into()];
    match slot {
        Slot::Word(word) => vec![word.into()],
        Slot::JoinedModel(option) => model.map(|model| joined(option, model)).unwrap_or_default(),
        Slot::Model(option) => model.map(|model| apart(option, model)).unwrap_or_default(),
        Slot::JoinedConversation(option) => conversation.map(|id| joined(option, id)).unwrap_or_default(),
        Slot::Conversation(option) => conversation.map(|id| apart(option, id)).unwrap_or_default(),
        Slot::JoinedPromptFile(option) => file.map(|file| joined(option, file)).unwrap_or_default(),
        Slot::PromptFile(option) => file.map(|file| apart(option, file)).unwrap_or_default(),
        Slot::Prompt => has_prompt.then(|| prompt_word(&run.system_prompt).into()).into_iter().collect(),
    }
}

fn environment(run: &RunSpec) -> Result<Vec<(String, String)>, CannotLaunch> {
    let mut env = run.env.clone();
    let tool = spec(run.tool);
    let without = tool.project.without.as_ref().filter(|_| run.without_project_settings);
    for (name, value) in tool.env.iter().chain(without.map_or(&[][..], |without| without.env)) {
        set(&mut env, name, (*value).to_owned());
    }
    // opencode believes this variable more than its real working directory.
    set(&mut env, "PWD", run.working_dir.display().to_string());
    if run.form == RunForm::Terminal {
        set(&mut env, "TERM", "xterm-256color".to_owned());
        // A size of some other terminal would be believed more than that of this one.
        env.retain(|(name, _)| !["COLUMNS", "LINES", "TERMCAP"].contains(&name.as_str()));
        if let (Tool::Claude, Some(model)) = (run.tool, &run.model) {
            set(&mut env, "ANTHROPIC_MODEL", model.as_str().to_owned());
        }
    }
    match run.tool {
        // As root claude acts on its own only where it is told that it is walled in.
        Tool::Claude if run.mode == PermissionMode::Auto && nix::unistd::geteuid().is_root() => {
            set(&mut env, "IS_SANDBOX", "1".to_owned());
        }
        Tool::Opencode => {
            let overlay = opencode_overlay(get(&env, CONFIG_CONTENT), run.mode, run.model.as_ref())?;
            set(&mut env, CONFIG_CONTENT, overlay);
        }
        Tool::Claude | Tool::Cursor | Tool::Pi => {}
    }
    Ok(env)
}

const CONFIG_CONTENT: &str = "OPENCODE_CONFIG_CONTENT";

/// Everything opencode knows how to ask about.
const OPENCODE_PERMISSIONS: [&str; 6] = ["bash", "edit", "webfetch", "websearch", "external_directory", "doom_loop"];

/// Our rules on top of what the user says in the same variable: a rule is one word, so that no
/// narrower rule of another configuration file stays in force beside it.
fn opencode_overlay(own: Option<&str>, mode: PermissionMode, model: Option<&ModelId>) -> Result<String, CannotLaunch> {
    let mut config: Map<String, Value> = match own.filter(|own| !own.trim().is_empty()) {
        Some(own) => serde_json::from_str(own).map_err(|_| CannotLaunch::BadConfigContent)?,
        None => Map::new(),
    };
    let word = match mode {
        PermissionMode::Ask => "ask",
        PermissionMode::Auto => "allow",
    };
    let rules: Map<String, Value> = OPENCODE_PERMISSIONS.iter().map(|name| ((*name).to_owned(), json!(word))).collect();
    merge(&mut config, "permission", &rules);
    // An agent's own rules win over the general ones, so the default agent gets them too.
    merge_at(&mut config, &["agent", "build", "permission"], &rules);
    config.insert("autoupdate".to_owned(), json!(false));
    config.insert("share".to_owned(), json!("disabled"));
    if let Some(model) = model {
        config.insert("model".to_owned(), json!(model.as_str()));
    }
    Ok(Value::Object(config).to_string())
}

fn merge(into: &mut Map<String, Value>, key: &str, rules: &Map<String, Value>) {
    match into.get_mut(key) {
        Some(Value::Object(present)) => present.extend(rules.clone()),
        _ => {
            into.insert(key.to_owned(), Value::Object(rules.clone()));
        }
    }
}

fn merge_at(into: &mut Map<String, Value>, path: &[&str], rules: &Map<String, Value>) {
    match path {
        [] => {}
        [key] => merge(into, key, rules),
        [key, rest @ ..] => {
            let below = into.entry(*key).or_insert_with(|| json!({}));
            if !below.is_object() {
                *below = json!({});
            }
            if let Value::Object(below) = below {
                merge_at(below, rest, rules);
            }
        }
    }
}

fn get<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: String) {
    env.retain(|(known, _)| known != name);
    env.push((name.to_owned(), value));
}
