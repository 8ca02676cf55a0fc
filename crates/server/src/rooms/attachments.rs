//! Files beside messages: sent first, then named by the message they belong to.

use chatroom_domain::attachments::{Attachment, AttachmentError, FileName, Media, UNCLAIMED_LIMIT, check_named};
use chatroom_domain::messages::Message;
use chatroom_domain::rooms::Room;
use chatroom_protocol::api::attachments::AttachmentView;
use chatroom_protocol::{AttachmentId, UserId};
use chatroom_store::Access;

use crate::app::Work;
use crate::error::Error;

/// Takes a file in. It waits a day for its message.
pub async fn take(work: &mut Work, user: UserId, room: &Room, name: &str, bytes: &[u8]) -> Result<Attachment, Error> {
    room.is_open()?;
    let attachment = Attachment {
        id: work.app.id(AttachmentId::from_parts)?,
        room: room.id,
        user,
        message: None,
        name: name.parse::<FileName>()?,
        media: Media::of(bytes)?,
        size: bytes.len() as u64,
        created_at: work.now,
    };
    if chatroom_store::attachments::count_waiting(&work.tx, user).await? >= UNCLAIMED_LIMIT {
        return Err(AttachmentError::TooManyWaiting.into());
    }
    chatroom_store::attachments::insert(&work.tx, &attachment, bytes).await?;
    Ok(attachment)
}

/// Puts files that wait beside a message of their sender.
pub(crate) async fn claim(
    work: &Work,
    user: UserId,
    room: &Room,
    message: &mut Message,
    ids: &[AttachmentId],
) -> Result<(), Error> {
    check_named(ids)?;
    for (place, id) in ids.iter().enumerate() {
        if !chatroom_store::attachments::claim(&work.tx, room.id, user, *id, message.id, place).await? {
            return Err(AttachmentError::NotWaiting.into());
        }
    }
    message.attachments = chatroom_store::attachments::of_messages(&work.tx, &[message.id]).await?;
    Ok(())
}

/// Returns a file of a room. One that waits for its message is its sender's alone.
pub async fn find(db: &impl Access, user: UserId, room: &Room, id: AttachmentId) -> Result<Attachment, Error> {
    let found = chatroom_store::attachments::find(db, room.id, id).await?;
    let seen = |attachment: &Attachment| attachment.message.is_some() || attachment.user == user;
    found.filter(seen).ok_or(Error::NotFound)
}

/// Shows a file.
pub fn view(attachment: &Attachment) -> AttachmentView {
    AttachmentView {
        attachment_id: attachment.id,
        name: attachment.name.as_str().to_owned(),
        content_type: attachment.media.as_str().to_owned(),
        size: attachment.size,
        created_at: attachment.created_at,
    }
}
