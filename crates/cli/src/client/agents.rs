//! Agents and their runs.

use chatroom_protocol::api::Done;
use chatroom_protocol::api::agents::{Agents, AnswerPermission, FollowUp, PromptView, Prompts, Runs, ShareAgent};
use chatroom_protocol::{PermissionId, PromptId, Role, RoomId};
use reqwest::Method;

use super::{Again, ApiError, Client};

impl Client {
    /// Lists the agents of a room, one per role.
    pub async fn agents(&self, room: RoomId) -> Result<Agents, ApiError> {
        self.get(&format!("/api/chatrooms/{room}/agents")).await
    }

    /// Lists the latest runs of a role, the newest first.
    pub async fn runs(&self, room: RoomId, role: &Role, limit: u64) -> Result<Runs, ApiError> {
        self.get(&format!("/api/chatrooms/{room}/agents/{role}/runs?limit={limit}")).await
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

    /// Tells an agent something more.
    pub async fn follow_up(&self, room: RoomId, role: &Role, body: &FollowUp) -> Result<PromptView, ApiError> {
        let path = format!("/api/chatrooms/{room}/agents/{role}/follow-up");
        // A second one would be told as well.
        let answer = self.send(Method::POST, &path, Some(body), Again::Never, super::PATIENCE).await?;
        self.read(answer).await
    }

    /// Lists what an agent is told next.
    pub async fn prompts(&self, room: RoomId, role: &Role) -> Result<Prompts, ApiError> {
        self.get(&format!("/api/chatrooms/{room}/agents/{role}/prompts")).await
    }

    /// Tells an agent something else than it was to be told.
    pub async fn edit_prompt(
        &self,
        room: RoomId,
        role: &Role,
        prompt: PromptId,
        body: &FollowUp,
    ) -> Result<PromptView, ApiError> {
        let path = format!("/api/chatrooms/{room}/agents/{role}/prompts/{prompt}");
        let answer = self.send(Method::PUT, &path, Some(body), Again::Harmless, super::PATIENCE).await?;
        self.read(answer).await
    }

    /// Takes back what an agent was to be told.
    pub async fn withdraw_prompt(&self, room: RoomId, role: &Role, prompt: PromptId) -> Result<(), ApiError> {
        let path = format!("/api/chatrooms/{room}/agents/{role}/prompts/{prompt}");
        self.done(Method::DELETE, &path, None::<&()>).await
    }

    /// Lets the other members act through an agent, or not.
    pub async fn share(&self, room: RoomId, role: &Role, body: ShareAgent) -> Result<(), ApiError> {
        self.done(Method::PUT, &format!("/api/chatrooms/{room}/agents/{role}/share"), Some(&body)).await
    }
}
