//! People, their passwords and their sessions.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use chatroom_protocol::api::auth::SessionKind;
use chatroom_protocol::{InstanceId, SessionId, Timestamp, UserId};

/// How long a browser stays signed in, in milliseconds: 30 days.
pub const SESSION_MS: i64 = 30 * 24 * 3600 * 1000;
/// How long a device code works, in milliseconds.
pub const DEVICE_CODE_MS: i64 = 5 * 60 * 1000;
/// Seconds between two polls of a device.
pub const DEVICE_INTERVAL_S: u32 = 2;
/// How long a sign-in link or an enrolment code works, in milliseconds.
pub const ONE_TIME_MS: i64 = 15 * 60 * 1000;
/// How long an invitation works, in milliseconds: 7 days.
pub const INVITATION_MS: i64 = 7 * 24 * 3600 * 1000;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// What they sign in with.
    pub email: Email,
    /// What others see.
    pub name: String,
}

/// A sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Where it is used.
    pub kind: SessionKind,
    /// The browser or device.
    pub label: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub owner: UserId,
}

/// What a one-time code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodePurpose {
    /// The first account.
    SignUp,
    /// A link that signs its user in.
    SignIn,
    /// A machine that joins.
    Enrolment,
    /// A member who joins.
    Invitation,
}

impl CodePurpose {
    /// Returns the word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::SignIn => "sign_in",
            Self::Enrolment => "enrolment",
            Self::Invitation => "invitation",
        }
    }
}

/// What was refused about an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The e-mail does not look like one.
    #[error("an e-mail must have the form name@host and at most 254 characters")]
    BadEmail,
    /// The name does not fit.
    #[error("a name must be 1 to 80 characters, none of them a control character")]
    BadName,
    /// The password does not fit.
    #[error("a password must be 10 to 200 characters")]
    BadPassword,
    /// The e-mail is taken.
    #[error("an account with this e-mail exists; sign in instead")]
    EmailTaken,
    /// Sign-up needs a secret or an invitation.
    #[error("signing up needs the secret printed when the server started, or an invitation")]
    SignUpClosed,
    /// Wrong e-mail or password: which of them is not said.
    #[error("e-mail or password is wrong")]
    WrongCredentials,
    /// A code is unknown, used or too old.
    #[error("the code is unknown, used or too old; ask for a new one")]
    CodeExpired,
    /// Too many tries.
    #[error("too many tries; try again in {0} s")]
    TooManyTries(u64),
    /// Hashing failed.
    #[error("the password could not be hashed")]
    Hash,
}

/// An e-mail address, lower-cased.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let text = text.trim().to_lowercase();
        let (name, host) = text.split_once('@').ok_or(AccountError::BadEmail)?;
        let fits = !name.is_empty()
            && !host.is_empty()
            && text.len() <= 254
            && !host.contains('@')
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        fits.then_some(Self(text)).ok_or(AccountError::BadEmail)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks what others see of a person or an instance.
pub fn check_name(text: &str) -> Result<String, AccountError> {
    let text = text.trim();
    let fits = (1..=80).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or(AccountError::BadName)
}

/// A password in plain text, of a length that is accepted.
pub struct Password(String);

impl Password {
    /// Reads a new one.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let fits = (10..=200).contains(&text.chars().count());
        fits.then(|| Self(text.to_owned())).ok_or(AccountError::BadPassword)
    }

    /// Hashes it with argon2id. Slow on purpose: call it off the async workers.
    pub fn hash(&self, salt: [u8; 16]) -> Result<String, AccountError> {
        Argon2::default()
            .hash_password_with_salt(self.0.as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|_| AccountError::Hash)
    }
}

/// Returns whether `given` is the password behind `hash`. Slow on purpose.
pub fn verify_password(given: &str, hash: &str) -> bool {
    given.len() <= 1000
        && PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(given.as_bytes(), &hash).is_ok())
}

/// Makes the code a person compares, such as `BDFK-QRTX`: letters that are hard to confuse, 20^8 of them.
pub fn user_code(random: [u8; 8]) -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut code: String = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 20])).collect();
    code.insert(4, '-');
    code
}

/// Reads a typed user code: case, blanks and the dash do not matter.
pub fn normalise_user_code(text: &str) -> String {
    let letters: String =
        text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase()).take(16).collect();
    match letters.split_at_checked(4) {
        Some((head, tail)) => format!("{head}-{tail}"),
        None => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = Password::parse("correct horse").unwrap().hash([7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify_password("correct horse", &hash));
        assert!(!verify_password("correct horsf", &hash));
        assert!(!verify_password("correct horse", "nonsense"));
    }

    #[test]
    fn emails_and_codes_are_read_once() {
        assert_eq!(Email::parse(" Ada@Example.Org ").unwrap().as_str(), "ada@example.org");
        for bad in ["ada", "@x", "a@", "a@b@c", "a b@c"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        let code = user_code([0, 1, 2, 3, 19, 20, 255, 7]);
        assert_eq!(normalise_user_code(&format!(" {} ", code.to_lowercase().replace('-', " "))), code);
    }
}
