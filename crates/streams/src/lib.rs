//! Durable streams: append-only logs with a URL.
//!
//! An [`Engine`] keeps streams on a disk: what an append returned is there after a crash, once, and nobody has read
//! anything that is not. [`router::router`] speaks the Durable Streams protocol over one; both are useful without
//! the rest of this workspace. A [`Log`] is something smaller: one file of records, for one program. [`Lines`] are
//! a file that another program writes, or a folder of such, read as a stream.
//!
//! What a newcomer would get wrong: a [`Log`] that ends in the middle of an append is normal (the machine lost power)
//! and is cut back quietly; damage *before* good records is not, and such a log is refused, because what followed
//! from the lost records already happened. The engine keeps to the same rule.

pub mod disk;
mod engine;
mod frame;
mod http1;
mod lanes;
mod lines;
mod lock;
mod log;
mod protocol;
pub mod router;
mod serve;
mod wakes;

pub use engine::{
    About, Append, Appended, Clock, Committer, Create, Created, Engine, Flusher, ForkFrom, OpenError, Options, Pending,
    Reader, Refusal, Stopped, View,
};
pub use lines::{Lines, Part};
pub use log::{Log, LogError, Position, Record};
pub use protocol::{Claim, ContentType, Lifetime, Offset, Start};
pub use serve::serve;
