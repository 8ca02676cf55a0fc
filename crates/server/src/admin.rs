//! What an operator does at the server's computer: beside the running server, or without one.
//!
//! It goes to the database directly, by the same rules: one transaction, with its
//! event. A running server sees the change with its next look.

use std::path::Path;

use chatroom_domain::accounts::{CodePurpose, ONE_TIME_MS, Password, User};
use chatroom_domain::secrets::KeyRing;
use chatroom_protocol::UserId;
use chatroom_store::backup::{self, BackupError, Summary};
use chatroom_store::events::NewEvent;
use chatroom_store::{Store, StoreError, users};

use crate::accounts::{codes, home, passwords, sessions};
use crate::app::App;
use crate::config::Config;
use crate::error::Error;
use crate::serve;

/// Why an operator's verb was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no database of a server there.
    #[error("there is no database at {0}; name the server's own with --data-dir, --database or --config")]
    NoDatabase(String),
    /// Nobody of that name.
    #[error("there is no account {0:?}; give its e-mail or its name")]
    Nobody(String),
    /// There is no account at all.
    #[error("this server has no account yet; the first one is made with the link that `chatroom server` prints")]
    NoAccount,
    /// Several people have that name.
    #[error("several accounts are called {name:?}; give an e-mail: {emails}")]
    Several {
        /// The name.
        name: String,
        /// Their addresses.
        emails: String,
    },
    /// The backup or its database.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of the data.
    #[error(transparent)]
    Start(#[from] serve::StartError),
    /// A rule, or a fault.
    #[error(transparent)]
    Server(#[from] Error),
}

/// An operator at the database of a server.
pub struct Admin {
    app: App,
}

impl Admin {
    /// Opens the database a server has, or had, open with these settings.
    pub async fn open(mut config: Config) -> Result<Self, AdminError> {
        if let chatroom_store::Place::Sqlite(path) = &config.database
            && !path.exists()
        {
            return Err(AdminError::NoDatabase(path.display().to_string()));
        }
        config.as_last_reached();
        let store = Store::beside(&config.database).await?;
        // Nothing sealed is written or read here.
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Error::NoRandomness)?;
        let keys = KeyRing::parse(&KeyRing::format_key("none", random)).map_err(Error::from)?;
        let app = App::new(config, store, keys, None);
        Ok(Self { app })
    }

    /// Looks up a person by e-mail or name; without either, whoever has the oldest account.
    pub async fn person(&self, who: Option<&str>) -> Result<User, AdminError> {
        let reader = self.app.reader();
        let Some(who) = who else {
            return users::first(&reader).await?.ok_or(AdminError::NoAccount);
        };
        let mut found = users::called(&reader, who).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(AdminError::Nobody(who.to_owned())),
            (Some(user), true) => Ok(user),
            (Some(last), false) => {
                found.push(last);
                let emails: Vec<&str> = found.iter().map(|user| user.email.as_str()).collect();
                Err(AdminError::Several { name: who.to_owned(), emails: emails.join(", ") })
            }
        }
    }

    /// Sets a person's password, or takes it away, and ends all their sign-ins; returns how many, and a link that signs in once.
    pub async fn reset_password(&self, user: UserId, password: Option<&str>) -> Result<(usize, String), AdminError> {
        let hash = match password {
            Some(text) => Some(passwords::hash(&self.app, Password::parse(text).map_err(Error::from)?).await?),
            None => None,
        };
        let mut work = self.app.begin().await?;
        users::set_password_hash(&work.tx, user, hash).await?;
        let ended = sessions::revoke_all(&mut work, user).await?;
        let (code, _) = codes::issue(&work, CodePurpose::SignIn, Some(user), None, ONE_TIME_MS).await?;
        let instance = home(&work.tx, user).await?;
        work.event(instance, told("password.reset", user)).await?;
        work.commit().await?;
        Ok((ended, codes::link(&self.app, &code)))
    }

    /// Makes a link that signs a person in, once.
    pub async fn sign_in_link(&self, user: UserId) -> Result<String, AdminError> {
        let mut work = self.app.begin().await?;
        let (code, _) = codes::issue(&work, CodePurpose::SignIn, Some(user), None, ONE_TIME_MS).await?;
        let instance = home(&work.tx, user).await?;
        work.event(instance, told("sign_in_link.created", user)).await?;
        work.commit().await?;
        Ok(codes::link(&self.app, &code))
    }

    /// Writes all rows into a file.
    pub async fn backup(&self, file: &Path) -> Result<Summary, AdminError> {
        Ok(backup::save(&self.app.store, file, self.app.clock.now()).await?)
    }
}

/// Loads a backup into the empty or new database of these settings, while no server runs on it.
pub async fn restore(config: &Config, file: &Path) -> Result<Summary, AdminError> {
    let folder = serve::Folder::make(config)?;
    let summary = backup::load(&config.database, file).await?;
    folder.keep();
    Ok(summary)
}

fn told(kind: &'static str, user: UserId) -> NewEvent {
    NewEvent { kind, private_to: Some(user), subject: Some(user.to_string()), ..NewEvent::default() }
}
