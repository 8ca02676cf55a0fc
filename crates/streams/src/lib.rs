//! Durable append-only logs.
//!
//! A [`Log`] is one file of records. What an append returned is on disk; what it
//! did not return may be there or not, but never in half: the records of one
//! append come back together or not at all.
//!
//! What a newcomer would get wrong: a file that ends in the middle of an append
//! is normal (the machine lost power) and is cut back quietly; damage *before*
//! good records is not, and such a log is refused, because what followed from
//! the lost records already happened.

mod frame;
mod log;

pub use log::{Log, LogError, Position, Record};
