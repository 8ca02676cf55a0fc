//! How the records of one append lie in the file.
//!
//! A frame is its length, the checksum of length and body, and the body: each
//! record with its own length before it. Numbers are 32 bits, little-endian.

/// Length and checksum.
pub(crate) const HEAD: usize = 8;
/// The largest body. A length beyond it is damage, not data.
pub(crate) const MAX_BODY: usize = 256 * 1024 * 1024;

/// Puts records into a frame; `None` if they are too large for one.
pub(crate) fn encode(records: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
    let body: usize = records.iter().map(|record| 4 + record.as_ref().len()).sum();
    if body > MAX_BODY {
        return None;
    }
    let length = u32::try_from(body).ok()?.to_le_bytes();
    let mut frame = Vec::with_capacity(HEAD + body);
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&[0; 4]);
    for record in records {
        let record = record.as_ref();
        frame.extend_from_slice(&u32::try_from(record.len()).ok()?.to_le_bytes());
        frame.extend_from_slice(record);
    }
    let sum = checksum(length, &frame[HEAD..]).to_le_bytes();
    frame[4..HEAD].copy_from_slice(&sum);
    Some(frame)
}

/// Returns the body of the frame at the beginning of `bytes`, if it is whole and undamaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // An empty frame is never written: a stretch of zeros is no frame.
    if !(4..=MAX_BODY).contains(&size) {
        return None;
    }
    let body = rest.get(..size)?;
    (checksum(*length, body) == u32::from_le_bytes(*sum)).then_some(body)
}

/// Returns the records of a body.
pub(crate) fn records(mut body: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let size = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((record, rest)) = rest.split_at_checked(size) else {
            break;
        };
        records.push(record);
        body = rest;
    }
    records
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(body);
    sum.finalize()
}
