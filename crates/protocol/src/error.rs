//! Errors on the wire: RFC 9457 problem documents with a stable code.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What went wrong, stable across versions. Clients match on this, never on prose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
            /// A code this version does not know.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl ErrorCode {
            /// Returns the word on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => $text,)*
                    ErrorCode::Unknown => "unknown",
                }
            }
        }
    };
}

codes! {
    /// The request could not be read as what the route takes.
    InvalidRequest = "invalid_request",
    /// The body is larger than the route takes.
    TooLarge = "too_large",
    /// Nobody is signed in, or the credential is no longer good.
    NotSignedIn = "not_signed_in",
    /// This kind of caller may not use this route.
    Forbidden = "forbidden",
    /// There is nothing there that the caller may see.
    NotFound = "not_found",
    /// The request came from a page of another origin.
    ForeignOrigin = "foreign_origin",
    /// The request names a host this server does not answer for.
    UnknownHost = "unknown_host",
    /// Too many tries; the answer says when to try again.
    TooManyRequests = "too_many_requests",
    /// E-mail or password is wrong.
    WrongCredentials = "wrong_credentials",
    /// Signing up needs the secret printed at start, or an invitation.
    SignUpClosed = "sign_up_closed",
    /// An account with this e-mail exists.
    EmailTaken = "email_taken",
    /// A one-time code is unknown, used or too old.
    CodeExpired = "code_expired",
    /// The person has not decided yet.
    AuthorizationPending = "authorization_pending",
    /// Polled faster than asked to.
    SlowDown = "slow_down",
    /// The person refused.
    AccessDenied = "access_denied",
    /// The room has no such role.
    UnknownRole = "unknown_role",
    /// The room is put away; it must be brought back first.
    RoomArchived = "room_archived",
    /// The task is not in a state that allows this.
    TaskState = "task_state",
    /// The caller does not hold the task.
    NotTheHolder = "not_the_holder",
    /// The room has as many active tasks as it takes.
    TooManyTasks = "too_many_tasks",
    /// The hand-off limit of this user message is used up.
    HandoffLimit = "handoff_limit",
    /// A run of this role lives; a wait from outside is refused.
    RoleTaken = "role_taken",
    /// Another connection waits for this role now.
    Superseded = "superseded",
    /// The message is empty, too long, or holds a terminator line.
    InvalidMessage = "invalid_message",
    /// The message was already delivered as a task.
    MessageDelivered = "message_delivered",
    /// The machine does not have the tool.
    ToolMissing = "tool_missing",
    /// No configuration exists for this machine, room and role.
    NotConfigured = "not_configured",
    /// The tool cannot do what the configuration asks.
    NotPermitted = "not_permitted",
    /// There is no conversation of the role that this start could go on with.
    CannotResume = "cannot_resume",
    /// The role runs on another machine; moving it must be confirmed.
    RunsElsewhere = "runs_elsewhere",
    /// The machine has as many waiting commands as it takes.
    TooManyCommands = "too_many_commands",
    /// The machine has no daemon connected.
    MachineOffline = "machine_offline",
    /// The machine was reached and refused, or did not answer in time.
    MachineFailed = "machine_failed",
    /// A newer daemon of this machine took over.
    StaleEpoch = "stale_epoch",
    /// The machine's home was used from two places; its owner must unlock it.
    MachineLocked = "machine_locked",
    /// The two versions are too far apart.
    VersionGap = "version_gap",
    /// The agent has no live run.
    NotRunning = "not_running",
    /// The run has no terminal: it is driven through its program's protocol.
    NoTerminal = "no_terminal",
    /// The run is in a terminal: what is asked is done there.
    InTerminal = "in_terminal",
    /// The prompt was given to the agent already, or taken back.
    PromptSettled = "prompt_settled",
    /// The permission request is answered, or gone with its run.
    PermissionClosed = "permission_closed",
    /// What is to be answered is not what was shown.
    PermissionChanged = "permission_changed",
    /// The feed no longer reaches back that far; the answer says where to start.
    FeedTruncated = "feed_truncated",
    /// The request conflicts with what is there.
    Conflict = "conflict",
    /// The server is stopping; try again.
    ShuttingDown = "shutting_down",
    /// The disk under the server is full; nothing can be changed until there is space.
    StorageFull = "storage_full",
    /// The server's database does not answer; try again.
    DatabaseAway = "database_away",
    /// A fault of the server; it is in its log under the request id.
    Internal = "internal",
}

/// An RFC 9457 problem document (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ErrorCode,
    /// What happened and what to do, for people.
    pub detail: String,
    /// The id of the request, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Names that would have been accepted, such as the roles of a room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// The present state of what was to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_read_as_unknown() {
        let code: ErrorCode = serde_json::from_str("\"from_the_future\"").unwrap();
        assert_eq!(code, ErrorCode::Unknown);
        assert_eq!(serde_json::to_string(&ErrorCode::TaskState).unwrap(), "\"task_state\"");
    }
}
