//! What proves this machine and its user to their server, and the server to this machine.
//!
//! A home belongs to one server: the first credential saved decides. Another
//! server needs another `CHATROOM_HOME`.

use std::fmt;
use std::path::PathBuf;

use chatroom_protocol::Timestamp;
use chatroom_protocol::api::machines::MachineCredential;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::home::{Home, HomeError};

const MACHINE: &str = "credentials.json";
const PERSON: &str = "auth.json";

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The file holds something else.
    #[error("{} cannot be read ({why}); remove it and sign in again with `chatroom auth login`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no credential to replace or to count on.
    #[error(
        "this machine has no credential; sign in with `chatroom auth login`, then run `chatroom machine daemon start`"
    )]
    None,
    /// The process ends.
    #[error("the daemon is ending")]
    Interrupted,
    /// The home belongs to another server.
    #[error(
        "{} belongs to {saved}, not to {wanted}; for another server set CHATROOM_HOME to another folder",
        .home.display()
    )]
    OtherServer {
        /// The home.
        home: PathBuf,
        /// Its server.
        saved: String,
        /// The server that was asked for.
        wanted: String,
    },
}

/// The mutual credential of this machine and its server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The server.
    #[serde(with = "as_text")]
    pub server_url: Url,
    /// `crm_…`: proves the machine to the server.
    pub machine_token: String,
    /// `crp_…`: proves the server to the machine.
    pub platform_token: String,
    /// The count the server gave last; a copy of this home that is used elsewhere shows by it.
    #[serde(default)]
    pub renewal: u64,
}

/// The signed-in person of this home.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// The server.
    #[serde(with = "as_text")]
    pub server_url: Url,
    /// `crs_…`
    pub token: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// Whose it is, for people.
    pub user_name: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("server_url", &self.server_url.as_str()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("server_url", &self.server_url.as_str())
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Returns the credential as the server `server_url` issued it.
    pub fn issued(server_url: Url, credential: MachineCredential) -> Self {
        let MachineCredential { machine_token, platform_token } = credential;
        Self { server_url, machine_token, platform_token, renewal: 0 }
    }

    /// Reads the credential; `None` if this machine has none.
    pub fn load(home: &Home) -> Result<Option<Self>, CredentialError> {
        load(home, MACHINE)
    }

    /// Reads the credential for `server`; one for another server is an error.
    pub fn load_for(home: &Home, server: &Url) -> Result<Option<Self>, CredentialError> {
        let saved = Self::load(home)?;
        if let Some(saved) = &saved {
            check(home, &saved.server_url, server)?;
        }
        Ok(saved)
    }

    /// Saves the credential, mode 0600. A home of another server is refused.
    pub fn save(&self, home: &Home) -> Result<(), CredentialError> {
        let _lock = home.lock()?;
        if let Some(server) = server(home)? {
            check(home, &server, &self.server_url)?;
        }
        save(home, MACHINE, self)
    }

    /// Replaces both tokens with the next ones, durably, and returns all of it. The server and the count stay.
    pub fn replace(home: &Home, next: MachineCredential) -> Result<Self, CredentialError> {
        let _lock = home.lock()?;
        let saved = Self::load(home)?.ok_or(CredentialError::None)?;
        let MachineCredential { machine_token, platform_token } = next;
        let next = Self { machine_token, platform_token, ..saved.clone() };
        if next != saved {
            save(home, MACHINE, &next)?;
        }
        Ok(next)
    }

    /// Writes down the count that is shown from now on, durably. It never goes back.
    pub fn count(home: &Home, renewal: u64) -> Result<(), CredentialError> {
        let _lock = home.lock()?;
        let saved = Self::load(home)?.ok_or(CredentialError::None)?;
        if renewal <= saved.renewal {
            return Ok(());
        }
        save(home, MACHINE, &Self { renewal, ..saved })
    }

    /// Forgets the credential.
    pub fn remove(home: &Home) -> Result<(), CredentialError> {
        Ok(home.remove(MACHINE)?)
    }
}

impl Auth {
    /// Reads the session; `None` if nobody signed in.
    pub fn load(home: &Home) -> Result<Option<Self>, CredentialError> {
        load(home, PERSON)
    }

    /// Saves the session, mode 0600. A home whose machine is registered with another server is refused.
    pub fn save(&self, home: &Home) -> Result<(), CredentialError> {
        let _lock = home.lock()?;
        if let Some(machine) = Credentials::load(home)? {
            check(home, &machine.server_url, &self.server_url)?;
        }
        save(home, PERSON, self)
    }

    /// Forgets the session.
    pub fn remove(home: &Home) -> Result<(), CredentialError> {
        Ok(home.remove(PERSON)?)
    }
}

/// Returns the server this home belongs to, by its machine's credential or else by its user's session.
pub fn server(home: &Home) -> Result<Option<Url>, CredentialError> {
    if let Some(machine) = Credentials::load(home)? {
        return Ok(Some(machine.server_url));
    }
    Ok(Auth::load(home)?.map(|person| person.server_url))
}

fn check(home: &Home, saved: &Url, wanted: &Url) -> Result<(), CredentialError> {
    let plain = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let (saved, wanted) = (plain(saved), plain(wanted));
    if saved == wanted {
        return Ok(());
    }
    Err(CredentialError::OtherServer { home: home.path().to_owned(), saved, wanted })
}

fn load<T: DeserializeOwned>(home: &Home, name: &str) -> Result<Option<T>, CredentialError> {
    home.read_json(name)?.transpose().map_err(|error| CredentialError::Unreadable {
        path: home.join(name),
        // The position only: the content is secret.
        why: format!("line {}, column {}", error.line(), error.column()),
    })
}

fn save(home: &Home, name: &str, content: &impl Serialize) -> Result<(), CredentialError> {
    let content = serde_json::to_vec_pretty(content).map_err(|_| CredentialError::Unreadable {
        path: home.join(name),
        why: "it cannot be written as JSON".to_owned(),
    })?;
    Ok(home.write(name, &content)?)
}

/// A URL as its text.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use url::Url;

    pub(super) fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(url.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
        let text = String::deserialize(deserializer)?;
        Url::parse(&text).map_err(serde::de::Error::custom)
    }
}
