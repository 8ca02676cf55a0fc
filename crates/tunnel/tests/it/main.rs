//! The tunnel, end to end over loopback: a real server, a real dial.
//!
//! `tests/websocket` runs the same stories over the other form.

#![expect(clippy::unwrap_used, reason = "what a test stands on fails the test when it breaks")]

mod bodies;
mod cancels;
#[path = "../../../testkit/src/connect_proxy.rs"]
mod connect_proxy;
mod dialling;
mod endings;
mod forms;
mod listening;
mod noise;
mod peer;
mod picky;
mod proxies;
mod proxy;
mod registry;
mod requests;
mod rules;
mod stalls;
mod world;
