//! Tokens we issue and secrets we keep.
//!
//! A token is a prefix that says what it is for, then 256 random bits; only its
//! hash is stored. A secret that must be read again is sealed with
//! XChaCha20-Poly1305 and bound to the row and column it was written to, so a
//! value copied to another row does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A person's session.
    Session,
    /// What a CLI device polls with.
    Device,
    /// Proves a machine to the platform.
    Machine,
    /// Proves the platform to a machine.
    Platform,
    /// What a run may say of itself.
    Run,
    /// Sign-in link, sign-up secret, enrolment, invitation.
    OneTime,
}

impl TokenKind {
    /// Returns what every token of this kind begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Session => "crs_",
            Self::Device => "crd_",
            Self::Machine => "crm_",
            Self::Platform => "crp_",
            Self::Run => "crr_",
            Self::OneTime => "cro_",
        }
    }
}

/// A token in plain text. It is shown or sent once and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Makes a token from 32 random bytes.
    pub fn mint(kind: TokenKind, random: [u8; 32]) -> Self {
        Self(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random)))
    }

    /// Reads what a caller presented, if it has the shape of this kind.
    pub fn read(kind: TokenKind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    /// Returns the text, to be shown or sent.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what is stored in its place.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The SHA-256 of a token, as hex: tokens carry 256 random bits, so no slow hash is needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenHash(pub String);

impl TokenHash {
    /// Hashes any secret text of high entropy.
    pub fn of(text: &str) -> Self {
        use fmt::Write as _;
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Table and column, such as `machines.platform_token`.
    pub column: &'static str,
    /// The row's id.
    pub row: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        format!("chatroom:v1:{}:{}", self.column, self.row).into_bytes()
    }
}

/// Why keys or a sealed value were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key text is not `id:base64 of 32 bytes`.
    #[error("key {0} is not of the form ID:KEY, where KEY is the base64 of 32 bytes")]
    BadKey(usize),
    /// A key made of one repeated byte is a default somebody forgot to change.
    #[error("key {0} is a known or repeated value; make one with `openssl rand -base64 32`")]
    WeakKey(usize),
    /// Two keys share an id.
    #[error("two keys share the id {0}")]
    TwoKeys(String),
    /// There is no key at all.
    #[error("no secret key is set")]
    NoKey,
    /// Sealed with a key that is not in the ring.
    #[error("sealed with key {0}, which is not set")]
    UnknownKey(String),
    /// The value is damaged or belongs to another place.
    #[error("a sealed value is damaged or was moved")]
    Damaged,
}

/// The keys secrets are sealed with, the newest first.
#[derive(Clone)]
pub struct KeyRing(Vec<(String, XChaCha20Poly1305)>);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl KeyRing {
    /// Reads `id:base64,id:base64,…`, the newest first.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let mut keys: Vec<(String, XChaCha20Poly1305)> = Vec::new();
        for (at, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            let bad = SecretError::BadKey(at + 1);
            let (id, key) = part.split_once(':').ok_or(bad.clone())?;
            let id_fits = !id.is_empty() && id.len() <= 32 && id.chars().all(|c| c.is_ascii_alphanumeric());
            let bytes = base64::engine::general_purpose::STANDARD.decode(key).map_err(|_| bad.clone())?;
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| bad.clone())?;
            if !id_fits {
                return Err(bad);
            }
            if bytes.iter().all(|byte| *byte == bytes[0]) || bytes.is_ascii() {
                return Err(SecretError::WeakKey(at + 1));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(SecretError::TwoKeys(id.to_owned()));
            }
            keys.push((id.to_owned(), XChaCha20Poly1305::new(&bytes.into())));
        }
        if keys.is_empty() { Err(SecretError::NoKey) } else { Ok(Self(keys)) }
    }

    /// Writes one key the way [`KeyRing::parse`] reads it.
    pub fn format_key(id: &str, random: [u8; 32]) -> String {
        format!("{id}:{}", base64::engine::general_purpose::STANDARD.encode(random))
    }

    /// Seals `plain` for `place` with the newest key.
    pub fn seal(&self, place: Place<'_>, plain: &str, nonce: [u8; 24]) -> Result<String, SecretError> {
        let (id, cipher) = self.0.first().ok_or(SecretError::NoKey)?;
        let aad = place.associated_data();
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain.as_bytes(), aad: &aad })
            .map_err(|_| SecretError::Damaged)?;
        let mut body = nonce.to_vec();
        body.extend_from_slice(&sealed);
        Ok(format!("v1.{id}.{}", URL_SAFE_NO_PAD.encode(body)))
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, SecretError> {
        let mut parts = sealed.splitn(3, '.');
        let (Some("v1"), Some(id), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::Damaged);
        };
        let (_, cipher) =
            self.0.iter().find(|(known, _)| known == id).ok_or_else(|| SecretError::UnknownKey(id.to_owned()))?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| SecretError::Damaged)?;
        let (nonce, sealed) = body.split_at_checked(24).ok_or(SecretError::Damaged)?;
        let nonce: [u8; 24] = nonce.try_into().map_err(|_| SecretError::Damaged)?;
        let aad = place.associated_data();
        let plain = cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| SecretError::Damaged)?;
        String::from_utf8(plain).map_err(|_| SecretError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u8) -> [u8; 32] {
        std::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(u8::try_from(at).unwrap().wrapping_mul(9)))
    }

    fn ring(keys: &[(&str, u8)]) -> KeyRing {
        let text: Vec<_> = keys.iter().map(|(id, seed)| KeyRing::format_key(id, random(*seed))).collect();
        KeyRing::parse(&text.join(",")).unwrap()
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let place = Place { column: "machines.platform_token", row: "a" };
        let sealed = ring(&[("k1", 1)]).seal(place, "crp_x", [7; 24]).unwrap();
        assert!(!sealed.contains("crp_x"));
        assert_eq!(ring(&[("k2", 2), ("k1", 1)]).open(place, &sealed).unwrap(), "crp_x");
        for elsewhere in
            [Place { column: "machines.platform_token", row: "b" }, Place { column: "env.value", row: "a" }]
        {
            assert_eq!(ring(&[("k1", 1)]).open(elsewhere, &sealed), Err(SecretError::Damaged));
        }
        assert_eq!(ring(&[("k2", 2)]).open(place, &sealed), Err(SecretError::UnknownKey("k1".into())));
    }

    #[test]
    fn short_and_known_keys_are_refused() {
        let zeros = base64::engine::general_purpose::STANDARD.encode([0_u8; 32]);
        let words = base64::engine::general_purpose::STANDARD.encode(b"changeme-changeme-changeme-12345");
        for (text, error) in [
            (String::new(), SecretError::NoKey),
            ("k1:c2hvcnQ=".into(), SecretError::BadKey(1)),
            ("nokey".into(), SecretError::BadKey(1)),
            (format!("k1:{zeros}"), SecretError::WeakKey(1)),
            (format!("k1:{words}"), SecretError::WeakKey(1)),
        ] {
            assert_eq!(KeyRing::parse(&text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn a_token_is_read_only_as_what_it_is() {
        let token = Token::mint(TokenKind::Machine, random(3));
        assert_eq!(Token::read(TokenKind::Machine, token.expose()), Some(token.clone()));
        assert_eq!(Token::read(TokenKind::Run, token.expose()), None);
        assert!(token.hash().matches(&TokenHash::of(token.expose())));
        assert!(!format!("{token:?}").contains(token.expose()));
    }
}
