//! What the protocol says, without transport and without storage: pure functions and the types they speak of.

pub(crate) mod content;
pub(crate) mod cursor;
pub(crate) mod json;
pub(crate) mod lifetime;
pub(crate) mod offset;
pub(crate) mod producer;

pub use content::ContentType;
pub use lifetime::Lifetime;
pub use offset::{Offset, Start};
pub use producer::Claim;
