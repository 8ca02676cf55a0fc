//! The daemon of one machine against a small server: identity, policy, commands, reports, local API.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod arbitrary;
mod commands;
mod environment;
mod files;
mod journal;
mod life;
mod pids;
mod standing;
mod steering;
mod transcripts;
mod world;
