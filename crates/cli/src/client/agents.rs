//! Agents and their runs.

use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::{Agents, AnswerPermission, ShareAgent};
use chatroom_protocol::{PermissionId, Role, RoomId};
use reqwest::Method;

use super::{Again, ApiError, Client};

impl Client {
    /// Lists the agents of a room, one per role.
    pub async fn agents(&self, room: RoomId) -> Result<Agents, ApiError> {
        self.get(&format!("/api/chatrooms/{room}/agents")).await
    }

    /// Ends the agent's turn. Returns whether it was in one.
    pub async fn interrupt(&self, room: RoomId, role: &Role) -> Result<bool, ApiError> {
        let path = format!("/api/chatrooms/{room}/agents/{role}/interrupt");
        let answer = self.send(Method::POST, &path, None::<&()>, Again::Harmless, super::PATIENCE).await?;
        Ok(self.read::<Done>(answer).await?.changed)
    }

    /// Answers what an agent asks.
    pub async fn answer_permission(
        &self,
        room: RoomId,
        role: &Role,
        permission: PermissionId,
        body: &AnswerPermission,
    ) -> Result<(), ApiError> {
        let path = format!("/api/chatrooms/{room}/agents/{role}/permissions/{permission}");
        // A second answer would be refused as too late, though the first one counted.
        self.send(Method::POST, &path, Some(body), Again::Never, super::PATIENCE).await.map(drop)
    }

    /// Lets the other members act through an agent, or not.
    pub async fn share(&self, room: RoomId, role: &Role, body: ShareAgent) -> Result<(), ApiError> {
        self.done(Method::PUT, &format!("/api/chatrooms/{room}/agents/{role}/share"), Some(&body)).await
    }
}
