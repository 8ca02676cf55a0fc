//! `chatroom machine join`: the last step of the line that `machine add` prints.

use std::process::ExitCode;

use anyhow::Result;
use chatroom_protocol::api::machines::ClaimEnrolment;
use clap::Args;

use crate::client::Client;
use crate::commands::DONE;
use crate::output;
use crate::shell::Shell;
use crate::this_home;

/// Where, and with what.
#[derive(Debug, Args)]
pub struct Join {
    /// The server's address.
    #[arg(long)]
    url: String,
    /// The one-use code.
    code: String,
}

/// Registers this computer with the code.
pub async fn run(verb: &Join, shell: &Shell) -> Result<ExitCode> {
    let client = Client::anonymous(&verb.url)?;
    this_home::refuse_other_server(shell, &client.url())?;
    let machine = this_home::identify(shell).await?;
    let body = ClaimEnrolment { code: verb.code.clone(), machine_id: machine.id, machine: machine.registration() };
    let issued = client.claim_enrolment(&body).await?;
    machine.save_credential(&client.url(), &issued.credential)?;
    machine.synced()?;
    output::talk(format!(
        "This computer is {} at {}. Permit a folder for agents, and start its daemon:\n\n    chatroom machine allow \
         DIR\n    chatroom machine daemon start",
        output::one_line(&issued.machine.alias),
        client.url()
    ));
    Ok(DONE)
}
