//! Tasks: waiting for one, working on it, handing it on.

use serde::{Deserialize, Serialize};

use crate::{MachineId, MessageId, Role, RunId, TaskId, Timestamp, Tool, UserId};

use super::rooms::{MessageView, Target};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Nobody has it.
    Pending,
    /// Claimed or injected, not yet begun.
    Acknowledged,
    /// Being worked on.
    InProgress,
    /// Done.
    Completed,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Acknowledged, Self::InProgress, Self::Completed];

    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Acknowledged => "acknowledged",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Its id.
    pub task_id: TaskId,
    /// Whose it is to do.
    pub role: Role,
    /// Where it is in its life.
    pub state: TaskState,
    /// The message it came from.
    pub message_id: MessageId,
    /// Its order in the room.
    pub position: i64,
    /// The person behind what it says.
    pub author: UserId,
    /// Whether it waits for the agent's user to let another member's words through.
    pub held_for_owner: bool,
    /// The run that has it, or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `GET /api/chatrooms/{chatroomId}/tasks`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tasks {
    /// Active ones by position, then the latest completed ones; at most 200.
    pub tasks: Vec<TaskView>,
}

/// `POST /api/chatrooms/{chatroomId}/roles/{role}/join`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// A fresh id of this wait, 20 to 64 letters and digits: it tells this waiter from an older one.
    pub connection_id: String,
    /// The machine the waiter runs on. Not needed inside a run, whose machine is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// The tool that waits, where known.
    #[serde(default)]
    pub agent_type: Option<Tool>,
    /// Take the role over from a live managed run.
    #[serde(default)]
    pub take_over: bool,
}

/// What a joined waiter is told.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The role prompt to print.
    pub prompt: String,
}

/// `POST /api/chatrooms/{chatroomId}/roles/{role}/wait`: answers when there is a task, when the wait is
/// over, or after 25 s with nothing, to be asked again.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    /// As in [`Join`]. A claim is repeated to the connection that made it.
    pub connection_id: String,
}

/// How a wait came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum WaitOutcome {
    /// A task, now claimed by this connection.
    Task {
        /// The task.
        task: TaskView,
        /// What to print: the task and the exact next commands.
        prompt: String,
    },
    /// Nothing yet; ask again.
    Nothing,
    /// A newer waiter has the role.
    Superseded {
        /// When it came.
        at: Timestamp,
    },
    /// The server stops; ask again after a moment.
    Reconnect,
    /// The room or role is gone.
    Closed {
        /// Why.
        reason: String,
    },
}

/// `POST /api/chatrooms/{chatroomId}/tasks/{taskId}/start`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartTask {
    /// Who starts it.
    pub role: Role,
    /// How the agent reads the message behind it.
    #[serde(default)]
    pub classification: Option<Classification>,
    /// For a new feature: its title, description and technical notes.
    #[serde(default)]
    pub feature: Option<Feature>,
}

/// How the agent reads the message a task came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// To be answered.
    Question,
    /// New work.
    NewFeature,
    /// More on earlier work.
    FollowUp,
}

/// What a new feature is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Feature {
    /// 1 to 200 characters.
    pub title: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// How.
    #[serde(default)]
    pub tech_specs: String,
}

/// A task with the words an agent should see.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskWithPrompt {
    /// The task.
    pub task: TaskView,
    /// What to print.
    pub prompt: String,
}

/// `POST /api/chatrooms/{chatroomId}/tasks/{taskId}/complete`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteTask {
    /// Who completes it; a person may leave it out to force completion.
    #[serde(default)]
    pub role: Option<Role>,
}

/// `POST /api/chatrooms/{chatroomId}/roles/{role}/progress`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportProgress {
    /// 1 to 100,000 characters.
    pub content: String,
}

/// `POST /api/chatrooms/{chatroomId}/roles/{role}/handoff`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handoff {
    /// The task it completes; the role's only active task if omitted.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// A role, or `user`.
    pub next_role: Target,
    /// The result; 1 to 100,000 characters.
    pub content: String,
}

/// What a hand-off did. Repeating it gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandoffDone {
    /// The completed task.
    pub completed: TaskId,
    /// The message in the room.
    pub message: MessageView,
    /// The target's new task, unless it went to `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_task: Option<TaskId>,
    /// What to print.
    pub prompt: String,
}

/// `GET /api/chatrooms/{chatroomId}/roles/{role}/prompt`: role, rules, room and current task.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// What to print.
    pub prompt: String,
}
