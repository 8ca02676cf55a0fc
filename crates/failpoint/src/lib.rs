//! Places where a test ends the process as `kill -9` does.
//!
//! A test names a file in the variable [`FILE`] and writes the name of a place into it. The process that comes to
//! that place removes the file and kills itself, so each arming ends one process once. A build without debug
//! assertions, as every release is, holds none of this.

/// The variable that names the file with the armed place.
pub const FILE: &str = "CHATROOM_FAILPOINT_FILE";

/// Ends the process here, if a test armed one of these places.
///
/// `names` is not called unless a test set [`FILE`].
#[cfg(debug_assertions)]
pub fn hit(names: impl FnOnce() -> Vec<String>) {
    use std::sync::OnceLock;
    static ARMED: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();

    let Some(file) = ARMED.get_or_init(|| std::env::var_os(FILE).map(Into::into)) else {
        return;
    };
    let Ok(armed) = std::fs::read_to_string(file) else {
        return;
    };
    if names().contains(&armed) && std::fs::remove_file(file).is_ok() {
        // The signal is delivered before the call returns.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

/// Does nothing: this is no test build.
#[cfg(not(debug_assertions))]
#[inline]
pub fn hit(_: impl FnOnce() -> Vec<String>) {}
