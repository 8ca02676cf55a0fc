//! People, their passwords and their sessions.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
        let salt = Salt::new(&salt).map_err(|_| AccountError::Hash)?;
        let (algorithm, version, params) = (Algorithm::default(), Version::default(), Params::default());
        let output = digest(self.0.as_bytes(), &salt, Params::DEFAULT_OUTPUT_LEN, (algorithm, version, params.clone()));
        let hash = PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params).map_err(|_| AccountError::Hash)?,
            salt: Some(salt),
            hash: Some(output.ok_or(AccountError::Hash)?),
        };
        Ok(hash.to_string())
    }
}

/// Returns whether `given` is the password behind `hash`. Slow on purpose.
pub fn verify_password(given: &str, hash: &str) -> bool {
    given.len() <= 1000 && is_behind(given, hash).unwrap_or(false)
}

fn is_behind(given: &str, hash: &str) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let how = (Algorithm::try_from(hash.algorithm.as_str()).ok()?, version, Params::try_from(&hash).ok()?);
    let (salt, expected) = (hash.salt?, hash.hash?);
    // Compared in constant time.
    Some(digest(given.as_bytes(), &salt, expected.len(), how)? == expected)
}

thread_local! {
    /// What a hash is computed in, 19 MB. Allocated anew each time, a handful of sign-ins would leave hundreds of
    /// megabytes behind: allocators do not find so large a hole again.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

fn digest(password: &[u8], salt: &[u8], length: usize, how: (Algorithm, Version, Params)) -> Option<Output> {
    let (algorithm, version, params) = how;
    let blocks = params.block_count();
    let argon2 = Argon2::new(algorithm, version, params);
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..length)?;
    MEMORY.with_borrow_mut(|memory| {
        if memory.len() < blocks {
            *memory = vec![Block::default(); blocks];
        }
        argon2.hash_password_into_with_memory(password, salt, out, &mut memory[..blocks]).ok()
    })?;
    Output::new(out).ok()
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
    fn a_hash_does_not_depend_on_what_was_hashed_before_it() {
        // Made by the reference implementation's own interface, without memory of ours.
        let plain = |password: &str, salt: [u8; 16]| {
            let hash: PasswordHash =
                argon2::PasswordHasher::hash_password_with_salt(&Argon2::default(), password.as_bytes(), &salt)
                    .unwrap();
            hash.to_string()
        };
        for (password, salt) in [("first password", [1; 16]), ("second password", [2; 16]), ("third password", [3; 16])]
        {
            assert_eq!(Password::parse(password).unwrap().hash(salt).unwrap(), plain(password, salt));
        }
        // A smaller one, as an older server may have made it, between larger ones.
        let small = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let small: PasswordHash =
            argon2::PasswordHasher::hash_password_with_salt(&small, b"an old password", &[4; 16]).unwrap();
        assert!(verify_password("an old password", &small.to_string()));
        assert!(verify_password("first password", &plain("first password", [9; 16])));
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
