//! The HTTP API, route by route, against a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod accounts;
mod agents;
mod arbitrary;
mod attachments;
mod base;
mod bulk;
mod commands;
mod credentials;
mod devices;
mod events;
mod export;
mod forged;
mod journals;
mod limits;
mod machines;
mod origins;
mod pages;
mod restarts;
mod retention;
mod room_life;
mod room_list;
mod rooms;
mod search;
mod stage;
mod steering;
mod tasks;
mod transcripts;
mod tunnel;
mod walk;
