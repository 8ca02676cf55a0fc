//! The supervisor as a program of its own: `supervise supervise RUN_DIR`, as `chatroom` takes it.
//!
//! The tests of this crate start it, since the binary `chatroom` is in a crate above this one.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match std::env::args_os().nth(2) {
        Some(run_dir) => chatroom_daemon::supervisor::main(run_dir.into()).await,
        None => ExitCode::from(2),
    }
}
