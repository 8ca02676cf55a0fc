//! Rooms and messages.

use std::time::Duration;

use chatroom_protocol::api::Done;
use chatroom_protocol::api::attachments::AttachmentView;
use chatroom_protocol::api::rooms::{
    CreateRoom, EditMessage, MarkRead, MessageView, Messages, RoomView, Rooms, SendMessage, UpdateRoom,
};
use chatroom_protocol::api::search::Found;
use chatroom_protocol::{AttachmentId, MessageId, RoomId};

use reqwest::{Method, Response};

use super::{Again, ApiError, Client, PATIENCE};

/// Which part of a history is wanted.
#[derive(Debug, Default)]
pub struct Window {
    /// Only what this role said.
    pub sender: Option<String>,
    /// Only what came after this message.
    pub since: Option<MessageId>,
    /// At most so many.
    pub limit: u64,
}

/// How long a file may take.
const FILE_PATIENCE: Duration = Duration::from_mins(5);

impl Client {
    /// Makes a room.
    pub async fn create_room(&self, body: &CreateRoom) -> Result<RoomView, ApiError> {
        self.post("/api/chatrooms", body, Again::Never).await
    }

    /// Lists the caller's rooms, page after page: those put away, or those not, whose name has a text in it.
    pub async fn rooms(&self, archived: bool, search: &str) -> Result<Rooms, ApiError> {
        let mut all = Rooms { chatrooms: Vec::new(), next: None };
        loop {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", "500");
            query.append_pair("archived", if archived { "true" } else { "false" });
            query.append_pair("search", search);
            if let Some(after) = all.next {
                query.append_pair("after", &after.to_string());
            }
            let page: Rooms = self.get(&format!("/api/chatrooms?{}", query.finish())).await?;
            all.chatrooms.extend(page.chatrooms);
            all.next = page.next;
            if all.next.is_none() {
                return Ok(all);
            }
        }
    }

    /// Notes up to where the caller has read a room.
    pub async fn mark_read(&self, room: RoomId, message_id: MessageId) -> Result<Done, ApiError> {
        self.put(&format!("/api/chatrooms/{room}/read"), &MarkRead { message_id }).await
    }

    /// Shows a room.
    pub async fn room(&self, room: RoomId) -> Result<RoomView, ApiError> {
        self.get(&format!("/api/chatrooms/{room}")).await
    }

    /// Changes a room.
    pub async fn update_room(&self, room: RoomId, body: &UpdateRoom) -> Result<RoomView, ApiError> {
        self.patch(&format!("/api/chatrooms/{room}"), body).await
    }

    /// Says something.
    pub async fn send_message(&self, room: RoomId, body: &SendMessage) -> Result<MessageView, ApiError> {
        self.post(&format!("/api/chatrooms/{room}/messages"), body, Again::Never).await
    }

    /// Opens the export of a room.
    pub async fn export(&self, room: RoomId, format: &str) -> Result<Response, ApiError> {
        let path = format!("/api/chatrooms/{room}/export?format={format}");
        self.send(Method::GET, &path, None::<&()>, Again::Harmless, FILE_PATIENCE).await
    }

    /// Returns the next piece of what was opened.
    pub async fn piece(&self, response: &mut Response) -> Result<Option<Vec<u8>>, ApiError> {
        let chunk = response.chunk().await.map_err(|error| self.unreachable(&error))?;
        Ok(chunk.map(|chunk| chunk.to_vec()))
    }

    /// Looks for a text in all rooms of the caller.
    pub async fn search(&self, text: &str, limit: u64) -> Result<Found, ApiError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", text).append_pair("limit", &limit.to_string());
        self.get(&format!("/api/search?{}", query.finish())).await
    }

    /// Sends a file for a message to come.
    pub async fn attach(&self, room: RoomId, name: &str, bytes: Vec<u8>) -> Result<AttachmentView, ApiError> {
        let name = url::form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
        let path = format!("/api/chatrooms/{room}/attachments?{name}");
        let sent = self.begin(Method::POST, &path).timeout(FILE_PATIENCE).body(bytes).send().await;
        let response = sent.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { self.read(response).await } else { Err(self.problem(response).await) }
    }

    /// Reads a file of a room.
    pub async fn attachment(&self, room: RoomId, id: AttachmentId) -> Result<Vec<u8>, ApiError> {
        let path = format!("/api/chatrooms/{room}/attachments/{id}");
        let response = self.send(Method::GET, &path, None::<&()>, Again::Harmless, FILE_PATIENCE).await?;
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(bytes.to_vec())
    }

    /// Says something else with a message that waits.
    pub async fn edit_message(&self, room: RoomId, id: MessageId, body: &EditMessage) -> Result<MessageView, ApiError> {
        self.put(&format!("/api/chatrooms/{room}/messages/{id}"), body).await
    }

    /// Takes back a message that waits.
    pub async fn delete_message(&self, room: RoomId, id: MessageId) -> Result<Done, ApiError> {
        let path = format!("/api/chatrooms/{room}/messages/{id}");
        let response = self.send(Method::DELETE, &path, None::<&()>, Again::Harmless, PATIENCE).await?;
        self.read(response).await
    }

    /// Reads the history.
    pub async fn messages(&self, room: RoomId, window: &Window) -> Result<Messages, ApiError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &window.limit.to_string());
        if let Some(sender) = &window.sender {
            query.append_pair("senderRole", sender);
        }
        if let Some(since) = &window.since {
            query.append_pair("sinceMessageId", &since.to_string());
        }
        self.get(&format!("/api/chatrooms/{room}/messages?{}", query.finish())).await
    }
}
