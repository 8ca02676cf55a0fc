//! How much one caller may ask for at once. It lives in memory: a restart forgives.
//!
//! These limits keep a program that runs wild from taking the server away from
//! everybody else; nobody meets them in daily use. `docs/limits.md` lists them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chatroom_domain::access::Caller;
use chatroom_protocol::{MachineId, RunId, Timestamp, UserId};

use crate::error::Error;

/// Requests of one person, machine or run in a minute.
pub const REQUESTS_A_MINUTE: u32 = 60_000;
/// How many a page may hold.
pub const PAGE: u64 = 500;
const MINUTE_MS: i64 = 60_000;

/// What stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The feed as a stream.
    Feed,
    /// A wait for a task.
    Wait,
    /// The log of a run, as it grows.
    Log,
    /// The terminal of a run.
    Terminal,
}

impl Kind {
    /// Returns how many of it one person may have open.
    pub fn most(self) -> u32 {
        match self {
            Self::Feed | Self::Terminal => 64,
            // More than one machine serves, so that its own limit is met first.
            Self::Log => 128,
            // One for each role somebody works by hand.
            Self::Wait => 2_000,
        }
    }

    /// Returns the name of its limit.
    pub fn limit(self) -> &'static str {
        match self {
            Self::Feed => "open_feeds",
            Self::Wait => "open_waits",
            Self::Log => "open_logs",
            Self::Terminal => "open_terminals",
        }
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Principal {
    Person(UserId),
    Machine(MachineId),
    Run(RunId),
}

/// What everybody has taken; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Limits(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    open: HashMap<(UserId, Kind), u32>,
    minute: i64,
    requests: HashMap<Principal, u32>,
}

/// Something that is open, and counted until this is dropped.
#[derive(Debug)]
pub struct Held {
    limits: Limits,
    user: UserId,
    kind: Kind,
}

impl Limits {
    fn with<T>(&self, change: impl FnOnce(&mut Taken) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts something that `user` opens.
    pub fn open(&self, user: UserId, kind: Kind) -> Result<Held, Error> {
        let fits = self.with(|taken| {
            let count = taken.open.entry((user, kind)).or_default();
            let fits = *count < kind.most();
            *count += u32::from(fits);
            fits
        });
        if fits { Ok(Held { limits: self.clone(), user, kind }) } else { Err(Error::TooManyOpen(kind)) }
    }

    /// Counts a request. Past the limit it is refused with how many seconds to wait.
    pub fn request(&self, caller: &Caller, now: Timestamp) -> Result<(), Error> {
        let principal = match caller {
            Caller::Person { user, .. } => Principal::Person(*user),
            Caller::Machine { machine, .. } => Principal::Machine(*machine),
            Caller::Run { run, .. } => Principal::Run(*run),
        };
        let count = self.with(|taken| {
            let minute = now.0.div_euclid(MINUTE_MS);
            if std::mem::replace(&mut taken.minute, minute) != minute {
                taken.requests.clear();
            }
            let count = taken.requests.entry(principal).or_default();
            *count = count.saturating_add(1);
            *count
        });
        if count <= REQUESTS_A_MINUTE {
            return Ok(());
        }
        let left = MINUTE_MS - now.0.rem_euclid(MINUTE_MS);
        Err(Error::TooFast(left.unsigned_abs().div_ceil(1_000)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.limits.with(|taken| {
            if let Some(count) = taken.open.get_mut(&(self.user, self.kind)) {
                *count -= 1;
                if *count == 0 {
                    taken.open.remove(&(self.user, self.kind));
                }
            }
        });
    }
}

/// Reads how many entries a page is to have.
pub fn page(asked: Option<u64>, otherwise: u64) -> Result<u64, Error> {
    let limit = asked.unwrap_or(otherwise);
    if (1..=PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::Beyond("page", format!("limit must be 1 to {PAGE}")))
}
