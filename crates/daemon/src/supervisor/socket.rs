//! Where the files of a run are, and its socket among them.
//!
//! A socket's path may hold about 100 bytes. For a deeper run folder the socket
//! lies in a private folder below the system's temporary one, and `sock` in the
//! run folder is a link to it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::net::UnixListener;

use crate::hex::hex;

/// The socket, or a link to it.
pub const SOCKET: &str = "sock";
/// The durable log of events.
pub const EVENTS: &str = "events.jsonl";
/// What the tool printed.
pub const OUTPUT: &str = "output.log";
/// What the supervisor itself has to say.
pub const LOG: &str = "supervisor.log";

/// Paths up to this length fit on every system.
const MAX_PATH: usize = 100;

/// Returns the path to connect to; `None` if there is no socket.
pub fn find(run_dir: &Path) -> Option<PathBuf> {
    let path = run_dir.join(SOCKET);
    match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_symlink() => fs::read_link(&path).ok(),
        Ok(_) => Some(path),
        Err(_) => None,
    }
}

/// The listening end. Its files go away with it.
#[derive(Debug)]
pub struct Listening {
    /// Accepts daemons.
    pub listener: UnixListener,
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // They may be gone with the run's folder already.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Makes the socket, mode 0600. One left by a dead supervisor is replaced.
pub fn listen(run_dir: &Path) -> io::Result<Listening> {
    let path = run_dir.join(SOCKET);
    let _ = fs::remove_file(&path);
    if path.as_os_str().len() <= MAX_PATH {
        let listener = bind(&path)?;
        return Ok(Listening { listener, files: vec![path], folder: None });
    }
    let folder = private_folder(run_dir)?;
    let target = folder.join(SOCKET);
    let _ = fs::remove_file(&target);
    let listener = bind(&target)?;
    symlink(&target, &path)?;
    Ok(Listening { listener, files: vec![path, target], folder: Some(folder) })
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A folder of ours alone, named after the run's: somebody else's folder of that name is refused.
fn private_folder(run_dir: &Path) -> io::Result<PathBuf> {
    let hash = Sha256::digest(run_dir.as_os_str().as_encoded_bytes());
    let name = hex(&hash[..8]);
    let folder = std::env::temp_dir().join(format!("chatroom-{name}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = fs::symlink_metadata(&folder)?;
    let ours =
        meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw() && meta.permissions().mode() & 0o777 == 0o700;
    if !ours {
        return Err(io::Error::other(format!("{} belongs to somebody else", folder.display())));
    }
    Ok(folder)
}
