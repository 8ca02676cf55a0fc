//! A real server with a database of its own, and people who use it.
//!
//! The database is a SQLite file, or with `CHATROOM_TEST_DB=postgres` a database
//! of its own on the test PostgreSQL. Time is the server's own, plus whatever a
//! test advances it by.

mod client;
mod feed;
mod user;

use std::env;
use std::path::Path;

use chatroom_protocol::api::auth::SignUp;
use chatroom_server::App;
use chatroom_server::app::Clock;
use chatroom_server::config::{Config, Flags, Purpose};
use chatroom_server::serve::Server;
use serde_json::json;
use tempfile::TempDir;

pub use client::{Answer, Client, redacted};
pub use feed::Feed;
pub use user::User;

use crate::postgres;

/// The variable that makes every world use PostgreSQL.
pub const DB_VARIABLE: &str = "CHATROOM_TEST_DB";
/// The password of everybody here.
pub const PASSWORD: &str = "correct horse battery";

/// A server and the people who use it.
pub struct World {
    server: Option<Server>,
    folder: TempDir,
    flags: Flags,
}

impl World {
    /// Starts a server where anybody may sign up.
    pub async fn start() -> Self {
        Self::start_with(Flags { open_sign_up: Some(true), ..Flags::default() }).await
    }

    /// Starts a server that hands `binary` to computers which join.
    pub async fn start_serving(binary: &Path) -> Self {
        let flags = Flags { open_sign_up: Some(true), binary: Some(binary.to_owned()), ..Flags::default() };
        Self::start_with(flags).await
    }

    /// Starts a server with settings of the test's own; port, folder and database are chosen here.
    pub async fn start_with(mut flags: Flags) -> Self {
        // Whoever comes second finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder for the test");
        flags.port.get_or_insert(0);
        flags.data_dir = Some(folder.path().join("data"));
        if env::var(DB_VARIABLE).is_ok_and(|kind| kind == "postgres") {
            let database = postgres::fresh_database().await.expect("a database for the test");
            flags.database = Some(database.to_string());
        }
        let server = serve(&flags).await;
        Self { server: Some(server), folder, flags }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    /// Returns what the server's parts share, to look behind the scenes.
    pub fn app(&self) -> &App {
        &self.server().app
    }

    /// Returns the server itself.
    pub fn running(&self) -> &Server {
        self.server()
    }

    /// Returns the server's clock.
    pub fn clock(&self) -> &Clock {
        &self.app().clock
    }

    /// Returns the address of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.server().addr)
    }

    /// Returns the folder of the server's data.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Returns the settings the server was started with.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Stops the server and starts it again on the same port, with the same data.
    pub async fn restart(&mut self) {
        self.pause().await;
        self.resume().await;
    }

    /// Stops the server, to start it again later.
    pub async fn pause(&mut self) {
        self.flags.port = Some(self.server().addr.port());
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Starts a server again that was stopped, on the same port, with the same data.
    pub async fn resume(&mut self) {
        self.server = Some(serve(&self.flags).await);
    }

    /// Stops the server.
    pub async fn stop(mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Stops the server and returns the folder of its data, for a server of another kind to go on with.
    pub async fn hand_over(mut self) -> TempDir {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.folder
    }

    /// Returns somebody who is not signed in.
    pub fn anonymous(&self) -> Client {
        Client::new(self.url(), None)
    }

    /// Signs somebody up: the first with the server's secret, others freely. Their CLI is signed in by the device flow.
    pub async fn user(&self, name: &str) -> User {
        let code = self.server().sign_up_secret().await.expect("a look for the first account");
        self.sign_up(name, code).await
    }

    /// Signs somebody up with a code.
    pub async fn sign_up(&self, name: &str, code: Option<String>) -> User {
        let body =
            SignUp { email: format!("{name}@example.org"), name: name.to_owned(), password: PASSWORD.to_owned(), code };
        User::sign_up(self.url(), body).await
    }

    /// Makes `guest` a member of `host`'s own instance.
    pub async fn befriend(&self, host: &User, guest: &User) {
        let invited = host.post(&format!("/api/instances/{}/invitations", host.instance), json!({})).await;
        let accepted = guest.post("/api/invitations/accept", json!({ "code": invited.text("code") })).await;
        assert_eq!(accepted.status, 200, "{}", accepted.body);
    }

    /// Makes a room of `user` and returns its path; the first role is the entry point.
    pub async fn room(&self, user: &User, roles: &[&str]) -> String {
        let made = user.post("/api/chatrooms", json!({ "name": "room", "roles": roles })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        format!("/api/chatrooms/{}", made.text("chatroomId"))
    }
}

async fn serve(flags: &Flags) -> Server {
    let config = Config::load(Purpose::Server, flags.clone(), []).expect("settings that fit");
    Server::start(config).await.expect("a server that starts")
}
