//! One machine: harnesses, supervisor, journal, local API.
//!
//! The daemon dials its server, serves an HTTP API over that connection, and
//! starts, steers and ends agent programs. What processes do is written to the
//! [`journal`] first and reported after; the server only has a copy of it.
//!
//! What a newcomer would get wrong: nothing here polls the server for work. The
//! connection brings commands, and facts leave by the [`reporter`].

pub mod attachments;
pub mod backoff;
pub mod commands;
pub mod control;
pub mod credentials;
pub mod daemon;
pub mod detect;
pub mod env;
pub mod epoch;
pub mod harness;
pub mod home;
pub mod identity;
pub mod journal;
pub mod link;
pub mod local_api;
pub mod lock;
pub mod logs;
pub mod orders;
pub mod platform;
pub mod policy;
pub mod process;
pub mod reporter;
pub mod runs;
pub mod sending;
pub mod service;
pub mod status;
pub mod supervisor;
pub mod trust;

mod hex;

pub use daemon::{DaemonError, Exit, Options, Shutdown, run};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the present moment.
fn now() -> chatroom_protocol::Timestamp {
    chatroom_protocol::Timestamp(jiff::Timestamp::now().as_millisecond())
}
