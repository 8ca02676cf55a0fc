//! Slows down guessing. It lives in memory: a restart forgives, the database never pays.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chatroom_domain::accounts::AccountError;
use chatroom_protocol::{RunId, Timestamp, UserId};

use super::hashing::Hashing;

/// How long tries are remembered, in milliseconds.
const WINDOW_MS: i64 = 15 * 60 * 1000;

/// What is being tried, and how often it may be within the window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tries {
    /// One account's password from one address.
    Password(String, Network),
    /// Anything that could be guessed, from one address.
    Guesses(Network),
    /// Device sign-ins begun from one address.
    Devices(Network),
    /// User codes typed by one person.
    UserCodes(UserId),
    /// One person's own password, asked for again.
    OwnPassword(UserId),
    /// What one run writes into its room.
    RunWrites(RunId),
}

impl Tries {
    fn limit(&self) -> u32 {
        match self {
            Self::Password(..) | Self::OwnPassword(_) => 10,
            Self::Guesses(_) => 50,
            Self::Devices(_) => 30,
            Self::UserCodes(_) => 20,
            Self::RunWrites(_) => 600,
        }
    }
}

/// The part of an address that one customer of a provider shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Counts tries, and lets few passwords be hashed at once.
#[derive(Debug, Default)]
pub struct Throttle {
    windows: Mutex<HashMap<Tries, Window>>,
    /// Where passwords are hashed.
    pub hashing: Hashing,
}

#[derive(Debug)]
struct Window {
    count: u32,
    until: Timestamp,
}

impl Throttle {
    /// Counts a try before it is made, so that many at once cannot slip through.
    pub fn attempt(&self, tries: &Tries, now: Timestamp) -> Result<(), AccountError> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() > 10_000 {
            windows.retain(|_, window| window.until > now);
        }
        let fresh = || Window { count: 0, until: now.plus_millis(WINDOW_MS) };
        let window = windows.entry(tries.clone()).or_insert_with(fresh);
        if window.until <= now {
            *window = fresh();
        }
        if window.count >= tries.limit() {
            let wait = window.until.millis_since(now).unsigned_abs().div_ceil(1000);
            return Err(AccountError::TooManyTries(wait));
        }
        window.count += 1;
        Ok(())
    }

    /// Takes a counted try back: it was right.
    pub fn forgive(&self, tries: &Tries) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(tries) {
            window.count = window.count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_wrong_password_waits_for_the_window() {
        let throttle = Throttle::default();
        let from = |text: &str| Tries::Password("ada@example.org".into(), text.parse::<IpAddr>().unwrap().into());
        let start = Timestamp(1_000_000);
        for _ in 0..10 {
            throttle.attempt(&from("2001:db8::1"), start).unwrap();
        }
        let refused = throttle.attempt(&from("2001:db8::2"), start.plus_millis(500)).unwrap_err();
        assert_eq!(refused, AccountError::TooManyTries(900), "the same network");
        throttle.attempt(&from("2001:db8:0:1::1"), start).unwrap();
        throttle.forgive(&from("2001:db8::1"));
        throttle.attempt(&from("2001:db8::1"), start).unwrap();
        throttle.attempt(&from("2001:db8::1"), start.plus_millis(WINDOW_MS)).unwrap();
    }
}
