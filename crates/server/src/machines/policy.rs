//! What a machine lets the server ask of it, as it says itself: nothing of it is kept here.

use chatroom_protocol::api::machines::MachinePolicy;
use chatroom_protocol::{ErrorCode, MachineId, UserId};

use super::call::Peer;
use super::{credential, find};
use crate::app::App;
use crate::error::{AgentError, Error};

/// Asks a machine of `user` for its policy.
pub async fn read(app: &App, user: UserId, id: MachineId) -> Result<MachinePolicy, Error> {
    let reader = app.reader();
    let machine = find(&reader, id, user).await?;
    let link = app.links.get(&machine.id).ok_or(AgentError::Offline)?;
    let token = credential::proof(app, &reader, machine.id).await?.token;
    match (Peer { link, token }).get("/policy").await.map_err(Error::from) {
        Err(Error::Agent(AgentError::Refused(problem))) if problem.code == ErrorCode::NotFound => {
            let why = "its daemon is of an older version, which does not tell what it allows; update it";
            Err(AgentError::MachineFailed(why.into()).into())
        }
        answered => answered,
    }
}
