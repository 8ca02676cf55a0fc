//! Everything that can go wrong in the server, without a word about HTTP.

use chatroom_domain::accounts::AccountError;
use chatroom_domain::attachments::AttachmentError;
use chatroom_domain::machines::MachineError;
use chatroom_domain::messages::MessageError;
use chatroom_domain::rooms::RoomError;
use chatroom_domain::secrets::SecretError;
use chatroom_domain::tasks::TaskError;
use chatroom_protocol::BadName;
use chatroom_protocol::error::Problem;
use chatroom_store::{StoreError, Trouble};
use chatroom_streams::Refusal;

use crate::limits::Kind;

/// What went wrong. `http/error.rs` alone says what a client sees of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule about accounts.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A rule about rooms.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// A rule about messages.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A rule about attachments.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// A rule about tasks.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A rule about machines, commands and configurations.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A rule about steering agents.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A name that does not fit.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Nobody is signed in.
    #[error("not signed in; run `chatroom auth login`, or sign in in the browser")]
    NotSignedIn,
    /// This kind of caller may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is nothing there that the caller may see.
    #[error("there is nothing here that you may see")]
    NotFound,
    /// The request could not be read.
    #[error("{0}")]
    Invalid(String),
    /// More, or longer, than is taken; the name of the limit, and what it is.
    #[error("{1}")]
    Beyond(&'static str, String),
    /// The body is too large.
    #[error("the body is larger than this route takes")]
    TooLarge,
    /// The headers are too large.
    #[error("the headers are larger than {} KiB together; send fewer cookies", .0 / 1024)]
    HeadersTooLarge(usize),
    /// The address is too long.
    #[error("the address is longer than {} KiB", .0 / 1024)]
    AddressTooLong(usize),
    /// One caller sent too many requests; after so many seconds more are taken.
    #[error("too many requests in a minute; wait {0} s")]
    TooFast(u64),
    /// One person has as much open as they may.
    #[error("you have {} of these open already, which is as many as one person may; close one first", .0.most())]
    TooManyOpen(Kind),
    /// A device sign-in that has no answer yet, or a bad one.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The request names a host this server does not answer for.
    #[error("this server does not answer for that host; set --public-url to the address people use")]
    UnknownHost,
    /// The request comes from a page of another origin.
    #[error("requests from pages of another origin are refused")]
    ForeignOrigin,
    /// The feed begins later now.
    #[error("the feed no longer reaches back that far; read the present state, then go on after {0}")]
    FeedTruncated(i64),
    /// Server and daemon are too far apart.
    #[error("{0}")]
    VersionGap(String),
    /// The server stops.
    #[error("the server is stopping; try again in a moment")]
    ShuttingDown,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is known to be in trouble.
    #[error("{}", unwell(*.0))]
    Unwell(Trouble),
    /// A transcript.
    #[error(transparent)]
    Transcript(#[from] Refusal),
    /// Sealing or opening a secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// A fault with nothing a caller could do.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Returns what ails the database, if this error comes of that.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Store(error) => error.trouble(),
            Self::Unwell(trouble) => Some(*trouble),
            _ => None,
        }
    }
}

/// Tells what ails the database, to whoever asked for something.
fn unwell(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Full => {
            "the server's disk is full, so nothing can be changed right now; its operator must free some space"
        }
        Trouble::Away => "the server's database does not answer; try again in a moment",
    }
}

/// What was refused about steering an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It has no live run.
    #[error("this agent is not running; start it first")]
    NotRunning,
    /// Its machine is away.
    #[error("the machine of this agent is offline; on it, run `chatroom machine daemon start`")]
    Offline,
    /// Its machine has as many streams open as it may.
    #[error("too many logs and the like are being read at once; close some, then try again")]
    TooManyStreams,
    /// Its machine did not do it.
    #[error("the machine did not do it: {0}")]
    MachineFailed(String),
    /// Its machine answered with a problem of its own.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// It is in a terminal, where people type themselves.
    #[error("this agent runs in a terminal; type it there: `chatroom agent attach`")]
    InTerminal,
    /// It is in no terminal.
    #[error("this run has no terminal; `chatroom agent logs` shows what it does")]
    NoTerminal,
    /// The agent has this prompt, or somebody took it back.
    #[error("this prompt was given to the agent already, or taken back; it cannot be changed any more")]
    PromptSettled,
    /// The question is not open any more.
    #[error("this permission request is answered, or gone with its run")]
    PermissionClosed,
    /// The question does not say what an answer for the whole run would permit.
    #[error("this request can be allowed only once: its machine runs an older version")]
    OnlyOnce,
    /// The answer is to something else than what was shown.
    #[error("the request is not what was shown; look again before you answer")]
    PermissionChanged,
    /// A run of this role lives.
    #[error("a run of this role is live; stop it first, or wait with --take-over")]
    RoleTaken,
    /// Its tasks come to it by themselves.
    #[error("this run is given its tasks; there is nothing to wait for")]
    GivenTasks,
    /// Another connection waits for this role now.
    #[error("a newer waiter has this role")]
    Superseded,
}

/// Where a device sign-in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The person has not decided.
    #[error("waiting for approval")]
    Pending,
    /// Polled too fast.
    #[error("polled too fast; wait as long as `interval` says")]
    SlowDown,
    /// The person refused.
    #[error("the sign-in was denied")]
    Denied,
}
