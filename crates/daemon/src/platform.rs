//! Asking the server for something, as this machine.

use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::MachineId;
use chatroom_tunnel::Proxies;
use reqwest::{Method, RequestBuilder};

use crate::credentials::Credentials;
use crate::home::Home;
use crate::identity::Identity;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// This machine is not registered.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("this machine is not registered")]
pub struct NotRegistered;

/// A client of the server's API with this machine's credential; cheap to clone.
#[derive(Debug, Clone)]
pub struct Platform {
    home: Home,
    client: reqwest::Client,
}

impl Platform {
    /// Returns one.
    ///
    /// It trusts and takes the proxies the tunnel does, so that both arrive or neither.
    pub fn new(home: Home, tls: Option<&rustls::ClientConfig>, proxies: Arc<Proxies>) -> Result<Self, reqwest::Error> {
        let through = move |url: &reqwest::Url| proxies.to(url).map(|proxy| proxy.address().clone());
        let mut builder = reqwest::Client::builder()
            .timeout(PATIENCE)
            .proxy(reqwest::Proxy::custom(through))
            .user_agent(concat!("chatroom/", env!("CARGO_PKG_VERSION")));
        if let Some(tls) = tls {
            builder = builder.tls_backend_preconfigured(tls.clone());
        }
        Ok(Self { home, client: builder.build()? })
    }

    /// Begins a request to `path` below this machine's address. The credential is the present one: it may be replaced.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, NotRegistered> {
        let credentials = Credentials::load(&self.home).ok().flatten().ok_or(NotRegistered)?;
        let identity = Identity::load(&self.home).ok().flatten().ok_or(NotRegistered)?;
        let server = credentials.server_url.as_str().trim_end_matches('/');
        let machine: MachineId = identity.machine_id;
        let url = format!("{server}/api/machines/{machine}/{path}");
        Ok(self.client.request(method, url).bearer_auth(&credentials.machine_token))
    }
}
