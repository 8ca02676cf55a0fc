//! What this machine has to say before a run is started, and what its supervisor is told.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chatroom_protocol::api::agents::RunForm;
use chatroom_protocol::api::daemon::StartRun;

use crate::credentials::Credentials;
use crate::detect;
use crate::env::{self, Ambient, RunVars, SearchPath};
use crate::home::Home;
use crate::policy::Policy;
use crate::sending::transcripts::Transcripts;
use crate::supervisor::RunSpec;

/// What every run of this daemon shares.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The home.
    pub home: Home,
    /// The program of supervisors and of the verbs inside a run.
    pub exe: PathBuf,
    /// What the daemon was started with.
    pub ambient: Ambient,
    /// Who sends what runs write to the server.
    pub transcripts: Transcripts,
}

/// Checks a start against this machine, makes the run's folder and composes what its supervisor is told.
///
/// The reason of a refusal is for people and says what would change it.
pub(super) fn prepare(ground: &Ground, start: &StartRun) -> Result<RunSpec, String> {
    let home = &ground.home;
    let policy = Policy::load(home).map_err(|error| error.to_string())?;
    policy.allows_form(start.form).map_err(|error| error.to_string())?;
    policy.allows_mode(start.tool, start.mode).map_err(|error| error.to_string())?;
    let working_dir = policy.allows(Path::new(&start.working_dir)).map_err(|error| error.to_string())?;
    let without_project_settings = start.form == RunForm::Managed
        && policy.leaves_out(start.tool, start.mode, &working_dir).map_err(|error| error.to_string())?;
    let ambient = ground.ambient.clone().with_file(home).map_err(|error| error.to_string())?;
    let mut other_secrets = env::secrets(home).map_err(|error| error.to_string())?;
    let program = detect::program(start.tool, &SearchPath::from(&ambient)).ok_or_else(|| {
        format!(
            "{} is not installed on this machine; if it is, add its folder to PATH in {}",
            start.tool,
            home.join(env::FILE).display()
        )
    })?;
    let credentials = Credentials::load(home)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| crate::link::NOT_REGISTERED.to_owned())?;
    other_secrets.extend([credentials.machine_token.clone(), credentials.platform_token.clone()]);
    let run_dir = home.folder(Path::new("runs").join(start.run_id.to_string())).map_err(|error| error.to_string())?;
    let bin = verbs(&run_dir, &ground.exe).map_err(|error| format!("{}: {error}", run_dir.display()))?;
    let env = env::compose(
        &ambient,
        &RunVars {
            server_url: &credentials.server_url,
            run_id: start.run_id,
            run_token: &start.run_token,
            form: start.form,
            slot: &start.slot,
            bin: &bin,
        },
    );
    Ok(RunSpec {
        run_id: start.run_id,
        tool: start.tool,
        program,
        model: start.model.clone(),
        conversation: start.conversation.clone(),
        working_dir,
        mode: start.mode,
        without_project_settings,
        form: start.form,
        system_prompt: start.system_prompt.clone(),
        env,
        run_token: start.run_token.clone(),
        other_secrets,
        run_dir,
    })
}

/// Makes the folder that puts `chatroom` on the run's PATH.
fn verbs(run_dir: &Path, exe: &Path) -> io::Result<PathBuf> {
    let bin = run_dir.join("bin");
    std::fs::create_dir_all(&bin)?;
    match symlink(exe, bin.join("chatroom")) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(bin),
    }
}
