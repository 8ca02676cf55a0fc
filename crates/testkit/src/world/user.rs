//! A person with a browser and a signed-in CLI.

use std::ops::Deref;

use chatroom_protocol::api::auth::SignUp;
use reqwest::Method;
use serde_json::json;

use super::client::Client;

/// A person; requests go out as their CLI sends them.
#[derive(Clone)]
pub struct User {
    /// What others see.
    pub name: String,
    /// What they sign in with.
    pub email: String,
    /// Their id.
    pub id: String,
    /// Their own instance.
    pub instance: String,
    /// The `Cookie` header of their browser.
    pub cookie: String,
    cli: Client,
}

impl Deref for User {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.cli
    }
}

impl User {
    /// Signs somebody up at the server at `base`, and their CLI in by the device flow.
    pub async fn sign_up(base: String, body: SignUp) -> Self {
        let nobody = Client::new(base.clone(), None);
        let body_json = serde_json::to_value(&body).expect("a body");
        let me = nobody.post("/api/auth/sign-up", body_json).await;
        assert_eq!(me.status, 200, "{}", me.body);
        let cookie = me.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let instance = me.body["instances"][0]["instanceId"].as_str().expect("an instance").to_owned();
        let mut user = Self {
            name: body.name,
            email: body.email,
            id: me.text("userId").to_owned(),
            instance,
            cookie,
            cli: nobody,
        };
        user.cli = user.sign_cli_in("test").await;
        user
    }

    /// Signs another CLI in by the device flow.
    pub async fn sign_cli_in(&self, device: &str) -> Client {
        let start = json!({ "device": device, "version": "0.1.0" });
        let codes = self.cli.post("/api/auth/device", start).await;
        let path = format!("/api/auth/device/{}", codes.text("userCode"));
        let allowed = self.browser(Method::POST, &path).json(&json!({ "decision": "allow" }));
        let allowed = self.cli.send(allowed).await;
        assert_eq!(allowed.status, 200, "{}", allowed.body);
        let session = self.cli.post("/api/auth/device/token", json!({ "deviceCode": codes.text("deviceCode") })).await;
        self.cli.with_token(session.text("token"))
    }

    /// Begins a request as this person's browser sends it from a page of the server.
    pub fn browser(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let nobody = Client::new(self.cli.base().to_owned(), None);
        nobody
            .request(method, path)
            .header("cookie", &self.cookie)
            .header("origin", self.cli.base())
            .header("sec-fetch-site", "same-origin")
    }
}
