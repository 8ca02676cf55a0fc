//! The HTTP API, route by route, against a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod accounts;
mod agents;
mod base;
mod commands;
mod devices;
mod events;
mod machines;
mod origins;
mod pages;
mod rooms;
mod stage;
mod tasks;
mod tunnel;
mod walk;
