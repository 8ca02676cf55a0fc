//! `chatroom openapi`: the description of the server's API, as it is committed.

use std::process::ExitCode;

use anyhow::Result;

use super::DONE;
use crate::output;

/// Prints it.
pub fn run() -> Result<ExitCode> {
    output::data(&chatroom_server::http::description().to_pretty_json()?)?;
    Ok(DONE)
}
