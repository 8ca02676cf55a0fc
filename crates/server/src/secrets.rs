//! The keys secrets are sealed with: given, or kept in a file beside the data.

use std::io::Write as _;
use std::path::Path;

use chatroom_domain::secrets::{KeyRing, SecretError};

use crate::config::Config;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// They are not keys, or bad ones.
    #[error("{place}: {error}")]
    Bad {
        /// Where they come from.
        place: String,
        /// What is wrong with them.
        error: SecretError,
    },
    /// The file cannot be read or made.
    #[error("the key file {path} cannot be used: {error}")]
    File {
        /// Where it is.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// Returns the key ring of a server, making a key if there is none.
pub fn key_ring(config: &Config) -> Result<KeyRing, KeyError> {
    if let Some(keys) = &config.secret_keys {
        let place = "CHATROOM_SECRET_KEYS".to_owned();
        return KeyRing::parse(keys.expose()).map_err(|error| KeyError::Bad { place, error });
    }
    let path = config.data_dir.join("secret.key");
    let file = |error| KeyError::File { path: path.display().to_string(), error };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut random = [0; 32];
            getrandom::fill(&mut random).map_err(|_| KeyError::NoRandomness)?;
            let text = KeyRing::format_key("k1", random);
            write_private(&path, &text).map_err(file)?;
            tracing::warn!(
                path = %path.display(),
                "made a key for secrets; back it up: without it the secrets in the database are lost"
            );
            text
        }
        Err(error) => return Err(file(error)),
    };
    KeyRing::parse(text.trim()).map_err(|error| KeyError::Bad { place: path.display().to_string(), error })
}

/// Writes a file only its owner can read; whoever comes second fails.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
