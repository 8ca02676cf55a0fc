//! What comes in on stdin: one text, whole, or a clear refusal.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, Result, bail};

use crate::failure::Usage;

/// How many characters a text may have.
pub const LIMIT: usize = 100_000;

/// Reads the text of a verb. `command` is what to write before the heredoc, `end` the line that ends it.
pub fn body(command: &str, end: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        return Err(Usage::new(
            "the text comes on stdin, which is a terminal here",
            format!("{command} <<'{end}'\nYour text\n{end}"),
        )
        .into());
    }
    rest(Vec::new())
}

/// Reads what is left on stdin, after `bytes`.
pub fn rest(mut bytes: Vec<u8>) -> Result<String> {
    // No character takes more than four bytes, so one byte more than that is too long whatever it says.
    let most = LIMIT * 4 + 1;
    std::io::stdin().lock().take(most as u64).read_to_end(&mut bytes).context("stdin cannot be read")?;
    decode(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String> {
    if bytes.len() > LIMIT * 4 {
        bail!("the text on stdin is too long: at most {LIMIT} characters");
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("the text on stdin is not UTF-8 (byte {} cannot be read); nothing was sent", at + 1)
    })?;
    if text.chars().count() > LIMIT {
        bail!("the text on stdin is too long: at most {LIMIT} characters");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_whole_or_refused() {
        for (bytes, expected) in [
            ("größe 🎉\n".as_bytes().to_vec(), Ok("größe 🎉\n")),
            (vec![b'a', 0xff], Err("not UTF-8 (byte 2")),
            (vec![b'a', 0xe2, 0x82], Err("not UTF-8 (byte 2")),
            (vec![b'a'; LIMIT + 1], Err("at most 100000 characters")),
            (vec![b'a'; LIMIT * 4 + 1], Err("at most 100000 characters")),
        ] {
            match (decode(bytes), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, expected) => panic!("{got:?} is not {expected:?}"),
            }
        }
        assert!(decode("ü".repeat(LIMIT).into_bytes()).is_ok());
    }
}
