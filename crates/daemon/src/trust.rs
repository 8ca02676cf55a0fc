//! What proves the server to this daemon right now, and how that is replaced while a connection is open.
//!
//! A new pair is on disk before it is confirmed; what the server sent under the one
//! before it is answered for a while yet, so no request is lost. Between reading
//! what is to be shown and the server's answer to it, nothing of it changes.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use chatroom_protocol::api::machines::MachineCredential;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::time::Instant;
use url::Url;

use crate::credentials::{CredentialError, Credentials};
use crate::home::Home;

/// How long requests under the credential before are answered: longer than any of them is on its way.
const BEFORE: Duration = Duration::from_mins(1);

/// What the server must show, and whose it is; cheap to clone.
#[derive(Clone)]
pub struct Trust {
    home: Home,
    now: Arc<RwLock<Now>>,
    /// Held while something of it is shown or replaced.
    turn: Arc<Mutex<()>>,
    /// The server has replaced it, and waits for it to be shown.
    replaced: Arc<Notify>,
    /// A verb of this computer has replaced it.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Now {
    credentials: Option<Credentials>,
    /// `crp_…` of the credential before, and until when it is answered.
    before: Option<(String, Instant)>,
}

impl Trust {
    /// Returns the trust in what the home says.
    pub fn of(home: &Home) -> Result<Self, CredentialError> {
        let now = Now { credentials: Credentials::load(home)?, before: None };
        let now = Arc::new(RwLock::new(now));
        Ok(Self { home: home.clone(), now, turn: Arc::default(), replaced: Arc::default(), changed: Arc::default() })
    }

    /// Keeps everything as it is, for as long as the guard lives.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Reads the home again: verbs of this computer may have changed it.
    pub fn read(&self) -> Result<Option<Credentials>, CredentialError> {
        let credentials = Credentials::load(&self.home)?;
        self.set(credentials.clone());
        Ok(credentials)
    }

    /// Takes the next pair in: on disk first, then in force.
    pub async fn replace(&self, next: MachineCredential) -> Result<(), CredentialError> {
        let turn = self.turn().await;
        let home = self.home.clone();
        let credentials = blocking(move || {
            let _turn = turn;
            Credentials::replace(&home, next)
        })
        .await?;
        self.set(Some(credentials));
        self.replaced.notify_one();
        Ok(())
    }

    /// Writes down the count that is shown from now on.
    pub async fn count(&self, renewal: u64) -> Result<(), CredentialError> {
        let turn = self.turn().await;
        let home = self.home.clone();
        blocking(move || {
            let _turn = turn;
            Credentials::count(&home, renewal)
        })
        .await
    }

    /// Resolves once the credential was replaced, and is to be shown to the server.
    pub async fn replaced(&self) {
        self.replaced.notified().await;
    }

    /// Resolves once a verb of this computer was seen to have replaced the credential.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns the server.
    pub fn server(&self) -> Option<Url> {
        let now = self.now.read().ok()?;
        now.credentials.as_ref().map(|credentials| credentials.server_url.clone())
    }

    /// Returns whether `shown` is what proves the server. Compares hashes, in constant time.
    pub fn accepts(&self, shown: &str) -> bool {
        if self.matches(shown) {
            return true;
        }
        // It may have been replaced by a verb of this computer.
        let is_new = match (self.now.read(), Credentials::load(&self.home)) {
            (Ok(now), Ok(saved)) => now.credentials != saved,
            _ => false,
        };
        if !is_new || self.read().is_err() || !self.matches(shown) {
            return false;
        }
        self.changed.notify_one();
        true
    }

    fn matches(&self, shown: &str) -> bool {
        let Ok(now) = self.now.read() else { return false };
        let hash = |text: &str| Sha256::digest(text.as_bytes());
        let shown = hash(shown);
        let is = |token: &str| bool::from(shown.ct_eq(&hash(token)));
        let present = now.credentials.as_ref().is_some_and(|credentials| is(&credentials.platform_token));
        let before = now.before.as_ref().is_some_and(|(token, until)| is(token) && *until > Instant::now());
        present || before
    }

    fn set(&self, credentials: Option<Credentials>) {
        let Ok(mut now) = self.now.write() else { return };
        let token = |credentials: &Option<Credentials>| credentials.as_ref().map(|one| one.platform_token.clone());
        let (old, new) = (token(&now.credentials), token(&credentials));
        if old != new {
            now.before = old.filter(|_| new.is_some()).map(|old| (old, Instant::now() + BEFORE));
        }
        now.credentials = credentials;
    }
}

/// Waits for the disk without holding up anybody else. It is done also when nobody waits any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CredentialError> + Send + 'static,
) -> Result<T, CredentialError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CredentialError::Interrupted)?
}
