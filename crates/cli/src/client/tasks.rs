//! Tasks: waiting, starting, completing, handing on.

use std::time::Duration;

use chatroom_protocol::api::rooms::MessageView;
use chatroom_protocol::api::tasks::{
    CompleteTask, Context, Handoff, HandoffDone, Join, Joined, ReportProgress, StartTask, TaskView, TaskWithPrompt,
    Tasks, Wait, WaitOutcome,
};
use chatroom_protocol::{Role, RoomId, TaskId};
use reqwest::Method;

use super::{Again, ApiError, Client};

/// The server holds a wait for 25 s.
const WAIT: Duration = Duration::from_secs(45);

impl Client {
    /// Lists a room's tasks.
    pub async fn tasks(&self, room: RoomId) -> Result<Tasks, ApiError> {
        self.get(&format!("/api/chatrooms/{room}/tasks")).await
    }

    /// Makes this process the one waiter of a role.
    pub async fn join(&self, room: RoomId, role: &Role, body: &Join) -> Result<Joined, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/roles/{role}/join"), body, Again::Harmless).await
    }

    /// Waits for a task. The server repeats a claim to the connection that made it.
    pub async fn wait(&self, room: RoomId, role: &Role, body: &Wait) -> Result<WaitOutcome, ApiError> {
        let path = format!("/api/chatrooms/{room}/roles/{role}/wait");
        let response = self.send(Method::POST, &path, Some(body), Again::Never, WAIT).await?;
        self.read(response).await
    }

    /// Marks a task as begun.
    pub async fn start_task(&self, room: RoomId, task: TaskId, body: &StartTask) -> Result<TaskWithPrompt, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/tasks/{task}/start"), body, Again::Harmless).await
    }

    /// Completes a task without handing it on.
    pub async fn complete_task(&self, room: RoomId, task: TaskId, body: &CompleteTask) -> Result<TaskView, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/tasks/{task}/complete"), body, Again::Harmless).await
    }

    /// Gives a claimed task back.
    pub async fn release_task(&self, room: RoomId, task: TaskId) -> Result<TaskView, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/tasks/{task}/release"), &(), Again::Harmless).await
    }

    /// Lets another member's words through to the caller's agent.
    pub async fn approve_task(&self, room: RoomId, task: TaskId) -> Result<TaskView, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/tasks/{task}/approve"), &(), Again::Harmless).await
    }

    /// Writes a note on work under way.
    pub async fn progress(&self, room: RoomId, role: &Role, body: &ReportProgress) -> Result<MessageView, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/roles/{role}/progress"), body, Again::Never).await
    }

    /// Hands a task on. One that names its task is answered as the first time when it is repeated.
    pub async fn hand_off(&self, room: RoomId, role: &Role, body: &Handoff) -> Result<HandoffDone, ApiError> {
        let again = if body.task_id.is_some() { Again::Harmless } else { Again::Never };
        self.post(&format!("/api/chatrooms/{room}/roles/{role}/handoff"), body, again).await
    }

    /// Returns role, rules, room and current task as text.
    pub async fn context(&self, room: RoomId, role: &Role) -> Result<Context, ApiError> {
        self.get(&format!("/api/chatrooms/{room}/roles/{role}/prompt")).await
    }
}
