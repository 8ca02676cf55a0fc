//! What an engine is told when it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sizes and limits of an engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// How large a segment of the log is. The largest append must fit into one.
    pub segment_bytes: u64,
    /// At which multiples a read ends.
    pub page_bytes: u64,
    /// How large the files of a stream are. What retention gives up is given back to the disk in these steps.
    pub file_bytes: u64,
    /// From how many bytes in memory on they are written to the files of their streams.
    pub flush_bytes: u64,
    /// How many bytes of a stream are kept at least; everything if `None`. Streams with forks keep everything.
    pub retain_bytes: Option<u64>,
    /// The same for streams whose path begins like this, which keep so many bytes.
    pub retain_below: Option<(String, u64)>,
    /// The largest body.
    pub max_body: usize,
    /// The longest path of a stream.
    pub max_path: usize,
    /// How many streams there may be.
    pub max_streams: usize,
    /// How many producers of one stream are remembered.
    pub max_producers: usize,
    /// How many bytes may wait for the log.
    pub max_queued: u64,
    /// Whether whoever asks for something while nobody else does writes the log himself instead of waking its thread.
    ///
    /// That saves two changes of thread, and polling a [`Pending`](crate::Pending) may then wait for the disk: it has no
    /// place where others wait for the same thread.
    pub callers_write: bool,
    /// What time it is.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            page_bytes: 1 << 20,
            file_bytes: 64 << 20,
            flush_bytes: 4 << 20,
            retain_bytes: None,
            retain_below: None,
            max_body: 16 << 20,
            max_path: 1024,
            max_streams: 1_000_000,
            max_producers: 10_000,
            max_queued: 128 << 20,
            callers_write: false,
            clock: Clock::system(),
        }
    }
}

impl Options {
    /// Returns those of a program that serves nothing but streams, as [`serve`](crate::serve) does.
    ///
    /// Callers write, and little is kept in memory before it goes to the files.
    pub fn alone() -> Self {
        Self { callers_write: true, flush_bytes: 256 << 10, ..Self::default() }
    }

    /// Returns how many bytes of the stream at a path are kept at least; everything if `None`.
    pub(crate) fn retains(&self, path: &str) -> Option<u64> {
        let below = self.retain_below.as_ref().filter(|(prefix, _)| path.starts_with(prefix));
        below.map(|(_, bytes)| *bytes).or(self.retain_bytes)
    }
}

/// What time it is: that of the computer, and what a test added to it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    added: Arc<AtomicU64>,
    is_still: bool,
}

impl Clock {
    /// Returns the computer's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// Returns a clock that moves only when it is told to.
    pub fn still() -> Self {
        Self { added: Arc::new(AtomicU64::new(1_800_000_000_000)), is_still: true }
    }

    /// Moves every copy of this clock ahead.
    pub fn advance(&self, by: Duration) {
        self.added.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the milliseconds since 1970.
    pub fn now(&self) -> u64 {
        let added = self.added.load(Ordering::Relaxed);
        if self.is_still {
            return added;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(added)
    }
}
