//! How much may be sent.

/// What the peer lets this end send.
pub(super) struct Outgoing {
    pub(super) window: i64,
    pub(super) stream_window: i64,
    pub(super) frame: usize,
}

/// How much the peer may send, and how much of it has been read since it was last told.
pub(super) struct Window {
    pub(super) left: i64,
    pub(super) read: u32,
}

impl Window {
    pub(super) fn new(left: u32) -> Self {
        Self { left: i64::from(left), read: 0 }
    }

    /// Counts what came. Returns whether it was allowed.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.left -= i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left >= 0
    }

    /// Counts what was read, and returns what to tell the peer, if it is worth a word: where readers stall the window
    /// is small, and then little is worth one.
    pub(super) fn give_back(&mut self, bytes: usize) -> Option<u32> {
        self.read += u32::try_from(bytes).unwrap_or(u32::MAX);
        (self.read > 0 && i64::from(self.read) >= self.left / 2).then(|| {
            self.left += i64::from(self.read);
            std::mem::take(&mut self.read)
        })
    }
}
