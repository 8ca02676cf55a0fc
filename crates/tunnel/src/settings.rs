//! What both ends agree on by convention: windows, keep-alive, patience.

use std::time::Duration;

/// The most one frame carries.
pub(crate) const FRAME: u32 = 64 * 1024;
/// The most that waits in memory to be sent, for each stream.
pub(crate) const SEND_BUFFER: usize = 256 * 1024;
/// Streams open at once; more requests wait for their turn.
pub(crate) const STREAMS: u32 = 1024;
/// The most the headers of one message may take.
pub(crate) const HEADERS: u32 = 64 * 1024;
/// How much of earlier headers the ends keep, to say them shorter. Nothing: what they say is short, and a server
/// would keep it for every machine.
pub(crate) const HEADER_TABLE: u32 = 0;
/// The longest hyper waits for a keep-alive answer. Never reached: `Watched`
/// decides sooner, by any byte heard and not by that one answer, which may
/// stand behind megabytes of data on a slow line.
pub(crate) const NEVER: Duration = Duration::from_hours(24);

const STREAM_WINDOW: u32 = 1024 * 1024;
const STALLED_READERS: u32 = 64;

/// How one end of a tunnel behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an end is quiet before it asks whether the other is there.
    pub keep_alive_interval: Duration,
    /// How long the answer may take.
    pub keep_alive_timeout: Duration,
    /// How long requests in flight may go on once the daemon shuts down.
    pub drain: Duration,
    /// How much one stream may hold that its reader has not taken yet.
    pub stream_window: u32,
    /// How much all streams together may hold.
    ///
    /// When stalled readers hold all of it, no other body arrives. The default
    /// has room for 64 full streams and 4 MiB beside them. It is a limit, not an
    /// allocation.
    pub connection_window: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // A frozen peer is given up and written down within 25 seconds.
            keep_alive_interval: Duration::from_secs(14),
            keep_alive_timeout: Duration::from_secs(9),
            drain: Duration::from_secs(10),
            stream_window: STREAM_WINDOW,
            connection_window: STALLED_READERS * STREAM_WINDOW + 4 * 1024 * 1024,
        }
    }
}

impl Settings {
    /// Returns the silence after which the other end counts as gone.
    pub fn patience(&self) -> Duration {
        self.keep_alive_interval + self.keep_alive_timeout
    }
}
