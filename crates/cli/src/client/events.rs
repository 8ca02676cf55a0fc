//! The feed of an instance.

use chatroom_protocol::api::events::Events;

use super::{ApiError, Client};

impl Client {
    /// Reads what happened, the newest first, as far as it fits these parameters.
    pub async fn past(&self, filters: &[(&str, String)]) -> Result<Events, ApiError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("before", &i64::MAX.to_string());
        query.extend_pairs(filters);
        self.get(&format!("/api/events?{}", query.finish())).await
    }
}
