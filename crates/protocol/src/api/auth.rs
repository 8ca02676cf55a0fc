//! Accounts, sessions, device sign-in, instances.

use serde::{Deserialize, Serialize};

use crate::{InstanceId, SessionId, Timestamp, UserId};

/// `POST /api/auth/sign-up`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignUp {
    /// Where the person signs in with; 3 to 254 characters.
    pub email: String,
    /// What others see; 1 to 80 characters.
    pub name: String,
    /// 10 to 200 characters.
    pub password: String,
    /// The one-time secret printed at start, or an invitation's code. Not needed where sign-up is open.
    #[serde(default)]
    pub code: Option<String>,
}

/// `POST /api/auth/sign-in`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignIn {
    /// As given at sign-up.
    pub email: String,
    /// As given at sign-up.
    pub password: String,
}

/// `POST /api/auth/password`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one; not needed where none was ever set.
    #[serde(default)]
    pub current: Option<String>,
    /// The next one; 10 to 200 characters.
    pub new: String,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The person.
    pub user_id: UserId,
    /// What others see.
    pub name: String,
    /// What the person signs in with.
    pub email: String,
    /// This sign-in.
    pub session_id: SessionId,
    /// The instances the person is a member of, their own first.
    pub instances: Vec<InstanceView>,
}

/// A tenant as its member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    /// Its id.
    pub instance_id: InstanceId,
    /// Its name.
    pub name: String,
    /// Whether the caller made it and may invite and remove members.
    pub owner: bool,
}

/// `GET /api/instances`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Instances {
    /// The caller's, their own first.
    pub instances: Vec<InstanceView>,
}

/// A member of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// The person.
    pub user_id: UserId,
    /// What others see.
    pub name: String,
    /// Whether they own the instance.
    pub owner: bool,
}

/// `GET /api/instances/{instanceId}/members`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Members {
    /// Everyone, the owner first.
    pub members: Vec<MemberView>,
}

/// An invitation, shown once.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// What `POST /api/invitations/accept` and sign-up take.
    pub code: String,
    /// The link to send.
    pub link: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// A one-time code from an invitation or a sign-in link.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Code {
    /// The code.
    pub code: String,
}

/// Where a session is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// A browser.
    Web,
    /// A CLI device.
    Cli,
}

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its id.
    pub session_id: SessionId,
    /// Where it is used.
    pub kind: SessionKind,
    /// The browser or the device as it named itself.
    pub label: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whether the request itself came with it.
    pub current: bool,
}

/// `GET /api/auth/sessions`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sessions {
    /// Live ones, the newest first.
    pub sessions: Vec<SessionView>,
}

/// `POST /api/auth/device`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartDevice {
    /// What the person will see when asked to approve, such as the host name; 1 to 100 characters.
    pub device: String,
    /// The version of the program that asks.
    pub version: String,
}

/// The two codes of a device sign-in.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCodes {
    /// The secret the device polls with. Never shown to people.
    pub device_code: String,
    /// What the person compares or types, such as `BDFK-QRTX`.
    pub user_code: String,
    /// Where the person approves.
    pub verification_uri: String,
    /// The same with the code filled in.
    pub verification_uri_complete: String,
    /// Seconds until both stop working.
    pub expires_in: u32,
    /// Seconds between polls.
    pub interval: u32,
}

/// `POST /api/auth/device/token`
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollDevice {
    /// The secret from [`DeviceCodes`].
    pub device_code: String,
}

/// A session's credential, handed out once.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedSession {
    /// `crs_…`, for `Authorization: Bearer`.
    pub token: String,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub user_id: UserId,
    /// What others see.
    pub name: String,
}

/// `GET /api/auth/device/{userCode}`: what is asked for.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceRequest {
    /// The device as it named itself.
    pub device: String,
    /// The version of its program.
    pub version: String,
    /// When it asked.
    pub requested_at: Timestamp,
}

/// `POST /api/auth/device/{userCode}`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecideDevice {
    /// Let it in, or refuse it.
    pub decision: Decision,
}

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Yes.
    Allow,
    /// No.
    Deny,
}
