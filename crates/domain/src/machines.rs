//! Machines and the lease that makes one online.

use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::api::machines::{ToolFacts, ToolPresence};
use chatroom_protocol::{MachineId, ModelId, Role, RoomId, Timestamp, Tool, UserId};

/// How often a connected tunnel renews its machine's lease.
pub const RENEW_EVERY_MS: i64 = 10_000;

/// How long a lease lasts: at least three renewals and the time to write one, so that one lost renewal never shows.
pub const LEASE_MS: i64 = 45_000;

/// A computer with a daemon, belonging to one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The UUID of its `machine.json`.
    pub id: MachineId,
    /// Whose it is.
    pub user: UserId,
    /// As it called itself when its identity was made.
    pub hostname: String,
    /// What its user calls it.
    pub alias: Alias,
    /// `linux`, `darwin` or `win32`.
    pub os: String,
    /// What was found on PATH.
    pub tools: Vec<ToolFacts>,
    /// The version of its daemon.
    pub daemon_version: Option<String>,
    /// How often a daemon of it started.
    pub epoch: u64,
    /// When it was first registered.
    pub registered_at: Timestamp,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// Until when it counts as online.
    pub lease_until: Option<Timestamp>,
    /// The renewal counter its daemon confirmed last.
    pub renewal: u64,
    /// When it was locked, because its home was used from two places.
    pub locked_at: Option<Timestamp>,
}

impl Machine {
    /// Returns whether a daemon holds a lease at `now`.
    pub fn online(&self, now: Timestamp) -> bool {
        // One that ends far later than any lease given now was written before the clock was set back.
        self.lease_until.is_some_and(|until| until > now && until <= now.plus_millis(2 * LEASE_MS))
    }

    /// Returns whether a daemon that shows `renewal` holds the home that was heard of last.
    ///
    /// Each connection, and each hour of one, counts on by one, and the daemon writes
    /// the new count down before it confirms it. So a daemon shows what it confirmed
    /// last, or the one after it if its confirmation was lost. Whoever shows less
    /// works with an older copy of the home.
    pub fn follows(&self, renewal: u64) -> bool {
        renewal == self.renewal || renewal == self.renewal + 1
    }

    /// Returns whether the tool was found. One that did not tell its version in time may work all the same; the machine
    /// says so when it is to be started.
    pub fn has(&self, tool: Tool) -> bool {
        self.tools.iter().any(|facts| facts.tool == tool && facts.presence != ToolPresence::Missing)
    }
}

/// How far the journal of a machine has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// Which journal; `None` before the first report.
    pub journal: Option<String>,
    /// The last number applied from it.
    pub applied: u64,
}

impl Watermark {
    /// Returns where reports from `journal` go on: another journal counts its reports anew.
    #[must_use]
    pub fn in_journal(self, journal: &str) -> Self {
        if self.journal.as_deref() == Some(journal) {
            self
        } else {
            Self { journal: Some(journal.to_owned()), applied: 0 }
        }
    }

    /// Returns whether a report is to be applied, and notes it. What was applied is never applied again.
    pub fn takes(&mut self, seq: u64) -> bool {
        let is_new = seq > self.applied;
        self.applied = self.applied.max(seq);
        is_new
    }
}

/// What was refused about a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// Unknown, or somebody else's: both look the same.
    #[error("no such machine")]
    NotFound,
    /// The id a computer registers with is not its user's to take; it answers as [`MachineError::NotFound`] does.
    #[error(
        "no such machine of yours; if this home was copied, or another account registered it, use another CHATROOM_HOME"
    )]
    Foreign,
    /// The machine does not have what its configuration names.
    #[error("{0} is not installed on this machine; install it there, or choose another tool for the role")]
    ToolMissing(Tool),
    /// Nothing says what the role is to run on this machine.
    #[error(
        "this role has no agent configuration on this machine; save one, or run `chatroom wait-for-task` there once"
    )]
    NotConfigured,
    /// The tool cannot ask and the configuration wants it to.
    #[error(
        "{0} cannot ask for permission; set its mode to auto, and on the machine run `chatroom machine allow --auto`"
    )]
    CannotAsk(Tool),
    /// There is nothing to go on with.
    #[error("its last conversation cannot be resumed: {0}; start it without that")]
    CannotResume(String),
    /// The role runs elsewhere.
    #[error("this role runs on another machine; stop it there first")]
    RunsElsewhere,
    /// Too much waits for it.
    #[error("too many commands wait for this machine; let it take some first")]
    TooManyCommands,
    /// A command about an agent must name one; others must not.
    #[error("{0}")]
    BadCommand(&'static str),
    /// Text that does not fit.
    #[error("{what} must be {rule}")]
    BadText {
        /// What was being read.
        what: &'static str,
        /// What is accepted.
        rule: &'static str,
    },
    /// The reports are of another journal than the machine has.
    #[error("these reports are of another journal than the one this machine connected with; connect first")]
    OtherJournal,
    /// A newer daemon of this machine has taken over.
    #[error("a newer daemon of this machine has taken over")]
    StaleEpoch,
    /// Its home was used from two places.
    #[error(
        "locked: this machine's home was used from two places, or an old copy of it was put back; on the right computer, \
         signed in, run `chatroom machine unlock`: every other copy stays refused"
    )]
    Locked,
}

/// What people call a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias(String);

impl Alias {
    /// Reads one: 1 to 80 characters, none of them a control character.
    pub fn parse(text: &str) -> Result<Self, MachineError> {
        let text = text.trim();
        let fits = (1..=80).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned())).ok_or(MachineError::BadText {
            what: "an alias",
            rule: "1 to 80 characters, none of them a control character",
        })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a host name as a machine registers with it.
pub fn check_hostname(text: &str) -> Result<(), MachineError> {
    let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then_some(()).ok_or(MachineError::BadText {
        what: "a host name",
        rule: "1 to 255 characters, none of them a control character",
    })
}

/// Checks the operating system's word.
pub fn check_os(text: &str) -> Result<(), MachineError> {
    ["linux", "darwin", "win32"]
        .contains(&text)
        .then_some(())
        .ok_or(MachineError::BadText { what: "os", rule: "one of linux, darwin, win32" })
}

/// Checks a working directory as far as the server can: the machine's own policy has the last word.
pub fn check_working_dir(text: &str) -> Result<(), MachineError> {
    let absolute = text.starts_with('/') || (text.len() > 2 && text.as_bytes()[1] == b':');
    let fits = absolute && text.len() <= 4096 && !text.chars().any(char::is_control);
    fits.then_some(()).ok_or(MachineError::BadText {
        what: "a working directory",
        rule: "an absolute path of at most 4,096 characters",
    })
}

/// What a role runs on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// The machine.
    pub machine: MachineId,
    /// The room.
    pub room: RoomId,
    /// The role.
    pub role: Role,
    /// The tool.
    pub tool: Tool,
    /// Absolute path on the machine.
    pub working_dir: String,
    /// The model, where one was chosen.
    pub model: Option<ModelId>,
    /// Whether it asks.
    pub mode: PermissionMode,
    /// How it is driven.
    pub form: RunForm,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlasts_three_renewals() {
        const { assert!(LEASE_MS > 3 * RENEW_EVERY_MS + 5_000) };
    }

    fn machine(renewal: u64, lease_until: Option<Timestamp>) -> Machine {
        Machine {
            id: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            user: UserId::from_parts(Timestamp(1), 1),
            hostname: "laptop".into(),
            alias: Alias::parse("laptop").unwrap(),
            os: "linux".into(),
            tools: Vec::new(),
            daemon_version: None,
            epoch: 1,
            registered_at: Timestamp(1),
            last_seen_at: Timestamp(1),
            lease_until,
            renewal,
            locked_at: None,
        }
    }

    #[test]
    fn a_lease_is_read_by_a_clock_that_may_have_jumped() {
        let now = Timestamp(1_700_000_000_000);
        let day = 24 * 3600 * 1000;
        let machine = machine(0, Some(now.plus_millis(LEASE_MS)));
        for (later, online) in
            [(0, true), (LEASE_MS - 1, true), (LEASE_MS, false), (day, false), (-1000, true), (-day, false)]
        {
            assert_eq!(machine.online(now.plus_millis(later)), online, "{later} ms later");
        }
    }

    #[test]
    fn only_the_last_count_and_the_one_under_way_are_current() {
        for (shown, current) in [(6, false), (7, true), (8, true), (9, false), (0, false), (u64::MAX, false)] {
            assert_eq!(machine(7, None).follows(shown), current, "{shown}");
        }
    }

    #[test]
    fn directories_are_absolute() {
        for (path, fits) in
            [("/srv/app", true), ("srv", false), ("", false), ("-/x", false), ("/a\nb", false), ("C:\\x", true)]
        {
            assert_eq!(check_working_dir(path).is_ok(), fits, "{path:?}");
        }
    }
}
