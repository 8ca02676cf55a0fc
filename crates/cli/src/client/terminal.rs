//! The terminal of a run, as a WebSocket.

use chatroom_protocol::RunId;
use chatroom_protocol::api::terminal::{JoinTerminal, MAX_FRAME};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{StatusCode, Upgraded};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{ApiError, Client, PATIENCE};

impl Client {
    /// Joins the terminal of a run.
    pub async fn terminal(&self, run: RunId, how: JoinTerminal) -> Result<WebSocketStream<Upgraded>, ApiError> {
        let path = format!("/api/runs/{run}/terminal?{}", how.query());
        // HTTP/2 knows no upgrade.
        let http = Self::builder(&self.base).http1_only().build().map_err(|error| self.unreachable(&error))?;
        let key = generate_key();
        let mut request = http
            .get(format!("{}{path}", self.url()))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let too_late = || ApiError::Unreachable { url: self.url(), why: "no answer in time".to_owned() };
        let answer = timeout(PATIENCE, request.send()).await.map_err(|_| too_late())?;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.problem(answer).await);
        }
        let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes().to_vec());
        if accepted != Some(derive_accept_key(key.as_bytes()).into_bytes()) {
            return Err(ApiError::NotOurs { url: self.url(), status });
        }
        let stream = answer.upgrade().await.map_err(|error| self.unreachable(&error))?;
        let limits = WebSocketConfig::default().max_message_size(Some(2 * MAX_FRAME));
        Ok(WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits)).await)
    }
}
