//! Numbers and byte strings as they lie in records and in the checkpoint: little-endian, lengths first.

/// What is being written.
pub(crate) trait Put {
    fn put_byte(&mut self, byte: u8);
    fn put_number(&mut self, number: u64);
    fn put_bytes(&mut self, bytes: &[u8]);

    fn put_text(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }
}

impl Put for Vec<u8> {
    fn put_byte(&mut self, byte: u8) {
        self.push(byte);
    }

    fn put_number(&mut self, number: u64) {
        // Seven bits to a byte, the lowest first: most numbers are small.
        let mut rest = number;
        while rest >= 0x80 {
            self.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
            rest >>= 7;
        }
        self.push(u8::try_from(rest).unwrap_or_default());
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_number(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }
}

/// The bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbled;

/// What is being read.
pub(crate) struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn byte(&mut self) -> Result<u8, Garbled> {
        let (byte, rest) = self.0.split_first().ok_or(Garbled)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub fn flag(&mut self) -> Result<bool, Garbled> {
        Ok(self.byte()? != 0)
    }

    pub fn number(&mut self) -> Result<u64, Garbled> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Garbled)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Garbled> {
        let length = usize::try_from(self.number()?).map_err(|_| Garbled)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Garbled)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn text(&mut self) -> Result<&'a str, Garbled> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Garbled)
    }

    /// Reads a count and so many things.
    pub fn many<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Garbled>) -> Result<Vec<T>, Garbled> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    /// Reads whether there is something, and what.
    pub fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Garbled>) -> Result<Option<T>, Garbled> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_back() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            bytes.put_number(number);
        }
        bytes.put_text("text");
        let mut take = Take(&bytes);
        for number in numbers {
            assert_eq!(take.number(), Ok(number));
        }
        assert_eq!(take.text(), Ok("text"));
        assert_eq!(take.byte(), Err(Garbled));
    }
}
