//! How headers are packed (RFC 7541), without a memory: both ends keep a table of size 0.
//!
//! So nothing depends on what was said before, and headers of a stream that is gone need not be read.

mod huffman;
mod table;

use std::borrow::Cow;

use bytes::BufMut;

use table::STATIC;

/// A field as it came, name first.
pub(super) type Field = (Text, Text);
type Text = Cow<'static, [u8]>;

/// What each field counts beside its own bytes (RFC 7541, 4.1).
pub(super) const FIELD_OVERHEAD: usize = 32;

/// Why headers could not be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not HPACK.
    Nonsense,
    /// They say more than is allowed.
    TooLong,
}

/// Begins a block: tells the peer that its table may be empty, which is right whatever size it named last.
pub(super) fn begin(out: &mut impl BufMut) {
    out.put_u8(0x20);
}

/// Packs a field that has a number of its own, name and value.
pub(super) fn put_indexed(out: &mut impl BufMut, number: usize) {
    integer(out, 0x80, 7, number);
}

/// Packs a field. One that is `secret` is never to be kept by whoever passes it on.
pub(super) fn put(out: &mut impl BufMut, name: &str, value: &[u8], secret: bool) {
    let first = if secret { 0x10 } else { 0 };
    if let Some(number) = number(name) {
        integer(out, first, 4, number);
    } else {
        out.put_u8(first);
        string(out, name.as_bytes());
    }
    string(out, value);
}

/// Unpacks a block whose fields may count no more than `most`.
pub(super) fn read(mut block: &[u8], most: usize) -> Result<Vec<Field>, Unreadable> {
    let mut fields = Vec::new();
    let mut size = 0;
    while let Some(&first) = block.first() {
        let field = if first & 0x80 != 0 {
            let (name, value) = entry(take_integer(&mut block, 7)?)?;
            (name.into(), value.into())
        } else if first & 0x40 != 0 {
            // To be kept, by a table with no room: it is not.
            take_field(&mut block, 6)?
        } else if first & 0x20 != 0 {
            // The size of the table, which only comes first, and which may not be more than nothing.
            if take_integer(&mut block, 5)? != 0 || !fields.is_empty() {
                return Err(Unreadable::Nonsense);
            }
            continue;
        } else {
            take_field(&mut block, 4)?
        };
        size += field.0.len() + field.1.len() + FIELD_OVERHEAD;
        if size > most {
            return Err(Unreadable::TooLong);
        }
        fields.push(field);
    }
    Ok(fields)
}

/// Returns the number under which a name is known.
fn number(name: &str) -> Option<usize> {
    /// Up to here names are in no order, behind it in that of their letters.
    const ORDERED: usize = 19;
    let at = match STATIC[..ORDERED].iter().position(|(known, _)| *known == name) {
        None => STATIC[ORDERED..].binary_search_by(|(known, _)| known.cmp(&name)).ok()? + ORDERED,
        Some(at) => at,
    };
    Some(at + 1)
}

fn entry(number: usize) -> Result<(&'static [u8], &'static [u8]), Unreadable> {
    let at = number.checked_sub(1).ok_or(Unreadable::Nonsense)?;
    STATIC.get(at).map(|(name, value)| (name.as_bytes(), value.as_bytes())).ok_or(Unreadable::Nonsense)
}

fn take_field(block: &mut &[u8], prefix: u32) -> Result<Field, Unreadable> {
    let name = match take_integer(block, prefix)? {
        0 => take_string(block)?.into(),
        number => entry(number)?.0.into(),
    };
    Ok((name, take_string(block)?.into()))
}

/// Reads a number whose first bits share a byte with something else (RFC 7541, 5.1).
fn take_integer(block: &mut &[u8], prefix: u32) -> Result<usize, Unreadable> {
    let full = (1 << prefix) - 1;
    let mut number = usize::from(take_byte(block)? & full);
    if number < usize::from(full) {
        return Ok(number);
    }
    // Four bytes more are beyond anything a block can hold.
    for shift in [0, 7, 14, 21] {
        let byte = take_byte(block)?;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Unreadable::Nonsense)
}

fn take_string(block: &mut &[u8]) -> Result<Vec<u8>, Unreadable> {
    let is_packed = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = take_integer(block, 7)?;
    let text = block.split_off(..length).ok_or(Unreadable::Nonsense)?;
    if is_packed { huffman::decode(text).ok_or(Unreadable::Nonsense) } else { Ok(text.to_vec()) }
}

fn take_byte(block: &mut &[u8]) -> Result<u8, Unreadable> {
    block.split_off_first().copied().ok_or(Unreadable::Nonsense)
}

fn integer(out: &mut impl BufMut, first: u8, prefix: u32, number: usize) {
    let full = (1_usize << prefix) - 1;
    if number < full {
        out.put_u8(first | low(number));
        return;
    }
    out.put_u8(first | low(full));
    let mut rest = number - full;
    while rest >= 0x80 {
        out.put_u8(low(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low(rest));
}

fn low(number: usize) -> u8 {
    u8::try_from(number & 0xff).unwrap_or_default()
}

fn string(out: &mut impl BufMut, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.put_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(name: &'static str, value: &'static str) -> Field {
        (name.as_bytes().into(), value.as_bytes().into())
    }

    #[test]
    fn the_standards_first_answer_is_read() {
        // RFC 7541, C.6.1.
        let block = [
            0x48, 0x82, 0x64, 0x02, 0x58, 0x85, 0xae, 0xc3, 0x77, 0x1a, 0x4b, 0x61, 0x96, 0xd0, 0x7a, 0xbe, 0x94, 0x10,
            0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff, 0x6e,
            0x91, 0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3,
        ];
        let fields = read(&block, 1000).unwrap();
        assert_eq!(
            fields,
            [
                field(":status", "302"),
                field("cache-control", "private"),
                field("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
                field("location", "https://www.example.com"),
            ]
        );
    }

    #[test]
    fn every_name_with_a_number_is_found() {
        for (at, (name, _)) in STATIC.iter().enumerate() {
            let found = number(name).unwrap();
            assert!(found <= at + 1 && STATIC[found - 1].0 == *name, "{name}");
        }
        assert_eq!(number("x-other"), None);
    }

    #[test]
    fn what_is_not_hpack_is_refused() {
        for block in [
            &[0x80][..],                              // number 0
            &[0xbe],                                  // number 62: the table is empty
            &[0x3f, 0x01],                            // a table of 32 bytes
            &[0x82, 0x20],                            // the table's size, late
            &[0x00, 0x05, b'a'],                      // a name cut off
            &[0x00, 0x01, b'a', 0x7f],                // a length cut off
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // an endless number
        ] {
            assert_eq!(read(block, 1000), Err(Unreadable::Nonsense), "{block:x?}");
        }
        assert_eq!(read(&[0x20], 1000), Ok(vec![]));
        assert_eq!(read(&[0x82, 0x82], 80), Err(Unreadable::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            fields in prop::collection::vec(("[a-z-]{1,200}", prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..9)
        ) {
            let mut block = Vec::new();
            begin(&mut block);
            put_indexed(&mut block, 2);
            for (name, value, secret) in &fields {
                put(&mut block, name, value, *secret);
            }
            let mut expected = vec![field(":method", "GET")];
            expected.extend(fields.into_iter().map(|(name, value, _)| (name.into_bytes().into(), value.into())));
            prop_assert_eq!(read(&block, usize::MAX), Ok(expected));
        }

        #[test]
        fn any_bytes_are_read_or_refused(block in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(fields) = read(&block, 500) {
                let size: usize = fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum();
                prop_assert!(size <= 500);
            }
        }
    }
}
