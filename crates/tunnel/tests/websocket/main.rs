//! The same suite as `it`, with every tunnel carried over a WebSocket.

#![expect(clippy::unwrap_used, reason = "what a test stands on fails the test when it breaks")]

#[path = "../it/bodies.rs"]
mod bodies;
#[path = "../it/cancels.rs"]
mod cancels;
#[path = "../it/dialling.rs"]
mod dialling;
#[path = "../it/endings.rs"]
mod endings;
#[path = "../it/noise.rs"]
mod noise;
#[path = "../it/proxy.rs"]
mod proxy;
#[path = "../it/requests.rs"]
mod requests;
#[path = "../it/stalls.rs"]
mod stalls;
#[path = "../it/world.rs"]
mod world;
