//! The code in which strings of headers may come (RFC 7541, 5.2 and appendix B).

/// How many symbols have codes of each length, in bits. One more of 30 bits, all ones, ends a string and is never sent.
const COUNTS: [(u32, u32); 21] = [
    (5, 10),
    (6, 26),
    (7, 32),
    (8, 6),
    (10, 5),
    (11, 3),
    (12, 2),
    (13, 6),
    (14, 2),
    (15, 3),
    (19, 3),
    (20, 8),
    (21, 13),
    (22, 26),
    (23, 29),
    (24, 12),
    (25, 4),
    (26, 15),
    (27, 19),
    (28, 29),
    (30, 3),
];

/// The symbols, by their codes: the code is canonical, so that lengths and this order are all of it.
const SYMBOLS: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, //
    32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112, 114,
    117, //
    58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118,
    119, 120, 121, 122, //
    38, 42, 44, 59, 88, 90, //
    33, 34, 40, 41, 63, //
    39, 43, 124, //
    35, 62, //
    0, 36, 64, 91, 93, 126, //
    94, 125, //
    60, 96, 123, //
    92, 195, 208, //
    128, 130, 131, 162, 184, 194, 224, 226, //
    153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, //
    129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198,
    228, 232, 233, //
    1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182,
    183, 188, 191, 197, 231, 239, //
    9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, //
    199, 207, 234, 235, //
    192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, //
    203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254, //
    2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220,
    249, //
    10, 13, 22,
];

/// The codes of one length: they follow each other.
#[derive(Clone, Copy)]
struct Row {
    bits: u32,
    first: u64,
    count: u64,
    symbols: usize,
}

const ROWS: [Row; COUNTS.len()] = rows();

const fn rows() -> [Row; COUNTS.len()] {
    let mut rows = [Row { bits: 0, first: 0, count: 0, symbols: 0 }; COUNTS.len()];
    let (mut code, mut symbols, mut row) = (0, 0, 0);
    while row < COUNTS.len() {
        let (bits, count) = COUNTS[row];
        if row > 0 {
            code <<= bits - COUNTS[row - 1].0;
        }
        rows[row] = Row { bits, first: code, count: count as u64, symbols };
        code += count as u64;
        symbols += count as usize;
        row += 1;
    }
    rows
}

/// Reads a string, or returns nothing where it is not one.
pub(super) fn decode(packed: &[u8]) -> Option<Vec<u8>> {
    // The shortest code has five bits.
    let mut text = Vec::with_capacity(packed.len() * 8 / 5);
    let (mut bits, mut have) = (0_u64, 0_u32);
    for &byte in packed {
        bits = bits << 8 | u64::from(byte);
        have += 8;
        'symbols: loop {
            for row in &ROWS {
                if have < row.bits {
                    break 'symbols;
                }
                let code = (bits >> (have - row.bits)) & ((1 << row.bits) - 1);
                let nth = code.wrapping_sub(row.first);
                if nth < row.count {
                    text.push(SYMBOLS[row.symbols + usize::try_from(nth).ok()?]);
                    have -= row.bits;
                    continue 'symbols;
                }
            }
            // Thirty ones: the end, which must not be said.
            return None;
        }
    }
    // What is left is filled up with the first bits of the end, fewer than eight.
    let left = (1 << have) - 1;
    (have < 8 && bits & left == left).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(hex: &str) -> Vec<u8> {
        hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    #[test]
    fn the_standards_examples_are_read() {
        // RFC 7541, C.4 and C.6.
        for (hex, text) in [
            ("f1 e3 c2 e5 f2 3a 6b a0 ab 90 f4 ff", "www.example.com"),
            ("a8 eb 10 64 9c bf", "no-cache"),
            ("25 a8 49 e9 5b a9 7d 7f", "custom-key"),
            ("25 a8 49 e9 5b b8 e8 b4 bf", "custom-value"),
            ("64 02", "302"),
            ("ae c3 77 1a 4b", "private"),
            ("d0 7a be 94 10 54 d4 44 a8 20 05 95 04 0b 81 66 e0 82 a6 2d 1b ff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            (
                "94 e7 82 1d d7 f2 e6 c7 b3 35 df df cd 5b 39 60 d5 af 27 08 7f 36 72 c1 ab 27 0f b5 29 1f 95 87 31 60 \
                 65 c0 03 ed 4e e5 b1 06 3d 50 07",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ] {
            assert_eq!(decode(&packed(hex)).as_deref(), Some(text.as_bytes()), "{text}");
        }
        assert_eq!(decode(&[]).unwrap(), b"");
    }

    #[test]
    fn every_symbol_has_a_code_of_its_own() {
        let mut seen = [false; 256];
        for row in &ROWS {
            for nth in 0..row.count {
                // The code, filled up with ones to whole bytes.
                let bytes = row.bits.div_ceil(8);
                let fill = bytes * 8 - row.bits;
                let bits = (row.first + nth) << fill | ((1 << fill) - 1);
                let text = decode(&bits.to_be_bytes()[8 - bytes as usize..]).unwrap();
                assert!(!std::mem::replace(&mut seen[usize::from(text[0])], true), "{text:?} twice");
                assert_eq!(text.len(), 1);
            }
        }
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn what_is_no_string_is_refused() {
        for hex in ["ff ff ff ff", "f1 e3 c2 e5 f2 3a 6b a0 ab 90 f4 fe", "ff", "a8 eb 10 64 9c bf ff"] {
            assert_eq!(decode(&packed(hex)), None, "{hex}");
        }
    }
}
