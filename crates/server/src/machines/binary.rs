//! The program a computer that joins gets: the one this server runs as.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

use crate::app::App;
use crate::error::Error;

/// What was last hashed: the program is large and rarely changes.
static LAST: Mutex<Option<Program>> = Mutex::const_new(None);

/// The program, as it lies on disk right now.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// Its SHA-256, in hex.
    pub checksum: String,
    changed: Option<SystemTime>,
}

/// Returns the platform the program is for, such as `linux-x86_64`.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Returns the program this server hands out, if it was told of one.
pub async fn program(app: &App) -> Result<Option<Program>, Error> {
    match &app.config.binary {
        Some(path) => read(path).await.map(Some),
        None => Ok(None),
    }
}

async fn read(path: &Path) -> Result<Program, Error> {
    let fault =
        |error: std::io::Error| Error::Internal(format!("the program {} cannot be read: {error}", path.display()));
    let mut file = tokio::fs::File::open(path).await.map_err(fault)?;
    let facts = file.metadata().await.map_err(fault)?;
    let (size, changed) = (facts.len(), facts.modified().ok());
    let mut last = LAST.lock().await;
    if let Some(known) = &*last
        && known.path == path
        && known.size == size
        && known.changed == changed
    {
        return Ok(known.clone());
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).await.map_err(fault)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let checksum = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let program = Program { path: path.to_owned(), size, checksum, changed };
    *last = Some(program.clone());
    Ok(program)
}
