//! Sign-in.

use chatroom_protocol::api::auth::{DeviceCodes, IssuedSession, Me, PollDevice, StartDevice};
use reqwest::Method;

use super::{Again, ApiError, Client};

impl Client {
    /// Returns who is signed in.
    pub async fn me(&self) -> Result<Me, ApiError> {
        self.get("/api/auth/session").await
    }

    /// Ends this sign-in.
    pub async fn sign_out(&self) -> Result<(), ApiError> {
        self.done(Method::POST, "/api/auth/sign-out", None::<&()>).await
    }

    /// Asks for the codes of a device sign-in.
    pub async fn start_device(&self, body: &StartDevice) -> Result<DeviceCodes, ApiError> {
        self.post("/api/auth/device", body, Again::Never).await
    }

    /// Asks whether the person has decided. The answer is picked up once, so an unanswered request is not repeated here.
    pub async fn poll_device(&self, body: &PollDevice) -> Result<IssuedSession, ApiError> {
        self.post("/api/auth/device/token", body, Again::Never).await
    }
}
