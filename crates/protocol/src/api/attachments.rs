//! Files beside messages.

use serde::{Deserialize, Serialize};

use crate::{AttachmentId, Timestamp};

/// A file beside a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentView {
    /// Its id.
    pub attachment_id: AttachmentId,
    /// What its sender called it.
    pub name: String,
    /// `image/png`, `image/jpeg`, `image/gif`, `image/webp` or `text/plain`, as its bytes say.
    pub content_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was sent.
    pub created_at: Timestamp,
}
