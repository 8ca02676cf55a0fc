//! Processes of machines: real daemons, and one process that is many machines.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context as _;
use chatroom_daemon::credentials::Credentials;
use chatroom_daemon::home::Home;
use chatroom_daemon::identity::Identity;
use chatroom_protocol::MachineId;
use tempfile::TempDir;

use crate::seed::Machine;
use crate::server;

/// Homes of daemons that are not there yet.
pub struct Homes {
    folder: TempDir,
    /// The machines they are.
    pub ids: Vec<MachineId>,
}

impl Homes {
    /// Makes homes, each with an identity of its own.
    pub fn make(count: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ids = (0..count).map(|index| {
            let home = Home::open(folder.path().join(index.to_string()))?;
            anyhow::Ok(Identity::ensure(&home, &[])?.machine_id)
        });
        Ok(Self { ids: ids.collect::<Result<_, _>>()?, folder })
    }

    fn home(&self, index: usize) -> PathBuf {
        self.folder.path().join(index.to_string())
    }

    /// Starts their daemons, as a person starts one.
    pub fn start(&self, program: &Path, url: &str, machines: &[Machine]) -> anyhow::Result<Vec<Daemon>> {
        let mut started = Vec::new();
        for (index, machine) in machines.iter().enumerate() {
            let home = Home::open(self.home(index))?;
            Credentials::issued(url.parse()?, machine.credential.clone()).save(&home)?;
            let log = File::create(self.home(index).with_extension("log"))?;
            let child = Command::new(program)
                .args(["machine", "daemon", "start", "--foreground"])
                .env("CHATROOM_HOME", self.home(index))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .with_context(|| format!("cannot run {}", program.display()))?;
            started.push(Daemon(child));
        }
        Ok(started)
    }
}

/// A real daemon.
pub struct Daemon(Child);

impl Daemon {
    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = server::end(&mut self.0);
    }
}

/// One process that is many machines; see `tunnels`.
pub struct Crowd {
    child: Child,
    lifeline: Option<ChildStdin>,
    _file: TempDir,
}

impl Crowd {
    /// Starts it.
    pub fn start(machines: &[Machine], url: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("machines.json");
        std::fs::write(&file, serde_json::to_vec(machines)?)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["machines", "--url", url, "--file"])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { lifeline: child.stdin.take(), child, _file: folder })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // It ends by itself now.
        let _ = self.child.wait();
    }
}
