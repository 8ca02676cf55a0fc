//! Machines, their configurations and commands.

use chatroom_protocol::api::agents::Runs;
use chatroom_protocol::api::commands::{CommandView, SendCommand};
use chatroom_protocol::api::machines::{
    AgentConfigView, ClaimEnrolment, Enrolment, IssuedMachine, MachinePolicy, MachineView, Machines, RegisterMachine,
    RenameMachine, UpdateAgentConfig,
};
use chatroom_protocol::{CommandId, MachineId, Role, RoomId};
use reqwest::Method;

use super::{Again, ApiError, Client};

impl Client {
    /// Registers a machine; a second time changes nothing but what it reports of itself.
    pub async fn register(&self, machine: MachineId, body: &RegisterMachine) -> Result<MachineView, ApiError> {
        self.put(&format!("/api/machines/{machine}"), body).await
    }

    /// Issues the machine's mutual credential; the one before it stops working.
    pub async fn issue_credential(&self, machine: MachineId) -> Result<IssuedMachine, ApiError> {
        self.post(&format!("/api/machines/{machine}/credential"), &(), Again::Harmless).await
    }

    /// Replaces the credential of a connected machine without an interruption.
    pub async fn rotate_credential(&self, machine: MachineId) -> Result<(), ApiError> {
        self.done(Method::POST, &format!("/api/machines/{machine}/credential/rotate"), Some(&())).await
    }

    /// Lists the caller's machines.
    pub async fn machines(&self) -> Result<Vec<MachineView>, ApiError> {
        Ok(self.get::<Machines>("/api/machines").await?.machines)
    }

    /// Asks a connected machine what it permits.
    pub async fn policy(&self, machine: MachineId) -> Result<MachinePolicy, ApiError> {
        self.get(&format!("/api/machines/{machine}/policy")).await
    }

    /// Lists what runs on a machine of the caller.
    pub async fn runs_on(&self, machine: MachineId) -> Result<Runs, ApiError> {
        self.get(&format!("/api/machines/{machine}/runs")).await
    }

    /// Gives a machine another name.
    pub async fn rename_machine(&self, machine: MachineId, body: &RenameMachine) -> Result<MachineView, ApiError> {
        self.patch(&format!("/api/machines/{machine}"), body).await
    }

    /// Removes a machine: its credential dies, its agents stop, its configurations go.
    pub async fn remove_machine(&self, machine: MachineId) -> Result<(), ApiError> {
        self.done(Method::DELETE, &format!("/api/machines/{machine}"), None::<&()>).await
    }

    /// Saves what a role runs on a machine.
    pub async fn configure(
        &self,
        machine: MachineId,
        room: RoomId,
        role: &Role,
        body: &UpdateAgentConfig,
    ) -> Result<AgentConfigView, ApiError> {
        self.put(&format!("/api/machines/{machine}/agents/{room}/{role}"), body).await
    }

    /// Sends a command.
    pub async fn command(&self, machine: MachineId, body: &SendCommand) -> Result<CommandView, ApiError> {
        self.post(&format!("/api/machines/{machine}/commands"), body, Again::Never).await
    }

    /// Looks how a command came out.
    pub async fn command_status(&self, machine: MachineId, command: CommandId) -> Result<CommandView, ApiError> {
        self.get(&format!("/api/machines/{machine}/commands/{command}")).await
    }

    /// Makes the line by which another computer joins.
    pub async fn enrol(&self) -> Result<Enrolment, ApiError> {
        self.post("/api/enrolments", &serde_json::json!({}), Again::Never).await
    }

    /// Joins with the code of such a line.
    pub async fn claim_enrolment(&self, body: &ClaimEnrolment) -> Result<IssuedMachine, ApiError> {
        self.post("/api/enrolments/claim", body, Again::Never).await
    }
}
