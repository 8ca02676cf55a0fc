//! A checksum over what passes.

use std::fmt::Write as _;
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

/// Sums what is written through it.
pub(super) struct Summed<W> {
    inner: W,
    sum: Sha256,
}

impl<W: Write> Summed<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, sum: Sha256::new() }
    }

    /// Returns what is behind it, and the sum in hex.
    pub(super) fn finish(self) -> (W, String) {
        let mut hex = String::with_capacity(64);
        for byte in self.sum.finalize() {
            let _ = write!(hex, "{byte:02x}");
        }
        (self.inner, hex)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
