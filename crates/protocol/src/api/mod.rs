//! Request and response bodies, one file per resource.

pub mod agents;
pub mod attachments;
pub mod auth;
pub mod commands;
pub mod daemon;
pub mod events;
pub mod machines;
pub mod reports;
pub mod rooms;
pub mod search;
pub mod tasks;
pub mod terminal;
pub mod transcripts;

use serde::{Deserialize, Serialize};

/// A yes or no to something that has no other answer.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Whether this call changed something; a repeated one did not.
    pub changed: bool,
}
