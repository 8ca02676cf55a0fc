//! The client's end of HTTP/2 (RFC 9113), for connections that mostly rest.
//!
//! A server holds one for every machine, thousands of them, and between two commands nothing is said on any. So
//! nothing lies about: buffers come with the bytes they hold and go with them, headers are neither remembered nor
//! asked to be (a table of size 0), and a request is written down by the task that makes it, not passed on to
//! another. One task, which polls the [`Connection`], frames what all of them want said, a batch at a time.
//!
//! What the peer may do to this end is bounded: by windows, by [`settings`](crate::settings), and by not listening to
//! a peer that does not take its answers. A peer that breaks the protocol loses the connection, one that breaks a
//! rule of a single stream loses that stream.

mod connection;
mod error;
mod frame;
mod hpack;
mod message;
mod outbox;
mod shared;
mod stream;
mod streams;

pub(crate) use connection::{Connection, Over, Pings};
pub use error::{Http2Error, Reason};
pub(crate) use shared::{Requests, Unopened};
pub(crate) use stream::{Receiving, Sending};
