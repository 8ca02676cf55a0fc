//! The tunnel, end to end over loopback: a real server, a real dial.

#![expect(clippy::unwrap_used, reason = "what a test stands on fails the test when it breaks")]

mod bodies;
mod cancels;
mod dialling;
mod endings;
mod listening;
mod proxy;
mod registry;
mod requests;
mod stalls;
mod world;
