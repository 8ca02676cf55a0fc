//! JSON messages: found and checked, never written anew.
//!
//! A JSON stream is stored as its messages, each exactly as it was sent and followed by a comma, so that any
//! range between messages becomes an array by putting brackets around it.

/// Why a body is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not valid JSON: byte {at}")]
pub struct NotJson {
    /// Where it is not.
    pub at: usize,
}

/// The messages of a body, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Messages {
    /// Every message and its comma.
    pub stored: Vec<u8>,
    /// Where each message's comma ends.
    pub ends: Vec<usize>,
}

/// Takes a body apart: a value is one message, an array is as many as it has elements.
pub(crate) fn messages(body: &[u8]) -> Result<Messages, NotJson> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(NotJson { at: error.valid_up_to() });
    }
    let mut found = Messages { stored: Vec::with_capacity(body.len() + 1), ends: Vec::new() };
    let mut take = |from: usize, to: usize| {
        found.stored.extend_from_slice(&body[from..to]);
        found.stored.push(b',');
        found.ends.push(found.stored.len());
    };
    let mut at = space(body, 0);
    if body.get(at) == Some(&b'[') {
        at = space(body, at + 1);
        if body.get(at) == Some(&b']') {
            at += 1;
        } else {
            loop {
                let from = space(body, at);
                let to = value(body, from)?;
                take(from, to);
                at = space(body, to);
                match body.get(at) {
                    Some(b',') => at += 1,
                    Some(b']') => break at += 1,
                    _ => return Err(NotJson { at }),
                }
            }
        }
    } else {
        let to = value(body, at)?;
        take(at, to);
        at = to;
    }
    let end = space(body, at);
    if end < body.len() { Err(NotJson { at: end }) } else { Ok(found) }
}

/// Returns where the first of the stored messages ends, behind its comma.
pub(crate) fn first_end(stored: &[u8]) -> Result<usize, NotJson> {
    let at = value(stored, 0)?;
    if stored.get(at) == Some(&b',') { Ok(at + 1) } else { Err(NotJson { at }) }
}

/// Returns where the value that begins at `at` ends.
fn value(text: &[u8], mut at: usize) -> Result<usize, NotJson> {
    let mut open: Vec<u8> = Vec::new();
    loop {
        at = space(text, at);
        at = match text.get(at) {
            Some(b'{') => {
                let inside = space(text, at + 1);
                if text.get(inside) == Some(&b'}') {
                    inside + 1
                } else {
                    open.push(b'}');
                    at = key(text, inside)?;
                    continue;
                }
            }
            Some(b'[') => {
                let inside = space(text, at + 1);
                if text.get(inside) == Some(&b']') {
                    inside + 1
                } else {
                    open.push(b']');
                    at = inside;
                    continue;
                }
            }
            Some(b'"') => string(text, at)?,
            Some(b'-' | b'0'..=b'9') => number(text, at)?,
            Some(b't') => word(text, at, b"true")?,
            Some(b'f') => word(text, at, b"false")?,
            Some(b'n') => word(text, at, b"null")?,
            _ => return Err(NotJson { at }),
        };
        // A value has ended: so may what it is in.
        loop {
            let Some(close) = open.last() else {
                return Ok(at);
            };
            at = space(text, at);
            match text.get(at) {
                Some(b',') if *close == b'}' => break at = key(text, space(text, at + 1))?,
                Some(b',') => break at += 1,
                Some(byte) if byte == close => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(NotJson { at }),
            }
        }
    }
}

/// Returns where the value of the key at `at` may begin.
fn key(text: &[u8], at: usize) -> Result<usize, NotJson> {
    if text.get(at) != Some(&b'"') {
        return Err(NotJson { at });
    }
    let at = space(text, string(text, at)?);
    if text.get(at) == Some(&b':') { Ok(at + 1) } else { Err(NotJson { at }) }
}

fn string(text: &[u8], quote: usize) -> Result<usize, NotJson> {
    let mut at = quote + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                let escape = match text.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                    Some(b'u') => 6,
                    _ => return Err(NotJson { at }),
                };
                let hex = text.get(at + 2..at + escape).ok_or(NotJson { at })?;
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return Err(NotJson { at });
                }
                at += escape;
            }
            Some(0x20..) => at += 1,
            _ => return Err(NotJson { at }),
        }
    }
}

fn number(text: &[u8], mut at: usize) -> Result<usize, NotJson> {
    let digits = |from: usize| -> Result<usize, NotJson> {
        let count = text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 { Err(NotJson { at: from }) } else { Ok(from + count) }
    };
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, NotJson> {
    if text[at..].starts_with(word) { Ok(at + word.len()) } else { Err(NotJson { at }) }
}

fn space(text: &[u8], from: usize) -> usize {
    let more = text.iter().skip(from).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    from + more
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(body: &str) -> Option<String> {
        messages(body.as_bytes()).ok().map(|found| String::from_utf8(found.stored).unwrap())
    }

    #[test]
    fn messages_come_apart_and_stay_as_they_are() {
        for (body, expected) in [
            ("1.50", Some("1.50,")),
            (
                " {\"z\":1,\"a\": 1.50, \"b\":12345678901234567890123} ",
                Some("{\"z\":1,\"a\": 1.50, \"b\":12345678901234567890123},"),
            ),
            ("[]", Some("")),
            (" [ ] ", Some("")),
            ("[1 , [2,3],{}, \"a,]\\\"\"]", Some("1,[2,3],{},\"a,]\\\"\",")),
            ("[[[1,2,3]]]", Some("[[1,2,3]],")),
            ("\"\\ud800\"", Some("\"\\ud800\",")),
            ("", None),
            ("[1,]", None),
            ("[1", None),
            ("01", None),
            ("1.", None),
            ("{\"a\"}", None),
            ("{\"a\":1,}", None),
            ("\"\n\"", None),
            ("\"\\x\"", None),
            ("truth", None),
            ("1 2", None),
            ("[1]]", None),
            ("-", None),
        ] {
            assert_eq!(stored(body).as_deref(), expected, "{body:?}");
        }
        assert!(messages(b"\"\xff\"").is_err());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_full_parser(body in "[\\[\\]{}:,\"\\\\ \n0-9eE.+\\-truefalsn]{0,24}") {
            let valid = serde_json::from_str::<&serde_json::value::RawValue>(&body).is_ok();
            prop_assert_eq!(messages(body.as_bytes()).is_ok(), valid, "{:?}", body);
        }

        #[test]
        fn the_first_of_the_stored_ends_where_it_was_cut(numbers in proptest::collection::vec(any::<u32>(), 1..9)) {
            let body = serde_json::to_vec(&numbers).unwrap();
            let found = messages(&body).unwrap();
            prop_assert_eq!(found.ends.len(), numbers.len());
            prop_assert_eq!(first_end(&found.stored), Ok(found.ends[0]));
        }
    }
}
